package provision

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// visited is an answer of acme's to a person whose account has values of acme,
// partner and local, all linked.
func visited(conn config.Connection, all config.JITProvisioning, id auth.Identity, before *Account) visit {
	c := newConnection(conn, all)
	v := visit{conn: c, id: admitted{Identity: id}, before: before}
	if before == nil {
		v.after = provisioned(c, v.id, noon)
	} else {
		v.after = synced(before, c, v.id, false, noon.Add(time.Hour))
	}
	v.held = sessionOnly(c, v.id, v.after)
	return v
}

func TestExplainAttributes(t *testing.T) {
	type sent = map[string][]string
	acme := func(mode, onAbsent string) func(*config.Connection) {
		return func(c *config.Connection) {
			c.Attributes = append(c.Attributes, config.Attribute{Name: "dept", From: []string{"dept"}, Mode: mode, OnAbsent: onAbsent})
		}
	}
	sync := func(mode string) func(*config.Connection) {
		return func(c *config.Connection) { c.JIT.AttributeSync = mode }
	}
	sources := func(list ...string) config.JITProvisioning {
		return config.JITProvisioning{AttributeSources: map[string][]string{"dept": list}}
	}
	const other = "other" // sent beside dept, so that the answer is not silent
	for _, tt := range []struct {
		name   string
		conn   func(*config.Connection)
		all    config.JITProvisioning
		before string // dept, as value@source; "-": no account
		sent   sent
		want   string
	}{
		{"new account", sync(config.SyncOverrideAll), config.JITProvisioning{}, "-", sent{"dept": {"a"}}, "none -> a@acme [override/delete] written: the account is new"},
		{"not there before", sync(config.SyncOverrideAll), config.JITProvisioning{}, "", sent{"dept": {"a"}}, "none -> a@acme [override/delete] written: the account did not have it"},
		{"same", sync(config.SyncOverrideAll), config.JITProvisioning{}, "a@acme", sent{"dept": {"a"}}, "a@acme -> a@acme [override/delete] unchanged: the connection gave it already"},
		{"changed", sync(config.SyncOverrideAll), config.JITProvisioning{}, "b@acme", sent{"dept": {"a"}}, "b@acme -> a@acme [override/delete] written: the connection gave the former value, too"},
		{"taken over", sync(config.SyncPreserveLocal), config.JITProvisioning{}, "a@local", sent{"dept": {"a"}}, "a@local -> a@acme [override/delete_if_mine] written: its mode is override, whoever gave the former value"},
		{"blank", sync(config.SyncOverrideAll), config.JITProvisioning{}, "b@acme", sent{"dept": {}}, "b@acme -> @acme [override/delete] written: the connection gave the former value, too"},
		{"preserved", acme(config.ModePreserve, ""), config.JITProvisioning{}, "b@local", sent{"dept": {"a"}}, "b@local -> b@local [preserve/delete_if_mine] not_written: its mode is preserve, and the value is from local"},
		{"imported once", sync(config.SyncNone), config.JITProvisioning{}, "b@acme", sent{"dept": {"a"}}, "b@acme -> b@acme [import_once/keep] not_written: its mode is import_once: it is written when the account is made, and not later"},
		{"not imported later", acme(config.ModeImportOnce, ""), config.JITProvisioning{}, "", sent{"dept": {"a"}}, "none -> none [import_once/keep] not_written: its mode is import_once: it is written when the account is made, and not later"},
		{"for the session", acme(config.ModeSessionOnly, ""), config.JITProvisioning{}, "", sent{"dept": {"a"}}, "none -> none [session_only/delete_if_mine] session_only: it reaches the headers of this session only"},
		{"for the session, stored before", acme(config.ModeSessionOnly, ""), config.JITProvisioning{}, "b@acme", sent{"dept": {"a"}}, "b@acme -> none [session_only/delete_if_mine] session_only: it reaches the headers of this session only, and what the connection had stored is deleted"},
		{"for the session, of a weaker source", acme(config.ModeSessionOnly, ""), sources("local", "acme"), "b@local", sent{"dept": {"a"}}, "b@local -> b@local [session_only/delete_if_mine] not_written: in attribute_sources local, who gave the value, is stronger"},
		{"stronger", nil, sources("acme", "partner"), "b@partner", sent{"dept": {"a"}}, "b@partner -> a@acme [override/delete] written: in attribute_sources the connection is stronger than partner"},
		{"weaker", nil, sources("partner", "acme"), "b@partner", sent{"dept": {"a"}}, "b@partner -> b@partner [override/delete] not_written: in attribute_sources partner, who gave the value, is stronger"},
		{"not a source", nil, sources("partner"), "", sent{"dept": {"a"}}, "none -> none [override/delete] not_written: attribute_sources does not name the connection for it"},
		{"not a source of a new account", nil, sources("partner"), "-", sent{"dept": {"a"}}, "none -> none [override/delete] not_written: attribute_sources does not name the connection for it"},

		{"gone", nil, config.JITProvisioning{}, "b@acme", sent{other: {"x"}}, "b@acme -> none [override/delete] deleted: it was not sent, and was from this connection"},
		{"another's is gone", nil, config.JITProvisioning{}, "b@local", sent{other: {"x"}}, "b@local -> none [override/delete] deleted: it was not sent, and on_absent is delete, whoever gave it"},
		{"another's stays", sync(config.SyncPreserveLocal), config.JITProvisioning{}, "b@local", sent{other: {"x"}}, "b@local -> b@local [override/delete_if_mine] kept: it was not sent, and is from local"},
		{"kept", acme("", config.AbsentKeep), config.JITProvisioning{}, "b@acme", sent{other: {"x"}}, "b@acme -> b@acme [override/keep] kept: it was not sent, and on_absent is keep"},
		{"silent", nil, config.JITProvisioning{}, "b@acme", nil, "b@acme -> b@acme [override/delete] kept: the answer has no attributes at all, and such an answer wipes nothing"},
		{"protected", nil, config.JITProvisioning{ProtectedAttributes: []string{"dept"}}, "b@local", sent{other: {"x"}}, "b@local -> b@local [override/delete] kept: it is one of protected_attributes, which no sync touches"},
		{"protected, and given by a connection", nil, config.JITProvisioning{ProtectedAttributes: []string{"dept"}}, "b@acme", sent{other: {"x"}}, "b@acme -> b@acme [override/delete] kept: it is one of protected_attributes, which no sync touches; it is not in force: it is protected, and not from an administrator"},
		{"another source's stays", nil, sources("partner", "acme"), "b@partner", sent{other: {"x"}}, "b@partner -> b@partner [override/delete] kept: it was not sent, and attribute_sources lets partner, who gave it, supply it"},
		{"not a source, not sent", nil, sources("partner"), "b@acme", sent{other: {"x"}}, "b@acme -> b@acme [override/delete] kept: attribute_sources does not name the connection for it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := jitConnection("acme")
			if tt.conn != nil {
				tt.conn(&conn)
			}
			var before *Account
			if tt.before != "-" {
				before = existing(linkTo("acme", "alice"), linkTo("partner", "p"), func(a *Account) {
					a.Email, a.Attributes = Email{}, map[string]Attribute{}
					if tt.before != "" {
						a.Attributes["dept"] = parseAttribute(tt.before)
					}
				})
			}
			id := auth.Identity{Connection: "acme", Issuer: issuerOf("acme"), Subject: "alice", Attributes: tt.sent}
			changes := visited(conn, tt.all, id, before).attributes()
			i := slices.IndexFunc(changes, func(c AttributeChange) bool { return c.Name == "dept" })
			if i < 0 {
				t.Fatalf("nothing is said of it: %+v", changes)
			}
			c := changes[i]
			said := func(a *Attribute) string {
				if a == nil {
					return "none"
				}
				return printAttribute(*a)
			}
			got := fmt.Sprintf("%s -> %s [%s] %s: %s", said(c.Before), said(c.After), c.Policy, c.What, c.Why)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExplainEmail(t *testing.T) {
	const address, another = "alice@people.example", "new@people.example"
	for _, tt := range []struct {
		name   string
		before Email
		sent   string
		proved bool
		want   string
	}{
		{"nothing", Email{}, "", false, ""},
		{"given", Email{}, address, true, "written: verified"},
		{"given, not verified", Email{}, address, false, "written: not verified: applications do not see it, and no account is found by it"},
		{"same", Email{address, true, "acme", noon}, address, true, "unchanged: verified"},
		{"spelled otherwise", Email{address, true, "local", noon}, "Alice@people.example", true, "unchanged: verified"},
		{"not sent", Email{address, true, "local", noon}, "", false, "kept: no address was sent"},
		{"taken back", Email{address, true, "acme", noon}, "", false, "deleted: it was not sent, and was from this connection"},
		{"not verified against verified", Email{address, true, "acme", noon}, another, false, "not_written: one that is not verified never takes the place of a verified one"},
		{"changed", Email{address, true, "local", noon}, another, true, "written: verified"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := existing(func(a *Account) { a.Email = tt.before })
			id := auth.Identity{Connection: "acme", Username: "alice", Email: tt.sent, EmailVerified: tt.proved}
			v := visited(jitConnection("acme"), config.JITProvisioning{}, id, before)
			got := ""
			if c, any := v.email(); any {
				got = c.What + ": " + c.Why
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			// One that a password keeps in place, or that somebody else has.
			v.after = before
			if c, _ := v.email(); tt.name == "changed" && c.What != ChangeNotWritten {
				t.Errorf("locked: %+v", c)
			}
		})
	}
	conn := jitConnection("acme")
	conn.JIT.AttributeSync = config.SyncNone
	v := visited(conn, config.JITProvisioning{}, auth.Identity{Connection: "acme", Email: another, EmailVerified: true},
		existing(func(a *Account) { a.Email = Email{address, true, "acme", noon} }))
	if c, _ := v.email(); c.What != ChangeNotWritten || !strings.Contains(c.Why, "import_once") {
		t.Errorf("%+v", c)
	}
}

func TestExplainGroups(t *testing.T) {
	for _, tt := range []struct {
		mode string
		all  config.JITProvisioning
		sent []string
		want []string
	}{
		{config.GroupsSync, config.JITProvisioning{}, []string{"staff", "new"}, []string{
			"admins@local kept: it is from local",
			"lead@acme deleted: the connection does not give it any more, and group_sync is sync",
			"new@acme written: the connection gives it",
			"old@gone kept: it is from gone; it is not in force: who gave it may not give it today",
			"staff@acme unchanged: the connection gives it",
		}},
		{config.GroupsOverride, config.JITProvisioning{ProtectedGroups: []string{"admins"}}, []string{"staff"}, []string{
			"admins@local kept: it is one of protected_groups, which no sync touches",
			"lead@acme deleted: the connection does not give it any more, and group_sync is override",
			"old@gone deleted: group_sync is override, whoever gave it",
			"staff@acme unchanged: the connection gives it",
		}},
		{config.GroupsMerge, config.JITProvisioning{}, []string{"new"}, []string{
			"admins@local kept: it is from local",
			"lead@acme kept: the connection does not give it any more, and group_sync is merge",
			"new@acme written: the connection gives it",
			"old@gone kept: it is from gone; it is not in force: who gave it may not give it today",
			"staff@acme kept: the connection does not give it any more, and group_sync is merge",
		}},
		{config.GroupsNone, config.JITProvisioning{}, []string{"new"}, []string{
			"admins@local kept: it is from local",
			"lead@acme kept: the connection does not give it any more, and group_sync is none",
			"new@acme not_written: group_sync is none",
			"old@gone kept: it is from gone; it is not in force: who gave it may not give it today",
			"staff@acme kept: the connection does not give it any more, and group_sync is none",
		}},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			h := newHouse(t, nil)
			conn := jitConnection("acme")
			conn.JIT.GroupSync = tt.mode
			before := existing(linkTo("acme", "alice"), func(a *Account) {
				a.Groups = nil
				for _, g := range [][2]string{{"staff", "acme"}, {"lead", "acme"}, {"admins", auth.Local}, {"old", "gone"}} {
					a.Groups = append(a.Groups, Group{Name: g[0], Source: g[1], Time: noon})
				}
			})
			id := auth.Identity{Connection: "acme", Username: "alice", Groups: tt.sent}
			var got []string
			for _, c := range visited(conn, tt.all, id, before).groups(h.resolver) {
				got = append(got, fmt.Sprintf("%s@%s %s: %s", c.Name, c.Source, c.What, c.Why))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What of an answer the rules of the connection leave out is named, with what
// took it.
func TestExplainDropped(t *testing.T) {
	h := newHouse(t, nil)
	conn := h.conn("acme")
	conn.GroupMapping = map[string][]string{"cn=adm": {"admins", "ops"}, "cn=staff": {"staff"}}
	conn.Groups = &[]string{"staff", "ops", "admins"}
	h.conf.JITProvisioning = config.JITProvisioning{ProtectedGroups: []string{"admins"}, ProtectedAttributes: []string{"department"}}
	h.open()
	want := []Dropped{
		{"attribute", "department", "it is one of protected_attributes, which no identity provider supplies"},
		{"email", "no address", "it is not an e-mail address"},
		{"group", "admins", "it is one of protected_groups, which no identity provider supplies; the provider calls it cn=adm"},
		{"group", "cn=other", "it is not in groups_allowed"},
		{"username", "no address", "it is the e-mail address, which is not verified"},
	}
	id := identity("acme", "alice", email("no address", true), username("no address"), groups("cn=adm", "cn=staff", "cn=other"))
	e := h.explain(id)
	if diff := cmp.Diff(want, e.Dropped); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ops", "staff"}, e.Person.Groups); diff != "" {
		t.Error(diff)
	}
	if e := h.explain(identity("guest", "gus")); len(e.Dropped) != 1 {
		t.Errorf("with JIT off: %+v", e.Dropped)
	}
}

func TestRehearsal(t *testing.T) {
	h := newHouse(t, nil)
	ada := &config.TestAccount{
		Username: "ada", Email: "alice@people.example", Groups: []string{"admins"},
		Attributes: map[string][]string{"name": {"Ada"}, "desk": {"12"}}, Linked: map[string]string{"acme": "alice", "partner": "p-1"},
	}
	explain := func(account *config.TestAccount, id auth.Identity) Explanation {
		t.Helper()
		r, err := Rehearsal(t.Context(), h.conf, account, nil)
		if err != nil {
			t.Fatal(err)
		}
		e, err := r.Explain(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := explain(nil, identity("acme", "alice")); e.Verdict != auth.Created {
		t.Errorf("nobody is there, and it is %s", e.Verdict)
	}
	e := explain(ada, identity("acme", "alice"))
	if e.Verdict != auth.Updated || e.After.Username != "ada" || e.Before.Attributes["desk"].Source != auth.Local || !slices.Contains(e.Person.Groups, "admins") {
		t.Errorf("%+v", e)
	}
	if e := explain(ada, identity("partner", "p-1", email("alice@people.example", true))); e.Verdict != auth.Updated {
		t.Errorf("by the other link it is %s: %s", e.Verdict, e.Why)
	}
	secured := *ada
	secured.Linked, secured.HasPassword, secured.HasFactor = nil, true, true
	if e := explain(&secured, identity("acme", "alice")); e.Verdict != auth.Confirm || !e.Confirmation.Password || !e.SecondFactor {
		t.Errorf("%+v", e)
	}
	gone := *ada
	gone.Disabled = true
	if e := explain(&gone, identity("acme", "alice")); e.Denied == nil || e.Denied.Reason != auth.DeniedDisabled {
		t.Errorf("%+v", e)
	}
	for name, account := range map[string]*config.TestAccount{
		"username":   {Username: "a:b"},
		"e-mail":     {Username: "a", Email: "nothing"},
		"attribute":  {Username: "a", Attributes: map[string][]string{"-": {"x"}}},
		"connection": {Username: "a", Linked: map[string]string{"nobody": "1"}},
	} {
		if _, err := Rehearsal(t.Context(), h.conf, account, nil); !isRefused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
