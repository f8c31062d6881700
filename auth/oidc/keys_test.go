package oidc

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/test/badidp"
)

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A rotated key is picked up by the sign-in that first shows it, also twice in
// a row, and also when the new key bears the old one's id.
func TestKeyRotation(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	for _, step := range []struct {
		name   string
		rotate func()
	}{
		{"first keys", func() {}},
		{"new key, new id", idp.RotateKeys},
		{"new key, same id", idp.RotateKeysSameID},
	} {
		step.rotate()
		if _, _, err := signIn(t, p, pending); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}

// The flood: whoever sends forged tokens, each with a key id of its own, must
// not make the gateway fetch the keys for each, and must not use up the
// fetches that people who sign in need when the keys are rotated.
func TestForgedTokensCauseFewFetches(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	c := &clock{now: time.Now()}
	p.Now = c.Now
	if _, _, err := signIn(t, p, pending); err != nil {
		t.Fatal(err)
	}
	c.add(time.Second)
	for range 200 {
		if _, err := told(t.Context(), p, idp.ForgedLogoutToken()); !errors.Is(err, auth.ErrInvalidAnswer) {
			t.Fatalf("got %v, want ErrInvalidAnswer", err)
		}
	}
	if n := idp.Count(badidp.PathKeys); n > 4 {
		t.Errorf("200 forged tokens caused %d fetches of the keys", n-1)
	}
	idp.RotateKeys()
	if _, _, err := signIn(t, p, pending); err != nil {
		t.Errorf("after the flood, a rotated key is not picked up: %v", err)
	}

	idp.SetFault("signature: unknown key id")
	for range 50 {
		if _, _, err := signIn(t, p, pending); !errors.Is(err, auth.ErrInvalidAnswer) {
			t.Fatalf("got %v, want ErrInvalidAnswer", err)
		}
	}
	if n := idp.Count(badidp.PathKeys); n > 8 {
		t.Errorf("50 sign-ins with unknown keys caused %d fetches of the keys", n)
	}
	idp.SetFault("")
	idp.RotateKeys()
	c.add(6 * time.Second)
	if _, _, err := signIn(t, p, pending); err != nil {
		t.Errorf("seconds after the flood, a rotated key is not picked up: %v", err)
	}
}

// A key set that breaks, or is out of reach, must not throw out the good keys
// that are known.
func TestLastGoodKeysStay(t *testing.T) {
	for _, fault := range []badidp.Fault{"keys: down", "keys: none", "keys: huge", "keys: not JSON", "keys: moved to another host", "discovery: down", "discovery: another issuer"} {
		t.Run(string(fault), func(t *testing.T) {
			idp := badidp.Start(t)
			p, out := connect(t, idp.URL())
			c := &clock{now: time.Now()}
			p.Now = c.Now
			if _, _, err := signIn(t, p, pending); err != nil {
				t.Fatal(err)
			}
			idp.SetFault(fault)
			// The provider's clock does not move, so the token is not looked at
			// for its times here: only the keys and the metadata age.
			c.add(keysAge + metadataAge)
			_, _, err := signIn(t, p, pending)
			if !errors.Is(err, auth.ErrInvalidAnswer) || !strings.Contains(err.Error(), "exp:") {
				t.Errorf("got %v, want a token that is verified and expired", err)
			}
			if !strings.Contains(out.String(), "last_good_kept=true") {
				t.Errorf("the failure is not logged:\n%s", out)
			}
		})
	}
}

// A key that the provider has withdrawn is forgotten after keysAge, without
// any token that asks for new keys.
func TestWithdrawnKeyIsForgotten(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	c := &clock{now: time.Now()}
	p.Now = c.Now
	withdrawn := idp.LogoutToken(nil, nil)
	if _, _, err := signIn(t, p, pending); err != nil {
		t.Fatal(err)
	}
	idp.RotateKeys()
	c.add(keysAge)
	if _, err := told(t.Context(), p, withdrawn); !errors.Is(err, auth.ErrInvalidAnswer) || strings.Contains(err.Error(), "exp:") {
		t.Errorf("got %v, want a token that no key has signed", err)
	}
}

// Many first callers cause one fetch of each document.
func TestOneFetchForAll(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := told(t.Context(), p, idp.LogoutToken(nil, nil)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if d, k := idp.Count(badidp.PathDiscovery), idp.Count(badidp.PathKeys); d != 1 || k != 1 {
		t.Errorf("got %d fetches of the metadata and %d of the keys, want 1 and 1", d, k)
	}
}

func TestRemoteBacksOff(t *testing.T) {
	c := &clock{now: time.Unix(0, 0)}
	fetches, broken := 0, errors.New("broken")
	r := &remote[int]{
		maxAge: time.Hour, timeout: time.Second, now: c.Now, failed: func(error, bool) {},
		fetch: func(context.Context) (int, error) { fetches++; return 0, broken },
	}
	var waits []time.Duration
	for range 6 {
		if _, _, err := r.get(t.Context()); !errors.Is(err, broken) {
			t.Fatalf("got %v, want %v", err, broken)
		}
		waits = append(waits, r.retry.Sub(c.Now()))
		c.add(waits[len(waits)-1] - 1)
		before := fetches
		if _, _, err := r.get(t.Context()); !errors.Is(err, broken) || fetches != before {
			t.Fatalf("within the wait: got %v and %d fetches", err, fetches-before)
		}
		c.add(1)
	}
	for i, w := range waits {
		if want := min(firstRetry<<i, lastRetry); w != want {
			t.Errorf("wait %d: got %s, want %s", i, w, want)
		}
	}
}
