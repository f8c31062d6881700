package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
)

// Somebody says that they cannot sign in: the administrator sees that the
// account waits, and until when, and nothing of it where it does not.
func TestShowTellsThatAnAccountWaits(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.must(t, "", "user", "add", "ada")
	id := p.shown(t, "ada").ID
	waits := func(want bool) {
		t.Helper()
		out := p.must(t, "", "user", "show", "ada").stdout
		left := time.Until(p.shown(t, "ada").WaitsUntil)
		if strings.Contains(out, "attempts") != want || (left > 0) != want {
			t.Errorf("it waits for %s, want that: %t\n%s", left, want, out)
		}
	}
	waits(false)
	p.use(t, func(a *state) {
		// Minutes of attempts, none of which is waited for.
		later := time.Now()
		a.passwords.Throttle.Now = func() time.Time { return later }
		for range 12 {
			_, err := a.passwords.Throttle.Begin(t.Context(), id, "")
			if throttled, ok := errors.AsType[*auth.Throttled](err); ok {
				later = later.Add(throttled.RetryAfter)
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
	waits(true)
	p.must(t, "", "user", "unlock", "ada")
	waits(false)
}
