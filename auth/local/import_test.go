package local

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"gatehouse/auth"
)

// foreignOf is old, hashed by libxcrypt.
const (
	old       = "old password of ada"
	foreignOf = "$2y$05$abcdefghijklmnopqrstuuHiIrmVNdfSvNInuaIGe0rsM22rQZ0Xq"
)

// An imported password counts by its own hash once, and as argon2id from then
// on.
func TestImport(t *testing.T) {
	p, st := newPasswords(t)
	if err := p.Import(t.Context(), "a1", foreignOf); err == nil {
		t.Error("a password that is there was replaced")
	}
	if err := p.Import(t.Context(), "a3", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="); err == nil {
		t.Error("a hash that cannot be verified was taken")
	}
	if has, _ := p.HasPassword(t.Context(), "a3"); has {
		t.Fatal("a refused hash left a password")
	}
	if err := p.Import(t.Context(), "a3", foreignOf); err != nil {
		t.Fatal(err)
	}
	value := func() string {
		t.Helper()
		v, err := st.Get(t.Context(), key("a3"))
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckRecord("a3", v); err != nil {
			t.Errorf("%s: %v", v, err)
		}
		return string(v)
	}
	imported := func(want string) {
		t.Helper()
		if got, err := p.Imported(t.Context(), "a3"); got != want || err != nil {
			t.Errorf("imported as %q, %v, want %q", got, err, want)
		}
	}
	before := value()
	imported("bcrypt")
	if _, err := p.Authenticate(t.Context(), "federated", old+"x"); err == nil {
		t.Error("a wrong password is right")
	}
	if value() != before {
		t.Error("a wrong password changed the record")
	}
	for range 2 {
		if _, err := p.Authenticate(t.Context(), "federated", old); err != nil {
			t.Fatal(err)
		}
		if now := value(); !strings.Contains(now, "$argon2id$v=19$m=64,") || strings.Contains(now, "foreign") {
			t.Errorf("it rests as %s", now)
		}
		imported("")
	}
}

// What other programs hashed are the bytes that were typed, and what Gatehouse
// hashes are normalized ones.
func TestImportedBytes(t *testing.T) {
	p, _ := newPasswords(t)
	typed := "Zoe\u0308's old password"
	hash := "$6$salt$" + shaCrypt{long: true, rounds: shaCryptDefaultRounds, salt: "salt"}.run(typed)
	if err := p.Import(t.Context(), "a3", hash); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{typed, "Zo\u00eb's old password", typed} {
		if _, err := p.Authenticate(t.Context(), "federated", password); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// Attack: find by the clock which names exist, because an imported hash is
// cheaper than that of an unknown name. Our own is worked out beside it, whether
// or not the password is right.
func TestForeignHashRunsOurOwnToo(t *testing.T) {
	h := NewHasher(cheap, 1)
	for i, password := range []string{old, "wrong"} {
		h.check(record{Hash: foreignOf, Foreign: true}, password)
		if got := h.runs.Load(); got != int64(i+1) {
			t.Errorf("%d runs of argon2id after %d", got, i+1)
		}
	}
	if ok, _ := h.check(record{Hash: "$2y$31$", Foreign: true}, ""); ok || h.runs.Load() != 3 {
		t.Error("a damaged hash is told apart, or matches")
	}
}

// Attack: guess at many accounts at once that were imported with argon2, each
// guess of which waits for the one before it. Who signs in otherwise does not
// wait for them, and who has hung up waits no longer.
func TestLargeHashesWaitForThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPasswords(t)
		if err := p.Import(t.Context(), "a3", reference); err != nil {
			t.Fatal(err)
		}
		if err := p.Hasher.acquireLarge(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, hangUp := context.WithCancel(t.Context())
		hungUp, patient := make(chan error, 2), make(chan error, 1)
		for range 2 {
			go func() {
				_, err := p.Authenticate(ctx, "federated", "a guess")
				hungUp <- err
			}()
		}
		go func() {
			_, err := p.Authenticate(t.Context(), "federated", "password")
			patient <- err
		}()
		synctest.Wait()
		if n := len(p.Hasher.slots.places); n != 1 {
			t.Errorf("%d slots are taken, 1 of them by the large hash that is judged", n)
		}
		if _, err := p.Authenticate(t.Context(), "ada", right); err != nil {
			t.Errorf("beside large ones: %v", err)
		}
		hangUp()
		for range 2 {
			if err := <-hungUp; !errors.Is(err, context.Canceled) {
				t.Errorf("hung up: %v", err)
			}
		}
		p.Hasher.releaseLarge()
		if err := <-patient; err != nil {
			t.Errorf("after the one before it: %v", err)
		}
		if n, m := len(p.Hasher.slots.places), len(p.Hasher.large.places); n > 0 || m > 0 {
			t.Errorf("%d slots and %d turns are taken in the end", n, m)
		}
	})
}

// Who waits for the turn of large hashes is judged by the password of then, and
// not by that which was there before.
func TestLargeHashIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPasswords(t)
		if err := p.Import(t.Context(), "a3", reference); err != nil {
			t.Fatal(err)
		}
		if err := p.Hasher.acquireLarge(t.Context()); err != nil {
			t.Fatal(err)
		}
		late := make(chan error, 1)
		go func() {
			_, err := p.Authenticate(t.Context(), "federated", "password")
			late <- err
		}()
		synctest.Wait()
		if err := p.SetPassword(t.Context(), "a3", right); err != nil {
			t.Fatal(err)
		}
		p.Hasher.releaseLarge()
		if err := <-late; !errors.Is(err, auth.ErrWrongPassword) {
			t.Errorf("the password of before: %v", err)
		}
	})
}
