package throttle_test

import (
	"testing"
	"time"

	"gatehouse/internal/throttle"
)

// An account waits where anybody at it does: under one of its logins, or its
// owner in their own browser.
func TestWaitsUntil(t *testing.T) {
	waits := func(th *throttle.Throttle, clock *clock) time.Duration {
		t.Helper()
		until, err := th.WaitsUntil(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if until.IsZero() {
			return 0
		}
		return until.Sub(clock.now())
	}
	for name, try := range map[string]func(th *throttle.Throttle, device string){
		"no login": func(th *throttle.Throttle, _ string) { attempt(t, th, "a", "") },
		"a login": func(th *throttle.Throttle, _ string) {
			if _, err := th.BeginLogin(t.Context(), "a", "ann", ""); err != nil {
				t.Fatal(err)
			}
		},
		"a known device": func(th *throttle.Throttle, device string) { attempt(t, th, "a", device) },
	} {
		t.Run(name, func(t *testing.T) {
			th, clock, _ := newThrottle()
			device := remember(t, th, "a", "")
			for range throttle.Free - 1 {
				try(th, device)
			}
			if got := waits(th, clock); got != 0 {
				t.Errorf("waits %s after the free attempts but one", got)
			}
			try(th, device)
			if got := waits(th, clock); got != 2*time.Second {
				t.Errorf("waits %s", got)
			}
			clock.advance(2 * time.Second)
			if got := waits(th, clock); got != 0 {
				t.Errorf("waits %s when the wait is over", got)
			}
			try(th, device)
			if err := th.Unlock(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if got := waits(th, clock); got != 0 {
				t.Errorf("waits %s after an unlock", got)
			}
		})
	}

	// A login that goes on while the account is closed waits for longer than it.
	th, clock, _ := newThrottle()
	for range throttle.Free {
		attempt(t, th, "a", "")
	}
	clock.advance(time.Second)
	for range throttle.Free {
		if _, err := th.BeginLogin(t.Context(), "a", "ann", ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := waits(th, clock); got != 2*time.Second {
		t.Errorf("waits %s, and the login does for 2s", got)
	}
}
