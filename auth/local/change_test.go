package local

import (
	"errors"
	"testing"

	"gatehouse/auth"
	"gatehouse/internal/throttle"
)

// Attack: whoever is in a session sends changes, which wait for their turn, while
// an administrator or the owner sets another password; or sends a second one for
// the same proof.
func TestChangeReplacesOnlyWhatWasProved(t *testing.T) {
	p, _, at := clocked(t)
	proved := p.now()
	at.Add(1)
	if err := p.Change(t.Context(), "a1", "the owner's other one", proved); err != nil {
		t.Fatal(err)
	}
	if err := p.Change(t.Context(), "a1", "a second for one proof", proved); !errors.Is(err, auth.ErrInvalidState) {
		t.Errorf("for a proof of the former password: %v, want ErrInvalidState", err)
	}
	if err := p.Change(t.Context(), "a1", "weak", p.now()); !errors.As(err, new(*auth.Unsuitable)) {
		t.Errorf("a weak one: %v", err)
	}
	// Judged when it is written, too.
	if err := setBefore(nil, p.now()); !errors.Is(err, auth.ErrInvalidState) {
		t.Errorf("without a password: %v, want ErrInvalidState", err)
	}
	if _, err := p.Authenticate(t.Context(), "ada", "the owner's other one"); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// Whoever changes their password on a device goes on there as on a known one,
// whatever strangers guess; all others are forgotten, and told of as new.
func TestChangeKeepsItsDevice(t *testing.T) {
	p, _ := newPasswords(t)
	remembered := func(present string) (string, bool) {
		t.Helper()
		device, isNew, err := p.Remember(throttle.WithDevice(t.Context(), present), "a1")
		if err != nil {
			t.Fatal(err)
		}
		return device, isNew
	}
	stolen, _ := remembered("")
	own, _ := remembered("")
	if err := p.Change(throttle.WithDevice(t.Context(), own), "a1", right+", changed", p.now()); err != nil {
		t.Fatal(err)
	}
	for range 2 * throttle.Free {
		_, _ = p.Authenticate(throttle.WithDevice(t.Context(), stolen), "ada", "wrong")
	}
	if _, err := p.Authenticate(throttle.WithDevice(t.Context(), own), "ada", right+", changed"); err != nil {
		t.Errorf("on the device of the change: %v", err)
	}
	if _, isNew := remembered(own); isNew {
		t.Error("the device of the change is told of as new")
	}
	if err := p.SetPassword(t.Context(), "a1", "an administrator's own"); err != nil {
		t.Fatal(err)
	}
	if _, isNew := remembered(own); !isNew {
		t.Error("after all were forgotten the first device is not told of")
	}
}
