package provision

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// riskHouse is a house where acme says of each sign-in how risky it is.
func riskHouse(t *testing.T, mode string, change ...func(*config.JITProvisioning)) *house {
	h := newHouse(t, nil)
	h.conn("acme").JIT.AttributeSync = config.SyncPreserveLocal
	h.conn("acme").Attributes = []config.Attribute{{Name: "risk", From: []string{"risk"}, Mode: mode}}
	for _, f := range change {
		f(&h.conf.JITProvisioning)
	}
	h.open()
	return h
}

func risk(values ...string) func(*auth.Identity) {
	return func(id *auth.Identity) {
		id.Attributes = map[string][]string{"department": {"research"}}
		if values != nil {
			id.Attributes["risk"] = values
		}
	}
}

// sessionOf is the session that auth/signin would make.
func sessionOf(o auth.Outcome) *auth.Session {
	s := session(o)
	if o.Account != "" {
		s.Identity.Attributes = o.SessionOnly
	}
	return s
}

func (h *house) person(s *auth.Session) *auth.Person {
	h.t.Helper()
	p, err := h.resolver.Person(h.t.Context(), s)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// TestSessionOnly: such an attribute reaches the headers of its own session,
// over what the account has, and no store of accounts.
func TestSessionOnly(t *testing.T) {
	h := riskHouse(t, config.ModeSessionOnly)
	first := h.resolve(identity("acme", "alice", risk("high")))
	second := h.resolve(identity("acme", "alice", risk("low")))
	silent := h.resolve(identity("acme", "alice", risk()))
	if second.Verdict != auth.Unchanged {
		t.Errorf("a sign-in with another risk is %s", second.Verdict)
	}
	if _, stored := h.show("alice").Attributes["risk"]; stored {
		t.Error("it is stored")
	}
	wants := map[*auth.Session][]string{sessionOf(first): {"high"}, sessionOf(second): {"low"}, sessionOf(silent): nil}
	judge := func(others []string, more map[*auth.Session][]string) {
		t.Helper()
		maps.Copy(wants, more)
		for s, want := range wants {
			if want == nil {
				want = others
			}
			if got := h.person(s).Attributes["risk"]; !cmp.Equal(want, got) {
				t.Errorf("risk %q, want %q", got, want)
			}
		}
	}
	judge(nil, nil)
	local := sessionOf(h.resolve(auth.Identity{Connection: auth.Local, Subject: first.Account}))
	judge(nil, map[*auth.Session][]string{local: nil})
	// An administrator's value is the account's: of the sessions that have none
	// of their own. Of the others it changes everything but this.
	if _, err := h.directory.Set(t.Context(), "alice", Edit{Attributes: map[string][]string{"risk": {"unknown"}, "desk": {"12"}}}); err != nil {
		t.Fatal(err)
	}
	judge([]string{"unknown"}, nil)
	for s := range wants {
		if got := h.person(s).Attributes["desk"]; !cmp.Equal(got, []string{"12"}) {
			t.Errorf("desk is %q", got)
		}
	}
	blank := sessionOf(h.resolve(identity("acme", "alice", attributes(map[string][]string{"risk": {}}))))
	if got, has := h.person(blank).Attributes["risk"]; !has || len(got) != 0 {
		t.Errorf("sent blank, it is %q", got)
	}
}

// What is made of a person, such as headers, is made once: one that has not
// changed is the same pointer on each request.
func TestSessionOnlyIsCached(t *testing.T) {
	h := riskHouse(t, config.ModeSessionOnly)
	s := sessionOf(h.resolve(identity("acme", "alice", risk("high"))))
	first := h.person(s)
	if h.person(s) != first {
		t.Error("made anew")
	}
	if allocs := testing.AllocsPerRun(100, func() { h.person(s) }); allocs > 0 {
		t.Errorf("%v allocations a request", allocs)
	}
	other := *s
	other.Identity.Attributes = map[string][]string{"risk": {"low"}}
	if got := h.person(&other).Attributes["risk"]; !cmp.Equal(got, []string{"low"}) || h.person(s).Attributes["risk"][0] != "high" {
		t.Errorf("one session has the risk of another: %q", got)
	}
	if _, err := h.directory.Set(t.Context(), "alice", Edit{Groups: &[]string{"crew"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"staff", "crew"}, h.person(s).Groups); diff != "" {
		t.Errorf("after a change of the account: %s", diff)
	}
}

// Attack: so many sign in that two sessions share a place of the table, and one
// of them is the other.
func TestSessionsAreNotMixedUp(t *testing.T) {
	h := riskHouse(t, config.ModeSessionOnly)
	made := map[string]*auth.Session{
		"acme": sessionOf(h.resolve(identity("acme", "alice", risk("high")))), "guest": sessionOf(h.resolve(identity("guest", "gus"))),
	}
	sessions := map[string]*auth.Session{}
	for i := range 2 * len(h.resolver.held) {
		for connection, like := range made {
			s := *like
			s.Identity.Attributes = map[string][]string{"risk": {fmt.Sprint(connection, i)}}
			sessions[s.Identity.Attributes["risk"][0]] = &s
		}
	}
	for range 2 {
		for want, s := range sessions {
			if p := h.person(s); p.Attributes["risk"][0] != want || p.Connection != s.Identity.Connection {
				t.Fatalf("the session of %s is that of %+v", want, p)
			}
		}
	}
}

// What was stored before it was for sessions only goes, and what is protected
// or left to others does not come in by way of a session.
func TestSessionOnlyHasTheSameLimits(t *testing.T) {
	h := riskHouse(t, config.ModeOverride)
	h.resolve(identity("acme", "alice", risk("high")))
	h.conn("acme").Attributes[0].Mode = config.ModeSessionOnly
	h.open()
	if o := h.resolve(identity("acme", "alice", risk("high"))); o.Verdict != auth.Updated || !cmp.Equal(o.SessionOnly, map[string][]string{"risk": {"high"}}) {
		t.Errorf("%s, %v", o.Verdict, o.SessionOnly)
	}
	if _, stored := h.show("alice").Attributes["risk"]; stored {
		t.Error("it is still stored")
	}
	for name, change := range map[string]func(*config.JITProvisioning){
		"protected": func(p *config.JITProvisioning) { p.ProtectedAttributes = []string{"risk"} },
		"others":    func(p *config.JITProvisioning) { p.AttributeSources = map[string][]string{"risk": {"partner"}} },
		"outranked": func(p *config.JITProvisioning) { p.AttributeSources = map[string][]string{"risk": {"local", "acme"}} },
	} {
		h := riskHouse(t, config.ModeSessionOnly, change)
		h.add(New{Username: "alice", Email: "alice@people.example", Attributes: map[string][]string{"risk": {"none"}}})
		o := h.resolve(identity("acme", "alice", risk("high")))
		if got := h.person(sessionOf(o)).Attributes["risk"]; !cmp.Equal(got, []string{"none"}) {
			t.Errorf("%s: risk %q", name, got)
		}
	}
}

// A person who passes through keeps everything, and the policies of accounts
// mean nothing to them.
func TestPoliciesDoNotReachPassThrough(t *testing.T) {
	h := newHouse(t, nil)
	for _, mode := range []string{config.ModeSessionOnly, config.ModeImportOnce, config.ModePreserve} {
		h.conn("guest").Attributes = append(h.conn("guest").Attributes, config.Attribute{Name: mode, From: []string{mode}, Mode: mode})
	}
	h.conf.JITProvisioning.AttributeSources = map[string][]string{"preserve": {"acme"}}
	h.open()
	all := map[string][]string{config.ModeSessionOnly: {"a"}, config.ModeImportOnce: {"b"}, config.ModePreserve: {"c"}}
	o := h.resolve(identity("guest", "gus", attributes(all)))
	if diff := cmp.Diff(all, h.person(sessionOf(o)).Attributes); diff != "" || o.SessionOnly != nil {
		t.Errorf("session only: %v; %s", o.SessionOnly, diff)
	}
}
