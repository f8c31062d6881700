package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
)

func ptr[T any](v T) *T { return &v }

func TestAddAndFind(t *testing.T) {
	h := newHouse(t, nil)
	v := h.add(New{
		Username: "Alice", Email: "Alice@Acme.example", Name: "Alice A.", Groups: []string{"staff", "staff", "admins"},
		Attributes: map[string][]string{"department": {"research"}},
	})
	if v.Status != Active || v.Email != "Alice@Acme.example" || !v.EmailVerified || v.Name != "Alice A." ||
		v.Attributes["department"].Source != auth.Local || v.Attributes["department"].Time.IsZero() {
		t.Errorf("added: %+v", v)
	}
	if diff := cmp.Diff([]string{"staff", "admins"}, v.Groups); diff != "" {
		t.Error(diff)
	}
	for _, who := range []string{"alice", "ALICE", "alice@acme.example", " Alice@ACME.example", v.ID, strings.ToUpper(v.ID)} {
		if got := h.show(who); got.ID != v.ID {
			t.Errorf("Show(%s): %+v", who, got)
		}
	}
	for _, who := range []string{"", "al", "bob@acme.example", "alice@acme.example.evil", "none"} {
		if _, err := h.directory.Show(t.Context(), who); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("Show(%q): %v", who, err)
		}
	}
	audit(t, h)
}

func TestAddRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     New
		field string
	}{
		{"no username", New{}, "username"},
		{"colon", New{Username: "guest:1"}, "username"},
		{"foreign e-mail as a name", New{Username: "boss@acme.example", Email: "al@acme.example"}, "username"},
		{"taken username", New{Username: "ALICE"}, "username"},
		{"taken e-mail", New{Username: "bob", Email: "ALICE@acme.example"}, "email"},
		{"bad e-mail", New{Username: "bob", Email: "bob"}, "email"},
		{"bad group", New{Username: "bob", Groups: []string{""}}, "groups"},
		{"group with a line break", New{Username: "bob", Groups: []string{"a\nb"}}, "groups"},
		{"bad attribute", New{Username: "bob", Attributes: map[string][]string{"a b": {"x"}}}, "attribute"},
		{"known attribute", New{Username: "bob", Attributes: map[string][]string{"email": {"x"}}}, "attribute"},
		// Which of them an application sees would depend on the order of a map.
		{"two of one header", New{Username: "bob", Attributes: map[string][]string{"cost_center": {"x"}, "Cost-Center": {"y"}}}, "attribute"},
		{"too long", New{Username: strings.Repeat("b", 9000)}, "account"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, nil)
			h.add(New{Username: "alice", Email: "alice@acme.example"})
			before := fmt.Sprint(dump(t, h.store))
			_, err := h.directory.Add(t.Context(), c.n)
			refused := (*RefusedError)(nil)
			if !errors.As(err, &refused) || refused.Field != c.field {
				t.Errorf("Add: %v, want a refusal of %s", err, c.field)
			}
			if after := fmt.Sprint(dump(t, h.store)); after != before {
				t.Errorf("the store has changed:\n%s\n%s", before, after)
			}
		})
	}
}

func TestSet(t *testing.T) {
	h := newHouse(t, nil)
	h.resolve(identity("acme", "alice"))
	h.add(New{Username: "bob", Email: "bob@people.example"})
	set := func(e Edit) View {
		t.Helper()
		v, err := h.directory.Set(t.Context(), "alice", e)
		if err != nil {
			t.Fatal(err)
		}
		audit(t, h)
		return v
	}
	v := set(Edit{Groups: &[]string{"admins", "staff"}})
	if diff := cmp.Diff([]string{"staff", "admins"}, v.Groups); diff != "" || len(v.GroupSources) != 3 {
		t.Errorf("groups: %s, %+v", diff, v.GroupSources)
	}
	// Locally assigned groups are replaced, those of the connection are its own.
	if v = set(Edit{Groups: &[]string{}}); len(v.Groups) != 1 || v.GroupSources[0].Source != "acme" {
		t.Errorf("groups: %+v", v.GroupSources)
	}
	v = set(Edit{Email: ptr("New@people.example"), Name: ptr("Al"), Attributes: map[string][]string{"desk": {"1", "2"}}, Unset: []string{"department"}})
	if v.Email != "New@people.example" || v.EmailSource != auth.Local || v.Name != "Al" || len(v.Attributes) != 2 {
		t.Errorf("%+v", v)
	}
	if n := strings.Count(strings.Join(keys(dump(t, h.store)), " "), "email:"); n != 2 {
		t.Errorf("%d e-mails are indexed, want alice's new one and bob's", n)
	}
	// The former address is free again, the new one is taken.
	if _, err := h.directory.Find(t.Context(), "alice@people.example"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("the former e-mail: %v", err)
	}
	if got := h.show("new@people.example"); got.ID != v.ID {
		t.Errorf("the new e-mail: %+v", got)
	}
	if v = set(Edit{Email: ptr(""), Name: ptr("")}); v.Email != "" || v.Name != "" {
		t.Errorf("%+v", v)
	}
	_, err := h.directory.Set(t.Context(), "alice", Edit{Email: ptr("bob@people.example")})
	if refused := (*RefusedError)(nil); !errors.As(err, &refused) || refused.Field != "email" {
		t.Errorf("a taken e-mail: %v", err)
	}
	if _, err := h.directory.Set(t.Context(), "nobody", Edit{Name: ptr("x")}); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	audit(t, h)
}

func keys(m map[string]string) []string { return slices.Collect(maps.Keys(m)) }

// A mistyped name would seem to have taken a right away, and a list of groups
// in one flag to have given several.
func TestSetRefuses(t *testing.T) {
	h := newHouse(t, nil)
	h.add(New{Username: "ada", Email: "ada@people.example", Groups: []string{"staff"}, Attributes: map[string][]string{"title": {"Dr."}}})
	before := h.show("ada")
	for _, c := range []struct {
		name string
		edit Edit
		want string
	}{
		{"an attribute that is not there", Edit{Unset: []string{"titel"}}, `ada has no attribute "titel"`},
		{"beside one that is", Edit{Unset: []string{"title", "titel"}}, `ada has no attribute "titel"`},
		{"beside another change", Edit{Name: ptr("Ada"), Unset: []string{"titel"}}, `ada has no attribute "titel"`},
		{"the display name, and there is none", Edit{Unset: []string{"name"}}, `ada has no attribute "name"`},
		{"the e-mail", Edit{Unset: []string{"email"}}, `--email ""`},
		{"the groups", Edit{Unset: []string{"groups"}}, `--groups ""`},
		{"the username", Edit{Unset: []string{"username"}}, "--username"},
	} {
		_, err := h.directory.Set(t.Context(), "ada", c.edit)
		refused := (*RefusedError)(nil)
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a refusal with %q", c.name, err, c.want)
		}
	}
	if diff := cmp.Diff(before, h.show("ada")); diff != "" {
		t.Errorf("a refusal has changed the account: %s", diff)
	}
	if v, err := h.directory.Set(t.Context(), "ada", Edit{Name: ptr(""), Unset: []string{"title"}}); err != nil || len(v.Attributes) != 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestDisableReachesEveryPath(t *testing.T) {
	h := newHouse(t, nil)
	o := h.resolve(identity("acme", "alice"))
	if _, err := h.resolver.Person(t.Context(), session(o)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.directory.Disable(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.resolver.Person(t.Context(), session(o)); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("its session goes on: %v", err)
	}
	for name, id := range map[string]auth.Identity{
		"by its link":                identity("acme", "alice"),
		"by its e-mail":              identity("partner", "alice"),
		"by its e-mail, new subject": identity("acme", "another", email("alice@people.example", true)),
		"by its password":            {Connection: auth.Local, Subject: o.Account},
	} {
		if got := h.refused(id); got != auth.DeniedDisabled {
			t.Errorf("%s: %s", name, got)
		}
	}
	if _, _, active, err := h.directory.ByLogin(t.Context(), "alice"); err != nil || active {
		t.Errorf("ByLogin: active %v, %v", active, err)
	}
	// JIT never re-enables; an administrator does.
	if v := h.show("alice"); v.Status != Disabled || len(v.Links) != 1 {
		t.Errorf("%+v", v)
	}
	if _, err := h.directory.Enable(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if again := h.resolve(identity("acme", "alice")); again.Account != o.Account {
		t.Errorf("%+v", again)
	}
}

func TestDelete(t *testing.T) {
	h := newHouse(t, nil)
	o := h.resolve(identity("acme", "alice"))
	h.creds.passwords[o.Account] = true
	if err := h.directory.Delete(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if left := dump(t, h.store); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if h.creds.passwords[o.Account] {
		t.Error("the password is left behind")
	}
	if _, err := h.resolver.Person(t.Context(), session(o)); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("its session goes on: %v", err)
	}
	if err := h.directory.Delete(t.Context(), "alice"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("delete again: %v", err)
	}
	if again := h.resolve(identity("acme", "alice")); again.Verdict != auth.Created || again.Account == o.Account {
		t.Errorf("the same subject again: %+v", again)
	}
	audit(t, h)
}

// A deletion that dies at any step can be finished by the name that was typed,
// and nobody comes in by what is left.
func TestDeleteDyingAtEveryStep(t *testing.T) {
	for step, done := 1, false; !done; step++ {
		for _, after := range []bool{false, true} {
			h := newHouse(t, nil)
			o := h.resolve(identity("acme", "alice"))
			m := &mortal{left: step, after: after}
			d, _ := h.replica(m.store(h.store))
			err := d.Delete(t.Context(), "alice")
			if m.left > 0 {
				done = true
				continue
			}
			if err == nil {
				t.Fatalf("died at %v, and said nothing", m.ops)
			}
			audit(t, h) // it is whole, or it is nobody's
			if err := h.directory.Delete(t.Context(), "alice"); err != nil && !errors.Is(err, auth.ErrNotFound) {
				t.Fatalf("died at %v: delete again: %v", m.ops, err)
			}
			for key := range dump(t, h.store) {
				if !strings.HasPrefix(key, "username:") { // leads nowhere, and whoever wants the name takes it
					t.Fatalf("died at %v: %s is left", m.ops, key)
				}
			}
			if again := h.resolve(identity("acme", "alice")); again.Account == o.Account || h.show(again.Account).Username != "alice" {
				t.Fatalf("died at %v: %+v", m.ops, again)
			}
			audit(t, h)
		}
	}
}

func TestUnlink(t *testing.T) {
	h := newHouse(t, nil)
	o := h.resolve(identity("acme", "alice", groups("admins")))
	h.resolve(identity("partner", "alice", groups("guests")))
	if _, err := h.directory.Unlink(t.Context(), "alice", "acme", ptr("someone")); err == nil {
		t.Error("another subject was unlinked")
	}
	if _, err := h.directory.Unlink(t.Context(), "alice", "guest", nil); err == nil {
		t.Error("a link that is not there was unlinked")
	}
	v, err := h.directory.Unlink(t.Context(), "alice", "acme", nil)
	if err != nil || len(v.Links) != 1 || v.Links[0].Connection != "partner" {
		t.Fatalf("%+v, %v", v, err)
	}
	// Nobody could take these away any more.
	if diff := cmp.Diff([]string{"guests"}, v.Groups); diff != "" {
		t.Error(diff)
	}
	if _, err := h.resolver.Person(t.Context(), session(o)); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a session through the cut link goes on: %v", err)
	}
	audit(t, h)
	if again := h.resolve(identity("acme", "alice")); again.Verdict != auth.Linked || again.Account != o.Account {
		t.Errorf("signing in again goes through the ladder: %+v", again)
	}
}

// The username of one person may be the former e-mail of theirs and the present
// one of another: neither an administrator nor a login gets "the first".
func TestTwoThatAnswerToOneName(t *testing.T) {
	h := newHouse(t, nil)
	h.add(New{Username: "shared@acme.example", Email: "shared@acme.example"})
	if _, err := h.directory.Set(t.Context(), "shared@acme.example", Edit{Email: ptr("moved@acme.example")}); err != nil {
		t.Fatal(err)
	}
	h.add(New{Username: "bob", Email: "shared@acme.example"})
	refused := (*RefusedError)(nil)
	if _, err := h.directory.Find(t.Context(), "shared@acme.example"); !errors.As(err, &refused) {
		t.Errorf("Find: %v", err)
	}
	if id, _, _, err := h.directory.ByLogin(t.Context(), "shared@acme.example"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("ByLogin: %s, %v", id, err)
	}
	if _, name, active, err := h.directory.ByLogin(t.Context(), "Moved@acme.example"); err != nil || name != "shared@acme.example" || !active {
		t.Errorf("ByLogin by e-mail: %s, %v, %v", name, active, err)
	}
}

// How many reads a login takes must not tell whether it is anybody's.
func TestByLoginReadsTheSameForEverybody(t *testing.T) {
	h := newHouse(t, nil)
	h.add(New{Username: "alice", Email: "alice@acme.example"})
	if v := h.add(New{Username: "dan"}); v.ID != "" {
		if _, err := h.directory.Disable(t.Context(), "dan"); err != nil {
			t.Fatal(err)
		}
	}
	want := ""
	for _, login := range []string{"alice", "alice@acme.example", "dan", "nobody", "nobody@acme.example", "", "a@b@c"} {
		m := &mortal{left: 1 << 30}
		d, _ := h.replica(m.store(h.store))
		_, _, _, _ = d.ByLogin(t.Context(), login)
		got := strings.Join(m.ops, ", ")
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%q: %s\nothers: %s", login, got, want)
		}
	}
}

func TestListLeavesOutTheUnfinished(t *testing.T) {
	h := newHouse(t, nil)
	h.add(New{Username: "zoe"})
	h.resolve(identity("acme", "alice"))
	m := &mortal{left: 7, after: true} // right after the account was written as pending
	_, r := h.replica(m.store(h.store))
	if o, err := r.Resolve(t.Context(), identity("acme", "half")); err == nil {
		t.Fatalf("%+v", o)
	}
	if pending := strings.Count(fmt.Sprint(dump(t, h.store)), `"status":"pending"`); pending != 1 {
		t.Fatalf("%d pending accounts after %v", pending, m.ops)
	}
	// One that is damaged hides nobody else.
	for key, value := range map[string]string{accountKey("damaged"): `{"v":`, accountKey("newer"): `{"v":99}`, signInPrefix + h.show("zoe").ID: "?"} {
		if err := h.store.Update(t.Context(), key, func([]byte) ([]byte, time.Duration, error) { return []byte(value), 0, nil }); err != nil {
			t.Fatal(err)
		}
	}
	all, unreadable, err := h.directory.List(t.Context())
	if err != nil || unreadable != 2 {
		t.Fatal(unreadable, err)
	}
	var names []string
	for _, v := range all {
		names = append(names, v.Username)
	}
	if diff := cmp.Diff([]string{"alice", "zoe"}, names); diff != "" {
		t.Error(diff)
	}
	for key := range dump(t, h.store) {
		if id, ok := strings.CutPrefix(key, accountPrefix); ok {
			if v, err := h.directory.Show(t.Context(), id); err == nil && v.Status == Pending {
				t.Errorf("Show finds the unfinished: %+v", v)
			}
			local := auth.Identity{Connection: auth.Local, Subject: id}
			if o, err := h.resolver.Resolve(t.Context(), local); err == nil {
				if a, err := h.directory.read(t.Context(), o.Account); err != nil || a.Status == Pending {
					t.Errorf("the unfinished signs in: %+v, %v", o, err)
				}
			}
		}
	}
}

func TestLocalSignIn(t *testing.T) {
	h := newHouse(t, nil)
	v := h.add(New{Username: "alice"})
	id := auth.Identity{Connection: auth.Local, Subject: v.ID, AMR: []string{auth.MethodPassword}}
	o, err := h.resolver.Resolve(t.Context(), id)
	if err != nil || o.Verdict != auth.Unchanged || o.Account != v.ID {
		t.Errorf("%+v, %v", o, err)
	}
	// Attack: whoever knows the password alone, and has no second factor, keeps
	// an account that nobody uses from being disabled.
	if last := h.show("alice").LastSignIn; !last.IsZero() {
		t.Errorf("a sign-in that has only begun is noted: %s", last)
	}
	h.signedIn(o)
	if h.show("alice").LastSignIn.IsZero() {
		t.Error("the sign-in was not noted")
	}
	p, err := h.resolver.Person(t.Context(), session(o))
	if err != nil || p.User != "alice" || !p.IsLocal() || p.AMR[0] != auth.MethodPassword {
		t.Errorf("%+v, %v", p, err)
	}
	h.conf.Local.Enabled = false
	h.open()
	if got := h.refused(id); got != auth.DeniedConnection {
		t.Errorf("with local sign-in off: %s", got)
	}
	if _, err := h.resolver.Person(t.Context(), session(o)); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("its session goes on: %v", err)
	}
}

// A password is reset by mail, and the next factor gets its codes there: who
// changes the address owns the account. That the account has a factor of
// another kind is nothing that an address would open.
func TestEmailOfAnAccountThatIsOpenedByIt(t *testing.T) {
	for name, has := range map[string]func(*credentials) map[string]bool{
		"a password":    func(c *credentials) map[string]bool { return c.passwords },
		"codes by mail": func(c *credentials) map[string]bool { return c.mailed },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			o := h.resolve(identity("acme", "alice"))
			h.creds.factors[o.Account] = true
			has(h.creds)[o.Account] = true
			for range 2 {
				h.resolve(identity("acme", "alice", email("eve@people.example", true)))
				h.resolve(identity("acme", "alice", email("", false)))
				h.resolve(identity("acme", "alice", email("ALICE@people.example", true)))
			}
			if v := h.show("alice"); v.Email != "alice@people.example" {
				t.Errorf("%+v", v)
			}
			delete(has(h.creds), o.Account)
			h.resolve(identity("acme", "alice", email("eve@people.example", true)))
			if v := h.show("alice"); v.Email != "eve@people.example" {
				t.Errorf("%+v", v)
			}
			audit(t, h)
		})
	}
}

// The e-mail at the provider changes to one that another account has: each
// account keeps its own, and the person still comes in.
func TestEmailOfAnotherAccountIsNotTaken(t *testing.T) {
	h := newHouse(t, nil)
	h.add(New{Username: "bob", Email: "bob@people.example"})
	o := h.resolve(identity("acme", "alice"))
	again := h.resolve(identity("acme", "alice", email("bob@people.example", true)))
	if again.Account != o.Account || again.Verdict != auth.Unchanged {
		t.Errorf("%+v", again)
	}
	if v := h.show("alice"); v.Email != "alice@people.example" {
		t.Errorf("%+v", v)
	}
	audit(t, h)
}

func TestUsernames(t *testing.T) {
	h := newHouse(t, nil)
	h.add(New{Username: "Alice", Email: "local@people.example"})
	fallback := func(id auth.Identity) string { return fallbackUsernames(id)[0] }
	for _, id := range []auth.Identity{
		identity("acme", "1", username("aLICE")), // taken, in another case
		identity("acme", "2", username("")),
		identity("acme", "3", username("guest:7")),
		identity("acme", "4", username("boss@people.example")),
	} {
		o := h.resolve(id)
		if got := h.show(o.Account).Username; got != fallback(id) || !strings.HasPrefix(got, "acme-") || len(got) != len("acme-")+10 {
			t.Errorf("%s: username %q", id.Subject, got)
		}
	}
	// Somebody sits on the name that the next one would get.
	next := identity("acme", "5", username(""))
	h.add(New{Username: fallback(next)})
	if o := h.resolve(next); h.show(o.Account).Username != fallbackUsernames(next)[1] {
		t.Errorf("%+v", h.show(o.Account))
	}
	// Somebody who knows the subject sits on all of them: that locks nobody out.
	locked := identity("acme", "7", username(""))
	for _, name := range fallbackUsernames(locked) {
		h.add(New{Username: name})
	}
	if o := h.resolve(locked); !strings.HasPrefix(h.show(o.Account).Username, "acme-") {
		t.Errorf("%+v", h.show(o.Account))
	}
	// Fixed at creation.
	o := h.resolve(identity("acme", "6", username("first")))
	h.resolve(identity("acme", "6", username("second")))
	if got := h.show(o.Account).Username; got != "first" {
		t.Errorf("username %q", got)
	}
	audit(t, h)
}

// A connection id that now points to another issuer inherits no links: whoever
// runs the new one picks any subject they like.
func TestAnotherIssuerInheritsNothing(t *testing.T) {
	h := newHouse(t, nil)
	o := h.resolve(identity("acme", "alice", email("", false)))
	s := session(o)
	moved := identity("acme", "alice", email("", false))
	moved.Issuer = "https://evil.example"
	h.conf.Connections[0].Issuer = moved.Issuer
	h.open()
	if again := h.resolve(moved); again.Verdict != auth.Created || again.Account == o.Account {
		t.Errorf("%+v", again)
	}
	if _, err := h.resolver.Person(t.Context(), s); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a session of the former issuer goes on: %v", err)
	}
}

func TestSessionsEndWithTheirSettings(t *testing.T) {
	h := newHouse(t, nil)
	on, off := session(h.resolve(identity("acme", "alice"))), session(h.resolve(identity("guest", "gus")))
	person := func(s *auth.Session) error {
		_, err := h.resolver.Person(t.Context(), s)
		return err
	}
	if person(on) != nil || person(off) != nil {
		t.Fatal(person(on), person(off))
	}
	h.conf.Connections[0].JIT.Enabled, h.conf.Connections[2].JIT.Enabled = false, true
	h.open()
	if !errors.Is(person(on), auth.ErrUnauthenticated) || !errors.Is(person(off), auth.ErrUnauthenticated) {
		t.Errorf("jit.enabled has changed: %v, %v", person(on), person(off))
	}
	h.conf.Connections = h.conf.Connections[1:2]
	h.open()
	if !errors.Is(person(on), auth.ErrUnauthenticated) || !errors.Is(person(off), auth.ErrUnauthenticated) {
		t.Errorf("the connections are gone: %v, %v", person(on), person(off))
	}
	if got := h.refused(identity("acme", "alice")); got != auth.DeniedConnection {
		t.Errorf("a sign-in through a connection that is gone: %s", got)
	}
}

// Store trouble is not a sign-out, and never a half-provisioned sign-in.
func TestStoreTroubleIsStoreDown(t *testing.T) {
	h := newHouse(t, nil)
	o := h.resolve(identity("acme", "alice"))
	m := &mortal{}
	d, r := h.replica(m.store(h.store))
	if _, err := r.Person(t.Context(), session(o)); !errors.Is(err, auth.ErrStoreDown) || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("Person: %v", err)
	}
	if _, err := r.Resolve(t.Context(), identity("acme", "alice")); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("Resolve: %v", err)
	}
	if _, err := r.Resolve(t.Context(), auth.Identity{Connection: auth.Local, Subject: o.Account}); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("Resolve local: %v", err)
	}
	if _, _, _, err := d.ByLogin(t.Context(), "alice"); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("ByLogin: %v", err)
	}
	if _, _, err := d.List(t.Context()); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("List: %v", err)
	}
	h.creds.err = errors.New("credentials cannot be read")
	if _, err := h.resolver.Resolve(t.Context(), identity("partner", "alice")); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("Resolve without credentials: %v", err)
	}
	audit(t, h)
}

// A sign-in whose browser goes away finishes what it has begun.
func TestGoneBrowserLeavesNothingHalf(t *testing.T) {
	h := newHouse(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.resolver.Resolve(ctx, identity("acme", "alice")); err != nil {
		t.Fatal(err)
	}
	if n := len(audit(t, h)); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

// Another replica has made the link a moment ago, and its message is still on
// its way: the new session must not be taken for one of a cut link.
func TestYoungSessionAtAStaleReplica(t *testing.T) {
	h := newHouse(t, nil)
	first := h.resolve(identity("acme", "alice"))
	_, stale := h.replica(h.store)
	if _, err := stale.Person(t.Context(), session(first)); err != nil {
		t.Fatal(err)
	}
	second := h.resolve(identity("partner", "alice"))
	young := session(second)
	young.Created = h.clock.Now()
	if p, err := stale.Person(t.Context(), young); err != nil || p.Account != first.Account {
		t.Errorf("%+v, %v", p, err)
	}
}

// Whoever kept the cookie of a deleted account could otherwise make the store
// work with each request.
func TestRefusedSessionIsCachedToo(t *testing.T) {
	h := newHouse(t, nil)
	s := session(h.resolve(identity("acme", "alice")))
	s.Created = h.clock.Now()
	if err := h.directory.Delete(t.Context(), s.Account); err != nil {
		t.Fatal(err)
	}
	h.clock.add(time.Minute + time.Second)
	m := &mortal{left: 1 << 30}
	_, r := h.replica(m.store(h.store))
	for range 10 {
		if _, err := r.Person(t.Context(), s); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Fatalf("error %v", err)
		}
	}
	if len(m.ops) != 1 {
		t.Errorf("ten requests read the store %d times, want once: %v", len(m.ops), m.ops)
	}
}

func TestPersonIsCachedAndForgotten(t *testing.T) {
	h := newHouse(t, nil)
	s := session(h.resolve(identity("acme", "alice", groups("staff", "admins"))))
	m := &mortal{left: 1 << 30}
	d, r := h.replica(m.store(h.store))
	person := func() *auth.Person {
		t.Helper()
		p, err := r.Person(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := person()
	reads := len(m.ops)
	if person() != first || len(m.ops) != reads {
		t.Errorf("a warm person costs %v", m.ops[reads:])
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = r.Person(context.Background(), s) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
	// A removed group is a removed right, at the next request after the word of it.
	h.resolve(identity("acme", "alice", groups("staff")))
	d.Changed("account:" + s.Account)
	if p := person(); len(p.Groups) != 1 {
		t.Errorf("groups %v", p.Groups)
	}
	h.resolve(identity("acme", "alice", groups("one", "two")))
	d.Changed("")
	if p := person(); len(p.Groups) != 2 {
		t.Errorf("groups %v", p.Groups)
	}
	h.resolve(identity("acme", "alice", groups()))
	h.clock.add(5e9)
	if p := person(); len(p.Groups) != 0 {
		t.Errorf("groups %v after cache_ttl", p.Groups)
	}
}

func TestUnverifiedEmail(t *testing.T) {
	h := newHouse(t, nil)
	h.add(New{Username: "boss", Email: "boss@people.example"})
	o := h.resolve(identity("acme", "eve", email("boss@people.example", false)))
	v := h.show("eve")
	if o.Verdict != auth.Created || v.Email != "boss@people.example" || v.EmailVerified {
		t.Errorf("%+v, %+v", o, v)
	}
	for _, s := range []*auth.Session{session(o), session(h.resolve(identity("guest", "eve", email("boss@people.example", false))))} {
		if p, err := h.resolver.Person(t.Context(), s); err != nil || p.Email != "" {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if got := h.show("boss@people.example").Username; got != "boss" {
		t.Errorf("the address leads to %s", got)
	}
	audit(t, h)
}

func TestTooLargeIsRefused(t *testing.T) {
	long := strings.Repeat("x", 9000)
	for name, id := range map[string]auth.Identity{
		"username":              identity("acme", "alice", username(long)),
		"e-mail":                identity("acme", "alice", email(long+"@people.example", true)),
		"pass-through user":     identity("guest", long),
		"pass-through e-mail":   identity("guest", "gus", email(long+"@people.example", true)),
		"username and JIT link": identity("partner", "bob", username(long)),
	} {
		h := newHouse(t, nil)
		if got := h.refused(id); got != auth.DeniedTooLarge {
			t.Errorf("%s: %s", name, got)
		}
		if left := dump(t, h.store); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}
