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
	n.Proved = w.now()
	n.Identity.AMR = []string{"pwd", "otp", "mfa"}
	answer := httptest.NewRecorder()
	renewed, err := s.Renew(answer, b.request(), n)
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
	if err != nil || !got.Proved.Equal(n.Proved) || len(got.Identity.AMR) != 3 {
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
