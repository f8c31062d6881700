package mfa

import (
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/store/storetest"
)

func ringOf(t *testing.T, letters ...string) *seal.Keyring {
	t.Helper()
	var keys []string
	for _, letter := range letters {
		keys = append(keys, strings.Repeat(letter, 32))
	}
	ring, err := seal.NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// A rotation of secrets.keys must not lock out who does not sign in between
// its steps, nor make a code pass twice.
func TestReseal(t *testing.T) {
	f, c, st := newTOTP(t)
	ctx := t.Context()
	offers := map[string]auth.Enrolment{}
	for _, account := range []string{"alice", "bob", "carol"} {
		e, err := f.Offer(ctx, auth.Claimant{Account: account, Label: account})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Confirm(ctx, auth.Claimant{Account: account}, e, code(t, e.Secret, c.now())); err != nil {
			t.Fatal(err)
		}
		offers[account] = e
	}
	// Carol's is under a key that is lost; there is nothing to be done for her.
	lost := *f
	lost.Keyring = ringOf(t, "l")
	secret, err := lost.seal("carol", offers["carol"].Secret)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encodeApps([]app{{tag: tag{ID: "x"}, Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Delete(ctx, key("carol")); err != nil {
		t.Fatal(err)
	}
	if err := st.Create(ctx, key("carol"), sealed, 0); err != nil {
		t.Fatal(err)
	}

	f.Keyring = ringOf(t, "n", "k")
	for _, want := range []int{2, 0} {
		if n, err := f.Reseal(ctx); err != nil || n != want {
			t.Fatalf("resealed %d, %v; want %d", n, err, want)
		}
	}

	f.Keyring = ringOf(t, "n")
	for _, account := range []string{"alice", "bob"} {
		secret := offers[account].Secret
		if err := f.Verify(ctx, auth.Claimant{Account: account}, auth.Challenge{}, code(t, secret, c.now())); err == nil {
			t.Errorf("the code that enrolled %s passes again", account)
		}
		if err := f.Verify(ctx, auth.Claimant{Account: account}, auth.Challenge{}, code(t, secret, c.now().Add(period*time.Second))); err != nil {
			t.Errorf("%s: %v", account, err)
		}
	}
	if after, err := st.Get(ctx, key("carol")); err != nil || string(after) != string(sealed) {
		t.Errorf("what cannot be opened was changed: %v", err)
	}
}

// Older keys may go when nothing is sealed under them: a secret that others change
// all the time is not known to be none.
func TestResealUnderContention(t *testing.T) {
	f, c, st := newTOTP(t)
	e, err := f.Offer(t.Context(), auth.Claimant{Account: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Confirm(t.Context(), auth.Claimant{Account: "alice"}, e, code(t, e.Secret, c.now())); err != nil {
		t.Fatal(err)
	}
	f.Keyring = ringOf(t, "n", "k")
	f.Store = &storetest.Faulty{Store: st, Before: func(op, _ string) error {
		if op == "update" {
			return store.ErrConflict
		}
		return nil
	}}
	if n, err := f.Reseal(t.Context()); n != 0 || err == nil {
		t.Errorf("resealed %d, %v; want an error", n, err)
	}
}
