package seal_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/seal"
)

const (
	oldKey = "old-key-old-key-old-key-old-key-"
	newKey = "new-key-new-key-new-key-new-key-"
)

func keyring(t testing.TB, keys ...string) *seal.Keyring {
	t.Helper()
	ring, err := seal.NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustSeal(t testing.TB, ring *seal.Keyring, plaintext, kind, id string) []byte {
	t.Helper()
	sealed, err := ring.Seal([]byte(plaintext), kind, id)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestNewKeyringRefuses(t *testing.T) {
	tests := []struct {
		name string
		keys []string
		want string
	}{
		{"no key", nil, "no keys"},
		{"empty key", []string{""}, "key 1"},
		{"short key", []string{oldKey, "short"}, "key 2 is 5 bytes"},
		{"key of 31 bytes", []string{strings.Repeat("k", 31)}, "at least 32"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := seal.NewKeyring(tt.keys)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestSealThenOpen(t *testing.T) {
	ring := keyring(t, oldKey)
	for _, plaintext := range []string{"", "a", "JBSWY3DPEHPK3PXP", strings.Repeat("x", 1<<20)} {
		sealed := mustSeal(t, ring, plaintext, "totp", "id")
		got, err := ring.Open(sealed, "totp", "id")
		if err != nil || string(got) != plaintext {
			t.Errorf("opened %d bytes, %v; want %d bytes", len(got), err, len(plaintext))
		}
		if len(plaintext) > 8 && strings.Contains(string(sealed), plaintext) {
			t.Error("the sealed bytes hold the plaintext")
		}
		if again := mustSeal(t, ring, plaintext, "totp", "id"); string(again) == string(sealed) {
			t.Error("sealing twice gave the same bytes: the nonce repeats")
		}
	}
}

// The attack: whoever can write the store copies the sealed TOTP secret of an
// account of his own over that of an administrator, or moves parts between
// kind and id. Associated data, each part with its length, refuses it.
func TestOpenRefusesAnotherRecord(t *testing.T) {
	ring := keyring(t, oldKey)
	sealed := mustSeal(t, ring, "secret", "totp", "mallory")
	for _, other := range [][2]string{{"totp", "alice"}, {"password", "mallory"}, {"totpm", "allory"}, {"tot", "pmallory"}, {"", "totpmallory"}, {"totpmallory", ""}} {
		if _, err := ring.Open(sealed, other[0], other[1]); !errors.Is(err, seal.ErrCorrupt) {
			t.Errorf("opened as %q: %v, want ErrCorrupt", other, err)
		}
	}
}

// The attack: flip bits in a stored secret and watch what changes.
func TestOpenRefusesEveryChangedByte(t *testing.T) {
	ring := keyring(t, oldKey)
	sealed := mustSeal(t, ring, "secret", "totp", "id")
	for i := range sealed {
		changed := append([]byte{}, sealed...)
		changed[i] ^= 1
		if _, err := ring.Open(changed, "totp", "id"); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
		if _, err := ring.Open(sealed[:i], "totp", "id"); !errors.Is(err, seal.ErrCorrupt) {
			t.Errorf("opened %d of %d bytes: %v, want ErrCorrupt", i, len(sealed), err)
		}
	}
}

func TestRotation(t *testing.T) {
	before, during, after := keyring(t, oldKey), keyring(t, newKey, oldKey), keyring(t, newKey)
	sealed := mustSeal(t, before, "secret", "totp", "id")

	if got, err := during.Open(sealed, "totp", "id"); err != nil || string(got) != "secret" {
		t.Errorf("old bytes with both keys: %q, %v", got, err)
	}
	if during.Current(sealed) {
		t.Error("bytes of the old key count as current")
	}
	if _, err := after.Open(sealed, "totp", "id"); !errors.Is(err, seal.ErrKey) {
		t.Errorf("old bytes without the old key: %v, want ErrKey", err)
	}
	fresh := mustSeal(t, during, "secret", "totp", "id")
	if !during.Current(fresh) {
		t.Error("fresh bytes do not count as current")
	}
	if got, err := after.Open(fresh, "totp", "id"); err != nil || string(got) != "secret" {
		t.Errorf("fresh bytes with the new key alone: %q, %v", got, err)
	}
	if !keyring(t, oldKey, oldKey).Current(sealed) {
		t.Error("a key given twice changed what is current")
	}
}

// The attack is an accident: a struct that holds the keys is logged.
func TestKeysAreNotPrinted(t *testing.T) {
	ring := keyring(t, oldKey)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		if got := fmt.Sprintf(verb, ring); got != "[keyring]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func FuzzOpen(f *testing.F) {
	ring := keyring(f, newKey, oldKey)
	sealed := mustSeal(f, ring, "secret", "totp", "id")
	f.Add([]byte(nil), "totp", "id")
	f.Add(sealed, "totp", "other")
	f.Add(sealed[:len(sealed)-1], "totp", "id")
	f.Add([]byte{1, 2, 3}, "", "")
	f.Fuzz(func(t *testing.T, data []byte, kind, id string) {
		if plaintext, err := ring.Open(data, kind, id); err == nil && string(data) != string(sealed) {
			t.Errorf("opened %x to %q", data, plaintext)
		}
		if plaintext, err := ring.Open(append(sealed[:9:9], data...), kind, id); err == nil && string(data) != string(sealed[9:]) {
			t.Errorf("opened %x to %q", data, plaintext)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	ring := keyring(b, oldKey)
	sealed := mustSeal(b, ring, strings.Repeat("x", 500), "session", "id")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Open(sealed, "session", "id"); err != nil {
			b.Fatal(err)
		}
	}
}
