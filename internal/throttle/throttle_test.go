package throttle_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/throttle"
)

// names is an index that keeps names readable.
type names struct{}

func (names) Hash(kind string, parts ...string) string { return kind + "/" + strings.Join(parts, "/") }

// clock is a clock that tests move.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}
func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newThrottle() (*throttle.Throttle, *clock, *memory.Store) {
	c := newClock()
	st := &memory.Store{Now: c.now}
	return &throttle.Throttle{Store: st, Index: names{}, Now: c.now}, c, st
}

// attempt begins one attempt and returns how long it must wait, 0 if it may be
// judged.
func attempt(t *testing.T, th *throttle.Throttle, account, device string) time.Duration {
	t.Helper()
	_, err := th.Begin(t.Context(), account, device)
	var throttled *auth.Throttled
	switch {
	case errors.As(err, &throttled):
		return throttled.RetryAfter
	case err != nil:
		t.Fatal(err)
	}
	return 0
}

// A few attempts are free, then each delay is twice the last, up to a lock
// that has an end.
func TestSchedule(t *testing.T) {
	th, clock, _ := newThrottle()
	var waits []time.Duration
	for range 18 {
		if wait := attempt(t, th, "a", ""); wait != 0 {
			t.Fatalf("attempt after its wait was refused for %s", wait)
		}
		wait := attempt(t, th, "a", "")
		if wait == 0 { // a free one: it counted too
			waits = append(waits, 0, 0)
			continue
		}
		waits = append(waits, wait)
		clock.advance(wait)
	}
	s := time.Second
	want := []time.Duration{
		0, 0, 0, 0, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s, 512 * s,
		900 * s, 900 * s, 900 * s, 900 * s, 900 * s, 900 * s, 900 * s,
	}
	if d := cmp.Diff(want, waits); d != "" {
		t.Errorf("waits (-want +got):\n%s", d)
	}
}

// Attack: keep knocking, so that the owner's lock never ends.
func TestRefusedAttemptsDoNotLengthenTheLock(t *testing.T) {
	th, clock, _ := newThrottle()
	for range throttle.Free {
		attempt(t, th, "a", "")
	}
	for range 9 {
		clock.advance(200 * time.Millisecond)
		if wait := attempt(t, th, "a", ""); wait == 0 {
			t.Fatal("attempt passed before its time")
		}
	}
	clock.advance(200 * time.Millisecond)
	if wait := attempt(t, th, "a", ""); wait != 0 {
		t.Errorf("the lock was lengthened by %s", wait)
	}
}

// Attack: send all guesses at once, at several replicas, so that each is
// judged before any is counted.
func TestParallelAttemptsAreCountedFirst(t *testing.T) {
	th, _, st := newThrottle()
	replica := &throttle.Throttle{Store: st, Index: names{}, Now: th.Now}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		at := th
		if i%2 == 0 {
			at = replica
		}
		wg.Go(func() {
			_, err := at.Begin(context.Background(), "a", "")
			var throttled *auth.Throttled
			switch {
			case err == nil:
				passed.Add(1)
			case !errors.As(err, &throttled):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := passed.Load(); got != throttle.Free {
		t.Errorf("%d of 200 parallel attempts were judged, want %d", got, throttle.Free)
	}
}

// Attack: with a stolen password, guess codes; after every few wrong ones give
// the right password, which is counted as a success.
func TestRefundKeepsEarlierAttempts(t *testing.T) {
	th, _, _ := newThrottle()
	for wrong := range throttle.Free - 1 {
		right, err := th.Begin(t.Context(), "a", "")
		if err != nil {
			t.Fatalf("right password after %d wrong codes: %v", wrong, err)
		}
		if err := right.Refund(t.Context()); err != nil {
			t.Fatal(err)
		}
		attempt(t, th, "a", "") // a wrong code
	}
	attempt(t, th, "a", "")
	if attempt(t, th, "a", "") == 0 {
		t.Error("wrong codes were forgotten after a right password")
	}
}

// A right step that was made after a delay must not make the next step wait.
func TestRefundGivesTheDelayBack(t *testing.T) {
	th, clock, _ := newThrottle()
	for range throttle.Free {
		attempt(t, th, "a", "")
	}
	clock.advance(2 * time.Second)
	right, err := th.Begin(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := right.Refund(t.Context()); err != nil {
		t.Fatal(err)
	}
	if wait := attempt(t, th, "a", ""); wait != 0 {
		t.Errorf("the step after a right one waits %s", wait)
	}
	if wait := attempt(t, th, "a", ""); wait != 4*time.Second {
		t.Errorf("a wrong step then waits %s, want 4s", wait)
	}
}

func TestRefundOfTheOnlyAttemptLeavesNothing(t *testing.T) {
	th, _, st := newThrottle()
	right, err := th.Begin(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := right.Refund(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, st); len(got) != 0 {
		t.Errorf("records left: %q", got)
	}
}

func TestReset(t *testing.T) {
	th, _, _ := newThrottle()
	for range throttle.Free {
		attempt(t, th, "a", "")
	}
	if err := th.Reset(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	for i := range throttle.Free {
		if wait := attempt(t, th, "a", ""); wait != 0 {
			t.Errorf("attempt %d after a reset waits %s", i+1, wait)
		}
	}
}

// Attack: tell which logins name one account, by how long and how often the
// attempts under one are remembered while there are others.
func TestLoginsOfOneAccountLookApart(t *testing.T) {
	// What somebody sees who tries the login "b" now and then, so often each
	// time, while an account is tried as "a" all the time, so often.
	watch := func(account string, each, others int) (seen []time.Duration) {
		th, clock, _ := newThrottle()
		for range 20 {
			for range each {
				_, err := th.BeginLogin(t.Context(), account, "b", "")
				slow, _ := errors.AsType[*auth.Throttled](err)
				if slow == nil {
					slow = &auth.Throttled{}
				}
				seen = append(seen, slow.RetryAfter)
			}
			for range 7 {
				for range others {
					_, _ = th.BeginLogin(t.Context(), "account", "a", "")
				}
				clock.advance(9 * time.Minute)
			}
		}
		return seen
	}
	for _, each := range []int{3, 7} { // forgotten within the hour; locked
		want := watch("nobody", each, 0)
		for _, others := range []int{0, 1, 4, 8} {
			if d := cmp.Diff(want, watch("account", each, others)); d != "" {
				t.Errorf("%d attempts beside %d others (-alone +beside):\n%s", each, others, d)
			}
		}
	}
}

// Attack: a full quota of guesses under each login of an account.
func TestLoginsOfOneAccountCountTogether(t *testing.T) {
	th, clock, st := newThrottle()
	judged := 0
	for _, login := range []string{"a", "b", "c"} {
		for range throttle.Free - 1 {
			a, err := th.BeginLogin(t.Context(), "account", login, "")
			if err != nil {
				t.Fatal(err)
			}
			if !a.Closed {
				judged++
			}
		}
	}
	if judged != throttle.Free {
		t.Errorf("%d attempts were judged, want %d", judged, throttle.Free)
	}
	// A second factor is proved by somebody who knows the account.
	if attempt(t, th, "account", "") == 0 {
		t.Error("a code is judged on a closed account")
	}
	// Closed attempts do not lengthen the lock.
	clock.advance(2 * time.Second)
	a, err := th.BeginLogin(t.Context(), "account", "d", "")
	if err != nil || a.Closed {
		t.Fatalf("after the lock: %v, %v", a, err)
	}
	if err := a.Refund(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := th.Reset(t.Context(), "account", ""); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, st); len(got) != 0 {
		t.Errorf("records left: %q", got)
	}
}

// A stranger can make a counter for every name: each must go by itself.
func TestCountersExpire(t *testing.T) {
	tests := []struct {
		name     string
		attempts int
		quiet    time.Duration
	}{
		{"free", 1, time.Hour},
		{"delayed", throttle.Free, 4*time.Hour + 2*time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			th, clock, st := newThrottle()
			for range tt.attempts {
				attempt(t, th, "a", "")
			}
			clock.advance(tt.quiet - time.Millisecond)
			if len(keys(t, st)) != 1 {
				t.Error("the counter was gone too early")
			}
			clock.advance(time.Millisecond)
			if got := keys(t, st); len(got) != 0 {
				t.Errorf("records left: %q", got)
			}
		})
	}
}

func TestStoreTrouble(t *testing.T) {
	th, _, st := newThrottle()
	attempt, err := th.Begin(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	_, beginErr := th.Begin(t.Context(), "a", "")
	_, _, rememberErr := th.Remember(t.Context(), "a", "")
	for name, err := range map[string]error{
		"begin": beginErr, "remember": rememberErr, "refund": attempt.Refund(t.Context()),
		"reset": th.Reset(t.Context(), "a", ""), "forget": th.Forget(t.Context(), "a"),
	} {
		// Attack: take the store away and guess uncounted.
		if !errors.Is(err, auth.ErrStoreDown) || !errors.Is(err, store.ErrDown) {
			t.Errorf("%s: error %v, want ErrStoreDown", name, err)
		}
	}
}

func keys(t *testing.T, st store.Store) (all []string) {
	t.Helper()
	err := st.Scan(t.Context(), "", func(key string, _ []byte) error {
		all = append(all, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
