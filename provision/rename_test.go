package provision

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
)

func (h *house) rename(who, to string) View {
	h.t.Helper()
	v, err := h.directory.Set(h.t.Context(), who, Edit{Username: &to})
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// TestRename: applications see the new name at once; the former one is kept
// from everybody else. Attack: somebody takes the name that a person had, and
// applications that know people by username give them what is that person's.
func TestRename(t *testing.T) {
	h := newHouse(t, nil)
	o := h.resolve(identity("acme", "alice"))
	person := func() string {
		t.Helper()
		p, err := h.resolver.Person(t.Context(), session(o))
		if err != nil {
			t.Fatal(err)
		}
		return p.User + " " + p.PreferredUsername
	}
	if got := person(); got != "alice alice" {
		t.Fatal(got)
	}
	if v := h.show("alice"); v.UsernameSource != "acme" || v.UsernameTime != v.Created {
		t.Errorf("the username is from %q since %s", v.UsernameSource, v.UsernameTime)
	}
	v := h.rename("alice", "Alice.Miller")
	if v.UsernameSource != auth.Local || v.UsernameTime != newClock().now {
		t.Errorf("the new username is from %q since %s", v.UsernameSource, v.UsernameTime)
	}
	if v.ID != o.Account || v.Username != "Alice.Miller" || !slices.Equal(v.Former, []string{"alice"}) {
		t.Errorf("%+v", v)
	}
	if got := person(); got != "Alice.Miller Alice.Miller" {
		t.Errorf("applications see %q", got)
	}
	audit(t, h)

	// Nobody gets the former name: not by a sign-in, not from an administrator.
	other := h.resolve(identity("partner", "2", username("ALICE")))
	if got := h.show(other.Account).Username; !strings.HasPrefix(got, "partner-") {
		t.Errorf("another person is %q", got)
	}
	x := h.explain(identity("partner", "3", username("alice")))
	if i := slices.IndexFunc(x.Candidates, func(c Candidate) bool { return c.Asked == "alice" }); i < 0 || x.Candidates[i].Result != ResultTaken || !strings.Contains(x.Candidates[i].Why, "stays reserved") {
		t.Errorf("explained as %+v", x.Candidates)
	}
	_, err := h.directory.Add(t.Context(), New{Username: "alice"})
	if refused := (*RefusedError)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "former username of account Alice.Miller") {
		t.Errorf("added: %v", err)
	}
	// Administrators find her by it, and nobody signs in by it.
	if got := h.show("alice"); got.ID != o.Account {
		t.Errorf("found by the former name: %+v", got)
	}
	if _, _, _, err := h.directory.ByLogin(t.Context(), "alice"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("login by the former name: %v", err)
	}
	if id, name, _, err := h.directory.ByLogin(t.Context(), "alice.miller"); err != nil || id != o.Account || name != "Alice.Miller" {
		t.Errorf("login by the new name: %q, %q, %v", id, name, err)
	}
	// No sign-in takes the name back.
	if again := h.resolve(identity("acme", "alice")); again.Verdict != auth.Unchanged || h.show(o.Account).Username != "Alice.Miller" {
		t.Errorf("%+v", again)
	}

	// Only the spelling, and then back to the name that was hers.
	if v := h.rename("alice.miller", "alice.miller"); v.Username != "alice.miller" || !slices.Equal(v.Former, []string{"alice"}) {
		t.Errorf("%+v", v)
	}
	if v := h.rename("alice.miller", "alice"); v.Username != "alice" || !slices.Equal(v.Former, []string{"alice.miller"}) {
		t.Errorf("%+v", v)
	}
	audit(t, h)
	before := fmt.Sprint(dump(t, h.store))
	h.rename("alice", "alice")
	if after := fmt.Sprint(dump(t, h.store)); after != before {
		t.Errorf("the same name again has changed the store:\n%s\n%s", before, after)
	}
	var names []string
	for _, e := range h.history(o.Account).Entries {
		for _, c := range e.Changes {
			if c.Field == fieldUsername {
				names = append(names, c.New.Values...)
			}
		}
	}
	if diff := cmp.Diff([]string{"alice", "Alice.Miller", "alice.miller", "alice"}, names); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}

	// With the account its names are free.
	if err := h.directory.Delete(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	h.add(New{Username: "alice"})
	h.add(New{Username: "alice.miller"})
	audit(t, h)
}

// A former username may be an address that is somebody else's by now: they are
// found by it, and sign in with it.
func TestFormerUsernameIsAnAddress(t *testing.T) {
	h := newHouse(t, nil)
	old := h.add(New{Username: "ann@people.example", Email: "ann@people.example"})
	mail, name := "ann.miller@people.example", "ann.miller@people.example"
	// The username is the address that the account has then, not the former one.
	if _, err := h.directory.Set(t.Context(), old.ID, Edit{Email: &mail, Username: &name}); err != nil {
		t.Fatal(err)
	}
	now := h.add(New{Username: "ann2", Email: "ann@people.example"})
	if got := h.show("ann@people.example"); got.ID != now.ID {
		t.Errorf("found: %+v", got)
	}
	if id, _, _, err := h.directory.ByLogin(t.Context(), "ann@people.example"); err != nil || id != now.ID {
		t.Errorf("login: %q, %v", id, err)
	}
	if id, _, _, err := h.directory.ByLogin(t.Context(), mail); err != nil || id != old.ID {
		t.Errorf("login: %q, %v", id, err)
	}
	audit(t, h)
}

func TestRenameRefuses(t *testing.T) {
	h := newHouse(t, nil)
	h.add(New{Username: "ann", Email: "ann@people.example"})
	h.add(New{Username: "bob", Email: "bob@people.example"})
	h.rename("bob", "robert")
	before := fmt.Sprint(dump(t, h.store))
	for _, to := range []string{"", " ", "Robert", "BOB", "guest:1", "bob@people.example", "a\u200bnn", strings.Repeat("a", 9000), h.show("robert").ID} {
		_, err := h.directory.Set(t.Context(), "ann", Edit{Username: &to, Groups: &[]string{"admins"}})
		if refused := (*RefusedError)(nil); !errors.As(err, &refused) || refused.Field != "username" {
			t.Errorf("%.40q: %v, want a refusal of the username", to, err)
		}
	}
	if after := fmt.Sprint(dump(t, h.store)); after != before {
		t.Errorf("the store has changed:\n%s\n%s", before, after)
	}
}

// The names of an account that is deleted are in quarantine, former ones too.
func TestQuarantineOfFormerUsernames(t *testing.T) {
	h := newHouse(t, nil)
	h.conf.JITProvisioning.Quarantine = 24 * time.Hour
	h.open()
	h.resolve(identity("acme", "alice"))
	h.rename("alice", "al")
	if err := h.directory.Delete(t.Context(), "al"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "al"} {
		o := h.resolve(identity("partner", "as-"+name, username(name)))
		if got := h.show(o.Account).Username; !strings.HasPrefix(got, "partner-") {
			t.Errorf("somebody else is %q", got)
		}
	}
	if o := h.resolve(identity("acme", "alice")); h.show(o.Account).Username != "alice" {
		t.Errorf("the same person is %q", h.show(o.Account).Username)
	}
	audit(t, h)
}

// A renaming dies before or after each of its store operations. The account
// has the one name or the other, nobody else has either, and the next renaming
// comes through; so does somebody new who wants the name that was not given.
func TestRenameDyingAtEveryStep(t *testing.T) {
	mail, to := "new@people.example", "al"
	for _, edit := range []Edit{{Username: &to}, {Username: &to, Email: &mail}} {
		for step, done := 1, false; !done; step++ {
			for _, after := range []bool{false, true} {
				h := newHouse(t, nil)
				o := h.resolve(identity("acme", "alice"))
				m := &mortal{left: step, after: after}
				d, _ := h.replica(m.store(h.store))
				_, err := d.Set(t.Context(), o.Account, edit)
				if m.left > 0 {
					if err != nil {
						t.Fatalf("nothing failed, and yet: %v", err)
					}
					done = true
					continue
				}
				audit(t, h)
				renamed := h.show(o.Account).Username == to
				h.clock.add(lease + time.Millisecond)
				other := h.resolve(identity("partner", "other", username(to)))
				if got := h.show(other.Account).Username; (got == to) == renamed {
					t.Fatalf("died at %v: somebody new is %q, and the account %+v", m.ops, got, h.show(o.Account))
				}
				free := "alice.miller"
				again := edit
				again.Username = &free
				if _, err := h.directory.Set(t.Context(), o.Account, again); err != nil {
					t.Fatalf("died at %v: %v", m.ops, err)
				}
				audit(t, h)
				if _, err := h.directory.Add(t.Context(), New{Username: "alice"}); err == nil {
					t.Fatalf("died at %v: the former name was given away", m.ops)
				}
				audit(t, h)
			}
		}
	}
}

// Administrators rename two accounts to one name while somebody new comes who
// wants it: one of them has it.
func TestRenamesInParallel(t *testing.T) {
	h := newHouse(t, nil)
	for _, name := range []string{"ann", "bob"} {
		h.add(New{Username: name})
	}
	var wg sync.WaitGroup
	for range 4 {
		d, r := h.replica(h.store)
		for _, name := range []string{"ann", "bob"} {
			wg.Go(func() {
				to := "root"
				_, err := d.Set(t.Context(), name, Edit{Username: &to})
				if refused := (*RefusedError)(nil); err != nil && !errors.As(err, &refused) && !errors.Is(err, auth.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if _, err := r.Resolve(t.Context(), identity("acme", "1", username("root"))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if live := audit(t, h); len(live) != 3 {
		t.Errorf("%d accounts", len(live))
	}
}
