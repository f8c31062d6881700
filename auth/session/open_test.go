package session_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"gatehouse/auth"
)

func TestOpen(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	open := func(account string) []string {
		t.Helper()
		ids := []string{}
		if err := s.Open(t.Context(), account, func(sess *auth.Session) error {
			ids = append(ids, sess.ID)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(ids)
		return ids
	}
	want := []string{}
	for range 20 {
		want = append(want, (&browser{}).start(t, s, of("alice")).ID)
	}
	other := (&browser{}).start(t, s, of("bob")).ID
	(&browser{}).start(t, s, federated("somebody without an account", ""))
	slices.Sort(want)
	if got := open("alice"); !slices.Equal(got, want) {
		t.Errorf("alice's: %v, want %v", got, want)
	}
	if got := open("bob"); !slices.Equal(got, []string{other}) {
		t.Errorf("bob's: %v, want %v", got, other)
	}
	for _, nobody := range []string{"", "carol"} {
		if got := open(nobody); len(got) > 0 {
			t.Errorf("%q has %v", nobody, got)
		}
	}
	if err := s.EndID(t.Context(), want[0]); err != nil {
		t.Fatal(err)
	}
	if got := open("alice"); !slices.Equal(got, want[1:]) {
		t.Errorf("after one was ended: %v, want %v", got, want[1:])
	}
	stop := errors.New("enough")
	if err := s.Open(t.Context(), "alice", func(*auth.Session) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want that of the function", err)
	}
	w.store.down.Store(true)
	if err := s.Open(t.Context(), "alice", func(*auth.Session) error { return nil }); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("without a store: %v", err)
	}
	w.store.down.Store(false)
	w.advance(9 * time.Hour) // idle too long
	if got := open("alice"); len(got) > 0 {
		t.Errorf("of those that have ended: %v", got)
	}
}
