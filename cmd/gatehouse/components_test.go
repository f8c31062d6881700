package main

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/internal/mail"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
)

// TestComponents: what went wrong last is said until it has gone well, and who
// signs in can say nothing false of a provider.
func TestComponents(t *testing.T) {
	p := newProcess(memory.New(), &store.LocalBus{}, slog.New(slog.DiscardHandler))
	const acme, other = componentConnection + "acme", componentConnection + "other"
	states := func() (got map[string]bool) {
		got = map[string]bool{}
		for _, name := range []string{componentMail, acme, other} {
			c := p.troubles.state(name)
			if c.Name != name || c.OK != c.Since.IsZero() || c.OK != (c.Reason == "") || c.OK != (c.Do == "") {
				t.Errorf("%s is %+v", name, c)
			}
			got[name] = c.OK
		}
		return got
	}
	wants := func(what string, mails, acmes bool) {
		t.Helper()
		if diff := cmp.Diff(map[string]bool{componentMail: mails, acme: acmes, other: true}, states()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	wants("at first", true, true)
	p.mailed(mail.CountRetried)
	p.signedIn("acme", "provider_down")
	wants("after failures", false, false)
	since := p.troubles.state(acme).Since
	for _, outcome := range []string{"wrong_password", "invalid_answer", "invalid_state", "provider_refused", "provider_down"} {
		p.signedIn("acme", outcome)
	}
	p.mailed(mail.CountQueued)
	p.mailed(mail.CountExpired)
	wants("after what says nothing new", false, false)
	if now := p.troubles.state(acme).Since; !now.Equal(since) {
		t.Errorf("since %s, and that was %s", now, since)
	}
	p.mailed(mail.CountSent)
	p.signedIn("acme", "success")
	wants("after successes", true, true)
	for _, outcome := range []string{"invalid_answer", "provider_refused", "invalid_state", "malformed"} {
		p.signedIn("acme", outcome) // a stranger can cause these
	}
	wants("after strangers", true, true)
}

func TestComponentsOfTheProcess(t *testing.T) {
	p := newProcess(memory.New(), &store.LocalBus{}, slog.New(slog.DiscardHandler))
	down := errors.New("connection refused")
	at := time.Unix(1_700_000_000, 0).UTC()
	ok := func(name string) component { return component{Name: name, OK: true} }
	for _, tt := range []struct {
		name    string
		unready error
		reload  *reloaded
		want    []component
	}{
		{"well", nil, &reloaded{OK: true, Time: at}, []component{ok("process"), ok("store"), ok("configuration")}},
		{"ending", errDraining, nil, []component{
			{Name: "process", Reason: errDraining.Error()}, {Name: "store", Reason: "not asked"}, ok("configuration"),
		}},
		{"store down", down, nil, []component{ok("process"), {Name: "store", Reason: "connection refused"}, ok("configuration")}},
		{"reload refused", nil, &reloaded{Time: at, Problems: []string{"a", "b"}}, []component{
			ok("process"), ok("store"), {Name: "configuration", Reason: "the file was refused: 2 problems", Since: at},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := p.components(tt.unready, tt.reload)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(component{}, "Do")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, c := range got {
				if asked := c.Reason != "not asked"; c.OK && c.Do != "" || !c.OK && asked && c.Do == "" {
					t.Errorf("%s says to do %q", c.Name, c.Do)
				}
			}
		})
	}
}
