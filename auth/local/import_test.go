package local

import (
	"strings"
	"testing"
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
