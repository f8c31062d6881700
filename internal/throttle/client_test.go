package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/throttle"
)

func from(t *testing.T, address string) context.Context {
	return auth.WithClient(t.Context(), auth.Client{Address: address})
}

// spray tries one password at so many accounts and returns the first refusal.
func spray(ctx context.Context, th *throttle.Throttle, name string, accounts int) (made int, err error) {
	for i := range accounts {
		if _, err := th.Begin(ctx, fmt.Sprintf("%s-%d", name, i), ""); err != nil {
			return i, err
		}
	}
	return accounts, nil
}

// Attack: one password at each of many accounts. No account has seen more than
// one attempt, and yet the client is slowed down; another one is not.
func TestClientIsLimited(t *testing.T) {
	th, clock, _ := newThrottle()
	made, err := spray(from(t, "192.0.2.7"), th, "x", 1000)
	throttled, ok := errors.AsType[*auth.Throttled](err)
	if !ok || !throttled.Client || made != throttle.FreeClient || throttled.RetryAfter != 2*time.Second {
		t.Fatalf("after %d attempts: %v", made, err)
	}
	for _, tt := range []struct {
		name, address string
		limited       bool
	}{
		{"the same", "192.0.2.7", true},
		{"mapped into IPv6", "::ffff:192.0.2.7", true},
		{"its neighbour", "192.0.2.8", false},
		{"nobody", "", false},
		{"no address", "proxy", false},
	} {
		_, err := th.Begin(from(t, tt.address), "y-"+tt.name, "")
		if (err != nil) != tt.limited {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// The lock ends, and the next attempt makes the one after it wait twice as long.
	clock.advance(2 * time.Second)
	if _, err := th.Begin(from(t, "192.0.2.7"), "z", ""); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if _, err := th.Begin(from(t, "192.0.2.7"), "z2", ""); err == nil || err.(*auth.Throttled).RetryAfter != 4*time.Second {
		t.Errorf("the next: %v", err)
	}
	// An hour after the first one all are free again, also for who never rests.
	clock.advance(time.Hour)
	if made, err := spray(from(t, "192.0.2.7"), th, "w", throttle.FreeClient); err != nil {
		t.Errorf("an hour later, after %d: %v", made, err)
	}
}

// Attack: pick another IPv6 address for each attempt; a customer has more of
// them than there are accounts.
func TestClientIsItsNetwork(t *testing.T) {
	th, _, _ := newThrottle()
	made := 0
	for i := range 1000 {
		_, err := th.Begin(from(t, fmt.Sprintf("2001:db8:0:ff%02x::%x", i%200, i)), fmt.Sprint(i), "")
		if err != nil {
			break
		}
		made++
	}
	if made != throttle.FreeClient {
		t.Errorf("%d attempts from one /56", made)
	}
	if _, err := th.Begin(from(t, "2001:db8:1::1"), "a", ""); err != nil {
		t.Errorf("another network: %v", err)
	}
}

// What was right does not count, and neither does an attempt that the account
// itself refuses; and an attempt that the client's counter refuses does not
// lock the account.
func TestClientPaysForWhatIsWrong(t *testing.T) {
	th, clock, _ := newThrottle()
	here := from(t, "192.0.2.7")
	for i := range 3 * throttle.FreeClient {
		a, err := th.Begin(here, "right", "")
		if err != nil {
			t.Fatalf("attempt %d: %v", i, err)
		}
		end := a.Refund
		if i%2 == 0 {
			end = a.Settle
		}
		if err := end(here); err != nil {
			t.Fatal(err)
		}
	}
	for range throttle.Free {
		if _, err := th.Begin(here, "locked", ""); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 * throttle.FreeClient {
		if _, err := th.Begin(here, "locked", ""); err == nil || err.(*auth.Throttled).Client {
			t.Fatalf("the account's own lock: %v", err)
		}
	}
	if made, err := spray(here, th, "x", 1000); made != throttle.FreeClient-throttle.Free {
		t.Errorf("after %d: %v", made, err)
	}
	for range 50 {
		if _, err := th.Begin(here, "victim", ""); err == nil {
			t.Fatal("a limited client makes attempts")
		}
	}
	clock.advance(time.Second)
	if wait := attempt(t, th, "victim", ""); wait != 0 {
		t.Errorf("its owner elsewhere waits %s", wait)
	}
}

// A stranger behind the same address cannot keep somebody out of a device that
// is known.
func TestKnownDeviceIsNotItsClient(t *testing.T) {
	th, _, _ := newThrottle()
	here := from(t, "192.0.2.7")
	device, _, err := th.Remember(here, "ada", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spray(here, th, "x", 1000); err == nil {
		t.Fatal("the client is not limited")
	}
	if _, err := th.Begin(here, "ada", device); err != nil {
		t.Errorf("on the known device: %v", err)
	}
	if _, err := th.Begin(here, "ada", ""); err == nil {
		t.Error("on no device the client is not limited")
	}
}

// Attack: all guesses at the same moment.
func TestClientInParallel(t *testing.T) {
	th, _, _ := newThrottle()
	var made atomic.Int64
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			if _, err := th.Begin(from(t, "192.0.2.7"), fmt.Sprint(i), ""); err == nil {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if made.Load() > throttle.FreeClient {
		t.Errorf("%d were judged", made.Load())
	}
}

// An administrator forgets the attempts at an account, on its devices too, and
// the devices stay known.
func TestUnlock(t *testing.T) {
	th, _, _ := newThrottle()
	device, _, err := th.Remember(t.Context(), "ada", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, on := range []string{"", device} {
		for range throttle.Free {
			attempt(t, th, "ada", on)
		}
		if attempt(t, th, "ada", on) == 0 {
			t.Fatal("not locked")
		}
	}
	if err := th.Unlock(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	for range throttle.Free - 1 {
		attempt(t, th, "ada", "")
	}
	if wait := attempt(t, th, "ada", ""); wait != 0 {
		t.Errorf("after it, elsewhere: %s", wait)
	}
	for range throttle.Free {
		if wait := attempt(t, th, "ada", device); wait != 0 {
			t.Errorf("after it, on the device: %s", wait)
		}
	}
	if attempt(t, th, "ada", "") == 0 || attempt(t, th, "ada", device) == 0 {
		t.Error("the device is not told apart any more")
	}
}
