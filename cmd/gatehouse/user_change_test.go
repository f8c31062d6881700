package main

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/provision"
)

// readOnly is a store that has gone for whoever writes.
type readOnly struct{ store.Store }

func (readOnly) Update(context.Context, string, func([]byte) ([]byte, time.Duration, error)) error {
	return store.ErrDown
}

// Whoever is signed in with a password that a stranger knows is put out before
// the new one is set, or the store could go between the two.
func TestNoNewPasswordBesideOldSessions(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	s, err := openState(t.Context(), p.load(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ada, err := s.directory.Add(t.Context(), provision.New{Username: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	s.sessions.Store = readOnly{s.store}
	if _, err := s.administration().setPassword(t.Context(), ada, goodPassword, io.Discard); err == nil {
		t.Error("no error")
	}
	if has, err := s.passwords.HasPassword(t.Context(), ada.ID); has || err != nil {
		t.Errorf("has a password: %v, %v", has, err)
	}
}
