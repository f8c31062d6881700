package provision

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// TestAttributeSync holds every cell of the table in provisioning.md section 3,
// and what it says of absent, blank and silent.
func TestAttributeSync(t *testing.T) {
	// What stands in the account, as value@source.
	before := map[string]string{
		"department": "old@acme", "title": "engineer@acme", "desk": "12@local", "badge": "7@partner",
	}
	type sent = map[string][]string
	for _, c := range []struct {
		name string
		mode string
		sent sent
		want map[string]string
	}{
		{
			"override_all writes, and deletes what others added", config.SyncOverrideAll,
			sent{"department": {"new"}, "title": {"engineer"}},
			map[string]string{"department": "new@acme", "title": "engineer@acme"},
		},
		{
			"override_all takes over a local one", config.SyncOverrideAll,
			sent{"desk": {"13"}},
			map[string]string{"desk": "13@acme"},
		},
		{
			"preserve_local writes, and keeps what others added", config.SyncPreserveLocal,
			sent{"department": {"new"}, "title": {"engineer"}},
			map[string]string{"department": "new@acme", "title": "engineer@acme", "desk": "12@local", "badge": "7@partner"},
		},
		{
			"preserve_local removes what the connection gave and no longer sends", config.SyncPreserveLocal,
			sent{"department": {"new"}},
			map[string]string{"department": "new@acme", "desk": "12@local", "badge": "7@partner"},
		},
		{
			"preserve_local writes what the provider sends over a local one", config.SyncPreserveLocal,
			sent{"department": {"new"}, "title": {"engineer"}, "desk": {"13"}},
			map[string]string{"department": "new@acme", "title": "engineer@acme", "desk": "13@acme", "badge": "7@partner"},
		},
		{
			"blank is a value", config.SyncPreserveLocal,
			sent{"department": {}, "title": {"engineer"}},
			map[string]string{"department": "@acme", "title": "engineer@acme", "desk": "12@local", "badge": "7@partner"},
		},
		{"none writes nothing", config.SyncNone, sent{"department": {"new"}}, before},
		{"an answer without any attribute wipes nothing", config.SyncOverrideAll, nil, before},
		{"an answer without any attribute wipes nothing, preserve_local", config.SyncPreserveLocal, nil, before},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := jitConnection("acme")
			conn.JIT.AttributeSync = c.mode
			id := admitted{Identity: auth.Identity{Connection: "acme", Attributes: c.sent}}
			a := existing()
			for name, v := range before {
				a.Attributes[name] = parseAttribute(v)
			}
			b := synced(a, compiled(conn), id, false, noon.Add(time.Hour))
			got := map[string]string{}
			for name, attribute := range b.Attributes {
				got[name] = printAttribute(attribute)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			for name, attribute := range b.Attributes {
				changed := before[name] != got[name]
				if moved := !attribute.Time.Equal(noon); moved != changed {
					t.Errorf("%s: time moved: %v, changed: %v", name, moved, changed)
				}
			}
		})
	}
}

func parseAttribute(s string) Attribute {
	for i := range s {
		if s[i] == '@' {
			return Attribute{Values: []string{s[:i]}, Source: s[i+1:], Time: noon}
		}
	}
	panic(s)
}

func printAttribute(a Attribute) string {
	s := ""
	for _, v := range a.Values {
		s += v
	}
	return s + "@" + a.Source
}

func TestGroupSync(t *testing.T) {
	const before = "staff@acme lead@acme admins@local staff@partner"
	for _, c := range []struct {
		mode string
		sent []string
		want string
	}{
		{config.GroupsSync, []string{"staff", "new"}, "staff@acme admins@local staff@partner new@acme"},
		{config.GroupsSync, []string{}, "admins@local staff@partner"},
		{config.GroupsSync, nil, "admins@local staff@partner"},
		{config.GroupsOverride, []string{"staff", "new"}, "staff@acme new@acme"},
		{config.GroupsOverride, []string{}, ""},
		{config.GroupsOverride, nil, "admins@local staff@partner"},
		{config.GroupsMerge, []string{"new"}, before + " new@acme"},
		{config.GroupsMerge, nil, before},
		{config.GroupsNone, []string{"new"}, before},
		{config.GroupsNone, nil, before},
	} {
		t.Run(fmt.Sprintf("%s %q", c.mode, c.sent), func(t *testing.T) {
			conn := jitConnection("acme")
			conn.JIT.GroupSync = c.mode
			a := existing(func(a *Account) {
				a.Groups = nil
				for _, g := range [][2]string{{"staff", "acme"}, {"lead", "acme"}, {"admins", auth.Local}, {"staff", "partner"}} {
					a.Groups = append(a.Groups, Group{Name: g[0], Source: g[1], Time: noon})
				}
			})
			id := admitted{Identity: auth.Identity{Connection: "acme", Username: "alice", Groups: c.sent}}
			b := synced(a, compiled(conn), id, false, noon.Add(time.Hour))
			got := ""
			for i, g := range b.Groups {
				if i > 0 {
					got += " "
				}
				got += g.Name + "@" + g.Source
			}
			if got != c.want {
				t.Errorf("groups: %s\nwant:   %s", got, c.want)
			}
		})
	}
}

func TestEmailSync(t *testing.T) {
	const other = "new@people.example"
	verified := Email{Address: "alice@people.example", Verified: true, Source: "acme", Time: noon}
	vouched := verified
	vouched.Source = auth.Local
	unverified := Email{Address: "alice@people.example", Source: "acme", Time: noon}
	later := noon.Add(time.Hour)
	for _, c := range []struct {
		name   string
		before Email
		id     auth.Identity
		bad    bool
		locked bool
		mode   string
		want   Email
	}{
		{name: "changed", before: verified, id: auth.Identity{Email: other, EmailVerified: true}, want: Email{other, true, "acme", later}},
		{name: "same", before: vouched, id: auth.Identity{Email: vouched.Address, EmailVerified: true}, want: vouched},
		{name: "spelled anew", before: verified, id: auth.Identity{Email: "Alice@People.example", EmailVerified: true}, want: Email{"Alice@People.example", true, "acme", later}},
		{name: "spelled otherwise than by who gave it", before: vouched, id: auth.Identity{Email: "Alice@People.example", EmailVerified: true}, want: vouched},
		{name: "an administrator's is replaced as other attributes are", before: vouched, id: auth.Identity{Email: other, EmailVerified: true}, want: Email{other, true, "acme", later}},
		// Whoever may type an address at the provider must not take the account's own away.
		{name: "unverified never replaces verified", before: verified, id: auth.Identity{Email: other}, want: verified},
		{name: "the same, now unverified", before: verified, id: auth.Identity{Email: verified.Address}, want: verified},
		{name: "unverified replaces unverified", before: unverified, id: auth.Identity{Email: other}, want: Email{other, false, "acme", later}},
		{name: "unverified where there is none", id: auth.Identity{Email: other}, want: Email{other, false, "acme", later}},
		{name: "becomes verified", before: unverified, id: auth.Identity{Email: unverified.Address, EmailVerified: true}, want: Email{unverified.Address, true, "acme", later}},
		{name: "no longer sent", before: verified, id: auth.Identity{Username: "alice"}, want: Email{}},
		{name: "no longer sent, somebody else vouched for it", before: vouched, id: auth.Identity{Username: "alice"}, want: vouched},
		{name: "garbage says nothing", before: verified, bad: true, want: verified},
		{name: "silence says nothing", before: verified, want: verified},
		// A password is reset by mail: who changes the address owns the account.
		{name: "locked", before: verified, locked: true, id: auth.Identity{Email: other, EmailVerified: true}, want: verified},
		{name: "none", before: verified, mode: config.SyncNone, id: auth.Identity{Email: other, EmailVerified: true}, want: verified},
	} {
		for _, mode := range []string{config.SyncOverrideAll, config.SyncPreserveLocal} {
			t.Run(c.name+"/"+mode, func(t *testing.T) {
				conn := jitConnection("acme")
				conn.JIT.AttributeSync = mode
				if c.mode != "" {
					conn.JIT.AttributeSync = c.mode
				}
				c.id.Connection = "acme"
				a := existing(func(a *Account) { a.Email = c.before })
				b := synced(a, compiled(conn), admitted{Identity: c.id, badEmail: c.bad}, c.locked, later)
				if diff := cmp.Diff(c.want, b.Email); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// What is read from the store and synced with the same claims must be the same
// bytes, or every sign-in would write.
func TestSyncSurvivesTheStore(t *testing.T) {
	conn := jitConnection("acme")
	id := admitted{Identity: identity("acme", "alice", attributes(map[string][]string{"blank": {}, "two": {"a", "b"}}))}
	a := provisioned(compiled(conn), id, noon)
	b, err := decodeAccount(a.encode())
	if err != nil {
		t.Fatal(err)
	}
	if c := synced(b, compiled(conn), id, false, noon.Add(time.Hour)); !c.equal(a) {
		t.Errorf("%s\nbecame\n%s", a.encode(), c.encode())
	}
}
