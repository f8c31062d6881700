package session_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"gatehouse/auth"
)

// Who has proved more goes on under a new id: one that was copied before is
// worth nothing after it, and the session does not live longer for it.
func TestRenew(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	b := &browser{}
	old := b.start(t, s, of("ada"))
	copied := *b
	w.advance(time.Hour)

	n := *old
	n.Client = auth.Client{Address: "192.0.2.7", Agent: "Firefox"} // from where it was started
	n.Proved = w.now()
	n.Identity.AMR = []string{"pwd", "otp", "mfa"}
	answer := httptest.NewRecorder()
	elsewhere := auth.WithClient(t.Context(), auth.Client{Address: "192.0.2.8", Agent: "curl"})
	renewed, err := s.Renew(answer, b.request().WithContext(elsewhere), n)
	if err != nil {
		t.Fatal(err)
	}
	b.take(answer)
	if renewed.ID == old.ID || !renewed.Created.Equal(old.Created) || !renewed.Proved.Equal(w.now()) {
		t.Errorf("%+v", renewed)
	}
	if in(t, s, &copied) {
		t.Error("the old id is alive")
	}
	got, _, err := s.Authenticate(b.request())
	if err != nil || !got.Proved.Equal(n.Proved) || len(got.Identity.AMR) != 3 || got.Client != n.Client {
		t.Errorf("%+v, %v", got, err)
	}
	// A proof of a session that has ended makes none of it.
	if _, err := s.Renew(httptest.NewRecorder(), b.request(), n); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("renewed twice: %v", err)
	}
	// Attack: give the password, wait until it was changed and everybody signed
	// out, and come back by the proof.
	w.advance(time.Second)
	if _, err := s.EndOthers(t.Context(), "ada", renewed.ID); err != nil {
		t.Fatal(err)
	}
	late := *renewed
	late.Proved = n.Proved
	if _, err := s.Renew(httptest.NewRecorder(), b.request(), late); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("an overtaken proof: %v", err)
	}
	w.advance(24 * time.Hour)
	if in(t, s, b) {
		t.Error("the session outlives its time")
	}
}

// Trouble with the store signs nobody out, wherever in the renewal it begins:
// the session goes on under its old id, which is the one that the browser has.
func TestRenewInTrouble(t *testing.T) {
	for name, breaks := range map[string]func(w *world){
		"at once":          func(w *world) { w.store.down.Store(true) },
		"at the new":       func(w *world) { w.store.beforeUpdating = func(string) { w.store.down.Store(true) } },
		"at the old's end": func(w *world) { w.store.beforeTaking = func(string) { w.store.down.Store(true) } },
	} {
		w := newWorld(t)
		s := w.replica()
		b := &browser{}
		n := *b.start(t, s, of("ada"))
		n.Proved = w.now()
		breaks(w)
		answer := httptest.NewRecorder()
		if _, err := s.Renew(answer, b.request(), n); !errors.Is(err, auth.ErrStoreDown) || len(answer.Header()) > 0 {
			t.Errorf("%s: %v, headers %v", name, err, answer.Header())
		}
		w.store.down.Store(false)
		w.advance(5 * time.Second)
		if !in(t, s, b) {
			t.Errorf("%s: signed out", name)
		}
	}
}

// Attack: have a proof under way while the session is ended, and be back under
// the new id.
func TestRenewWhileTheSessionEnds(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	end := func(id string) func(string) {
		return func(string) {
			if err := s.EndID(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
	}
	for name, while := range map[string]func(id string){
		"before the new": func(id string) { w.store.beforeUpdating = end(id) },
		"after the new":  func(id string) { w.store.beforeTaking = end(id) },
	} {
		b := &browser{}
		n := *b.start(t, s, of("ada"))
		n.Proved = w.now()
		while(n.ID)
		answer := httptest.NewRecorder()
		if _, err := s.Renew(answer, b.request(), n); !errors.Is(err, auth.ErrUnauthenticated) || len(answer.Header()) > 0 {
			t.Errorf("%s: %v, headers %v", name, err, answer.Header())
		}
		err := s.Open(t.Context(), "ada", func(left *auth.Session) error {
			t.Errorf("%s: %+v is open", name, left)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
