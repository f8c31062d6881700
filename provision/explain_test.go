package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
)

// untouchable is a store that nobody may write to. Explaining must not.
type untouchable struct {
	store.Store
	t testing.TB
}

func (u untouchable) Create(_ context.Context, key string, _ []byte, _ time.Duration) error {
	u.t.Errorf("explain creates %s", key)
	return nil
}

func (u untouchable) Update(_ context.Context, key string, _ func([]byte) ([]byte, time.Duration, error)) error {
	u.t.Errorf("explain updates %s", key)
	return nil
}

func (u untouchable) Take(_ context.Context, key string) ([]byte, error) {
	u.t.Errorf("explain takes %s", key)
	return nil, store.ErrNotFound
}

func (u untouchable) Delete(_ context.Context, key string) error {
	u.t.Errorf("explain deletes %s", key)
	return nil
}

// explain explains an identity in the house, which must not notice.
func (h *house) explain(id auth.Identity) Explanation {
	h.t.Helper()
	d, _ := h.replica(h.store)
	d.Store, d.Bus = untouchable{h.store, h.t}, untold{h.t}
	e, err := NewResolver(h.conf, d).Explain(h.t.Context(), id)
	if err != nil {
		h.t.Fatalf("Explain(%s %s): %v", id.Connection, id.Subject, err)
	}
	return e
}

// untold is a bus on which nothing is to be said.
type untold struct{ t testing.TB }

func (u untold) Publish(_ context.Context, key string) error {
	u.t.Errorf("explain announces %s", key)
	return nil
}

func (u untold) Subscribe(context.Context, func(string)) {}

// What is explained is what then happens, to the letter: verdict, account,
// and the person that applications see.
func TestExplainSaysWhatASignInDoes(t *testing.T) {
	linked := func(h *house) { h.resolve(identity("acme", "alice")) }
	added := func(h *house) {
		h.add(New{
			Username: "alice", Email: "alice@people.example", Groups: []string{"admins"},
			Attributes: map[string][]string{"department": {"local"}, "desk": {"12"}},
		})
	}
	for _, tt := range []struct {
		name   string
		before func(*house)
		id     auth.Identity
	}{
		{"created", nil, identity("acme", "alice")},
		{"created, no username", nil, identity("acme", "alice", username(""))},
		{"created, the username is a stranger's address", nil, identity("acme", "alice", username("boss@people.example"))},
		{"created, the username is taken", func(h *house) { h.add(New{Username: "alice"}) }, identity("acme", "alice")},
		{"created, e-mail not verified", nil, identity("acme", "eve", email("x@y.example", false))},
		{"unchanged", linked, identity("acme", "alice")},
		{"updated", linked, identity("acme", "alice", groups("ops"), attributes(map[string][]string{"department": {"sales"}}))},
		{"silent", linked, auth.Identity{Connection: "acme", Issuer: issuerOf("acme"), Subject: "alice"}},
		{"the new e-mail is somebody else's", func(h *house) { linked(h); added2(h) }, identity("acme", "alice", email("bob@people.example", true))},
		{"linked", added, identity("acme", "alice")},
		{"linked, through another", linked, identity("partner", "alice")},
		{"pass-through", nil, identity("guest", "gus")},
		{"disabled", func(h *house) { linked(h); h.disable("alice") }, identity("acme", "alice")},
		{"domain", func(h *house) { h.conn("acme").EmailDomains = []string{"other.example"}; h.open() }, identity("acme", "alice")},
		{"nobody is made", func(h *house) { h.conn("acme").JIT.Create = false; h.open() }, identity("acme", "alice")},
		{"groups withheld", nil, identity("acme", "alice", func(id *auth.Identity) { id.Withheld = true })},
		{"cannot be confirmed", func(h *house) { added(h); h.conn("acme").JIT.LinkExisting = config.LinkConfirm; h.open() }, identity("acme", "alice")},
		{"denied", func(h *house) { added(h); h.conn("acme").JIT.LinkExisting = config.LinkDeny; h.open() }, identity("acme", "alice")},
		{"too long", nil, identity("acme", "alice", username(strings.Repeat("x", 9000)))},
		{"not enabled", func(h *house) { h.conn("acme").Disabled = true; h.open() }, identity("acme", "alice")},
		{"for the session only", func(h *house) {
			linked(h)
			h.conn("acme").Attributes = []config.Attribute{{Name: "department", From: []string{"d"}, Mode: config.ModeSessionOnly}}
			h.open()
		}, identity("acme", "alice")},
		{"protected", func(h *house) {
			added(h)
			h.conf.JITProvisioning = config.JITProvisioning{ProtectedAttributes: []string{"department"}, ProtectedGroups: []string{"staff"}}
			h.open()
		}, identity("acme", "alice")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t, nil)
			if tt.before != nil {
				tt.before(h)
			}
			e := h.explain(tt.id)
			o, err := h.resolver.Resolve(t.Context(), tt.id)
			if denied, ok := errors.AsType[*auth.Denied](err); ok {
				if e.Denied == nil || e.Denied.Reason != denied.Reason || e.Why != denied.Detail || e.Person != nil || e.Verdict != "" || e.Denied.Decision != "" {
					t.Errorf("explained as %+v, became %v", e, err)
				}
				return
			}
			if err != nil || e.Denied != nil || e.Verdict != o.Verdict || e.Why == "" {
				t.Fatalf("explained as %q because %q, %v; became %q, %v", e.Verdict, e.Why, e.Denied, o.Verdict, err)
			}
			s := session(o)
			if o.Account != "" {
				s.Identity.Attributes = o.SessionOnly
			}
			p, err := h.resolver.Person(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			said := *e.Person
			said.Account = p.Account // an id is made when it is needed
			if diff := cmp.Diff(*p, said); diff != "" {
				t.Errorf("the person (-became +explained):\n%s", diff)
			}
			if o.Account == "" {
				return
			}
			// Ids are random; what a sign-in dates is dated alike under a clock
			// that stands still.
			became, after := h.show(o.Account), *e.After
			after.ID, after.Decision, after.LastSignIn = became.ID, became.Decision, became.LastSignIn
			if diff := cmp.Diff(became, after); diff != "" {
				t.Errorf("the account (-became +explained):\n%s", diff)
			}
			if created := o.Verdict == auth.Created; (e.Before == nil) != created || (e.After.ID == "") != created {
				t.Errorf("verdict %s, before: %+v, id after: %q", o.Verdict, e.Before, e.After.ID)
			}
		})
	}
}

func added2(h *house) { h.add(New{Username: "bob", Email: "bob@people.example"}) }

func (h *house) disable(who string) {
	h.t.Helper()
	if _, err := h.directory.Disable(h.t.Context(), who); err != nil {
		h.t.Fatal(err)
	}
}

// candidates prints the questions of the ladder, one a line.
func candidates(e Explanation) []string {
	var lines []string
	for _, c := range e.Candidates {
		line := fmt.Sprintf("%s %s: %s", c.By, c.Asked, c.Result)
		if c.Account != nil {
			line += " " + c.Account.Username
		}
		lines = append(lines, line+": "+c.Why)
	}
	return lines
}

func TestExplainCandidates(t *testing.T) {
	const link, mail = "link alice: none: no account is linked to this subject at https://acme.example", "email alice@people.example: "
	free := "username alice: free: the new account gets it"
	hash := fallbackUsernames(identity("acme", "alice"))[0]
	for _, tt := range []struct {
		name   string
		before func(*house)
		id     auth.Identity
		want   []string
	}{
		{"nobody", nil, identity("acme", "alice"), []string{link, mail + "none: no account has this verified e-mail", free}},
		{"the link", func(h *house) { h.resolve(identity("acme", "alice")) }, identity("acme", "alice"), []string{
			"link alice: matches alice: the identity is linked to it", mail + "not_looked: the link has decided",
		}},
		{"the link, disabled", func(h *house) { h.resolve(identity("acme", "alice")); h.disable("alice") }, identity("acme", "alice"), []string{
			"link alice: matches alice: the identity is linked to it, and it is disabled: nobody comes in as it", mail + "not_looked: the link has decided",
		}},
		{"the e-mail", func(h *house) { h.resolve(identity("partner", "alice")) }, identity("acme", "alice"), []string{
			link, mail + "matches alice: it has the same verified e-mail",
		}},
		{"the e-mail, disabled", func(h *house) { h.resolve(identity("partner", "alice")); h.disable("alice") }, identity("acme", "alice"), []string{
			link, mail + "matches alice: it has the same verified e-mail, and it is disabled: nobody comes in as it",
		}},
		{"another subject", func(h *house) { h.resolve(identity("acme", "old", email("alice@people.example", true))) }, identity("acme", "alice"), []string{
			link, mail + `matches old: it has the same verified e-mail; it is linked to another subject of this connection, "old"`,
		}},
		{"another issuer", func(h *house) {
			h.resolve(identity("acme", "alice"))
			h.conn("acme").Issuer = "https://new.example"
			h.open()
		}, identity("acme", "alice", func(id *auth.Identity) { id.Issuer = "https://new.example" }), []string{
			"link alice: none: no account is linked to this subject at https://new.example",
			mail + "matches alice: it has the same verified e-mail; it is linked to an identity of this connection at another issuer, https://acme.example, which counts there only",
		}},
		{"not verified", nil, identity("acme", "alice", email("alice@people.example", false)), []string{
			link, mail + "not_looked: it is not verified: the answer does not say email_verified: true beside it, and trust_email is claim", free,
		}},
		{"never believed", func(h *house) { h.conn("acme").TrustEmail = config.TrustNever; h.open() }, identity("acme", "alice"), []string{
			link, mail + "not_looked: it counts as not verified: trust_email is never", free,
		}},
		{"no e-mail", nil, identity("acme", "alice", email("", false)), []string{link, "email : not_looked: the answer has no e-mail", free}},
		{"no address", nil, identity("acme", "alice", email("no address", true)), []string{link, "email : not_looked: what was sent is not an e-mail address", free}},
		{"the account's own e-mail is not verified", func(h *house) { h.resolve(identity("partner", "alice", email("alice@people.example", false))) }, identity("acme", "alice"), []string{
			link, mail + "none: no account has this verified e-mail",
			"username alice: taken alice: it is that of another account, which has the same e-mail and was not found by it: there it is not verified",
			"username " + hash + ": free: the new account gets it",
		}},
		{"a refused username", nil, identity("acme", "alice", username("a:b")), []string{
			link, mail + "none: no account has this verified e-mail",
			"username a:b: refused: it has a colon, which only users without an account have",
			"username " + hash + ": free: the new account gets it",
		}},
		{"quarantine", func(h *house) {
			h.conf.JITProvisioning.Quarantine = time.Hour
			h.open()
			h.resolve(identity("partner", "alice"))
			if err := h.directory.Delete(h.t.Context(), "alice"); err != nil {
				h.t.Fatal(err)
			}
		}, identity("acme", "alice"), []string{
			link, mail + "barred: it belonged to another identity's account that was deleted; others get it after 2026-03-01T10:00:00Z",
		}},
		{"a link that leads nowhere", func(h *house) {
			h.resolve(identity("acme", "alice"))
			if _, err := h.store.Take(h.t.Context(), accountKey(h.show("alice").ID)); err != nil {
				h.t.Fatal(err)
			}
		}, identity("acme", "alice"), []string{
			"link alice: none: what once led from this identity to an account leads to none any more",
			mail + "none: no account has this verified e-mail", free,
		}},
		{"JIT is off", nil, identity("guest", "alice"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t, nil)
			if tt.before != nil {
				tt.before(h)
			}
			if diff := cmp.Diff(tt.want, candidates(h.explain(tt.id))); diff != "" {
				t.Errorf("candidates (-want +got):\n%s", diff)
			}
		})
	}
}

// For who must prove an account first, the account is shown as it would be
// afterwards.
func TestExplainConfirm(t *testing.T) {
	h := newHouse(t, nil)
	v := h.add(New{Username: "ada", Email: "alice@people.example", Attributes: map[string][]string{"department": {"local"}}})
	h.resolve(identity("partner", "p-1", email("alice@people.example", true)))
	h.creds.passwords[v.ID], h.creds.factors[v.ID] = true, true
	e := h.explain(identity("acme", "alice"))
	want := &auth.Confirmation{
		Account: v.ID, Username: "ada", Email: "alice@people.example", Password: true,
		Connections: []string{"partner"}, Why: "it has a second factor",
	}
	if diff := cmp.Diff(want, e.Confirmation); diff != "" || e.Verdict != auth.Confirm || !e.SecondFactor {
		t.Errorf("verdict %s, factor %v; to prove (-want +got):\n%s", e.Verdict, e.SecondFactor, diff)
	}
	if e.After == nil || len(e.After.Links) != 2 || e.Person == nil || e.Person.User != "ada" || e.Person.Attributes["department"][0] != "research" {
		t.Errorf("once proved: %+v, %+v", e.After, e.Person)
	}
}

func TestExplainErrors(t *testing.T) {
	h := newHouse(t, nil)
	if _, err := h.resolver.Explain(t.Context(), auth.Identity{Connection: "acme", Issuer: issuerOf("acme")}); !errors.Is(err, auth.ErrInvalidAnswer) {
		t.Errorf("no subject: %v", err)
	}
	down := memory.New()
	if err := down.Close(); err != nil {
		t.Fatal(err)
	}
	_, r := h.replica(down)
	if _, err := r.Explain(t.Context(), identity("acme", "alice")); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("no store: %v", err)
	}
	// Who passes through needs none.
	if e, err := r.Explain(t.Context(), identity("guest", "gus")); err != nil || e.Verdict != auth.PassThrough {
		t.Errorf("pass-through: %+v, %v", e, err)
	}
	h.creds.err = auth.ErrStoreDown
	h.add(New{Username: "alice", Email: "alice@people.example"})
	if _, err := h.resolver.Explain(t.Context(), identity("acme", "alice")); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("no credentials: %v", err)
	}
}

// The warning that a connection's e-mails are not verified comes once; to
// explain must not use it up, nor say it.
func TestExplainIsNotLogged(t *testing.T) {
	h := newHouse(t, nil)
	if _, err := h.resolver.Explain(t.Context(), identity("acme", "alice", email("a@b.example", false))); err != nil {
		t.Fatal(err)
	}
	if h.resolver.connections["acme"].warned.Load() {
		t.Error("the warning is used up")
	}
}
