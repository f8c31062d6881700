package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/mail"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/provision"
)

// mailingState is a state whose mails are queued and not sent.
func mailingState(t *testing.T, log *strings.Builder) *state {
	t.Helper()
	s := &state{process: newProcess(memory.New(), &store.LocalBus{}, slog.New(slog.NewTextHandler(log, nil))), cfg: &config.Config{}}
	if err := s.openKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.directory = &provision.Directory{Store: s.store, Index: s.index, Log: s.log}
	s.mail = mail.New(mail.Config{Store: s.store, Sealer: s.keyring, Log: s.log})
	return s
}

func waiting(t *testing.T, s *state) (all []string) {
	t.Helper()
	entries, err := s.mail.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.To+" "+e.Kind)
	}
	return all
}

// Word of an account goes to the address that is known to be its owner's, and
// to no other.
func TestWhoIsTold(t *testing.T) {
	var log strings.Builder
	s := mailingState(t, &log)
	add := func(username, email string) string {
		v, err := s.directory.Add(t.Context(), provision.New{Username: username, Email: email})
		if err != nil {
			t.Fatal(err)
		}
		return v.ID
	}
	ada, bob := add("ada", "ada@corp.example"), add("bob", "")
	tell := chronicle{s}
	tell.Happened(t.Context(), ada, auth.EventFactorEnrolled, "totp")
	tell.Happened(t.Context(), ada, auth.EventUnlocked, "") // no way in has changed
	tell.Happened(t.Context(), bob, auth.EventFactorEnrolled, "totp")
	if diff := cmp.Diff([]string{"ada@corp.example second_factor_enrolled"}, waiting(t, s)); diff != "" {
		t.Error(diff)
	}
	s.administration().note(t.Context(), ada, auth.EventFactorsReset, &strings.Builder{})
	if diff := cmp.Diff([]string{"ada@corp.example second_factor_enrolled", "ada@corp.example second_factors_reset"}, waiting(t, s)); diff != "" {
		t.Error(diff)
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log.String())
	}
	tell.Happened(t.Context(), "nobody", auth.EventPasswordChanged, "")
	if !strings.Contains(log.String(), "could not be mailed") {
		t.Errorf("log: %s", log.String())
	}
}

// Whoever has changed the password of another's account must not be able to
// keep the owner from hearing of it by hanging up.
func TestHangingUpHidesNothing(t *testing.T) {
	s := mailingState(t, &strings.Builder{})
	ada, err := s.directory.Add(t.Context(), provision.New{Username: "ada", Email: "ada@corp.example"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	chronicle{s}.Happened(ctx, ada.ID, auth.EventPasswordChanged, "")
	if diff := cmp.Diff([]string{"ada@corp.example password_changed"}, waiting(t, s)); diff != "" {
		t.Error(diff)
	}
	h, err := s.directory.History(t.Context(), "ada")
	if err != nil || h.Entries[len(h.Entries)-1].Event != string(auth.EventPasswordChanged) {
		t.Errorf("history %+v, %v", h, err)
	}
}

func TestParseMail(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "which command?"},
		{"send", `there is no command "send"`},
		{"list x", `unexpected argument "x"`},
		{"list --all", "flag provided but not defined: -all"},
		{"retry", "retry needs either ids of mails or --all"},
		{"drop a --all", "drop needs either ids of mails or --all"},
		{"drop a b", ""},
		{"retry --all", ""},
		{"list --json", ""},
	} {
		_, err := parseMail(strings.Fields(c.args))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("mail %s: %q, want %q", c.args, got, c.want)
		}
	}
}
