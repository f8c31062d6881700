package local

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"gatehouse/auth"
)

// Hash of "password" by the reference implementation of argon2 (its README:
// echo -n password | argon2 somesalt -id -t 2 -m 16 -p 4 -l 24, as test.c has
// it for t=2, m=65536, p=1).
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestVerifyReferenceHash(t *testing.T) {
	h := NewHasher(cheap, 1)
	ok, stale := h.verify(reference, "password")
	if !ok || !stale {
		t.Errorf("right password: ok %v, stale %v, want both", ok, stale)
	}
	if ok, _ := h.verify(reference, "Password"); ok {
		t.Error("a wrong password matches")
	}
}

func TestHashIsSaltedAndCarriesItsParameters(t *testing.T) {
	h := NewHasher(DefaultParams(), 1)
	one, err := h.Hash(t.Context(), right)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.Hash(t.Context(), right)
	if err != nil {
		t.Fatal(err)
	}
	if one == two {
		t.Error("two hashes of one password are equal")
	}
	if !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %.40q", one)
	}
	if ok, stale := h.verify(one, right); !ok || stale {
		t.Errorf("ok %v, stale %v, want true, false", ok, stale)
	}
}

func TestParsePHCRefuses(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	tests := []struct{ name, in string }{
		{"empty", ""},
		{"plain text", "password"},
		{"other algorithm", "$argon2i$v=19$m=65536,t=2,p=1$" + salt + "$" + key},
		{"other version", "$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + key},
		{"no version", "$argon2id$m=65536,t=2,p=1$" + salt + "$" + key},
		{"order", "$argon2id$v=19$t=2,m=65536,p=1$" + salt + "$" + key},
		{"missing cost", "$argon2id$v=19$m=65536,t=2$" + salt + "$" + key},
		{"zero passes", "$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + key},
		{"zero lanes", "$argon2id$v=19$m=65536,t=2,p=0$" + salt + "$" + key},
		{"negative", "$argon2id$v=19$m=-1,t=2,p=1$" + salt + "$" + key},
		{"leading zero", "$argon2id$v=19$m=065536,t=2,p=1$" + salt + "$" + key},
		// Attack: a record that makes the process allocate 4 TiB.
		{"memory of the machine", "$argon2id$v=19$m=4294967295,t=2,p=1$" + salt + "$" + key},
		{"endless", "$argon2id$v=19$m=64,t=4294967295,p=1$" + salt + "$" + key},
		{"lanes overflow", "$argon2id$v=19$m=64,t=1,p=257$" + salt + "$" + key},
		// Attack: an empty key equals the empty output for any password.
		{"empty key", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$"},
		{"short key", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$CTFhFdXP"},
		{"long key", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + strings.Repeat("A", 200)},
		{"empty salt", "$argon2id$v=19$m=64,t=1,p=1$$" + key},
		{"padding", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "=$" + key + "="},
		{"trailing part", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + key + "$x"},
		{"trailing bits", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + key[:len(key)-1] + "d"},
		{"line break", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "\n$" + key},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if p, err := parsePHC(tt.in); err == nil {
				t.Errorf("parsed as %v", p)
			}
			h := NewHasher(cheap, 1)
			if ok, _ := h.verify(tt.in, "password"); ok || h.runs.Load() != 1 {
				t.Errorf("verify: ok %v after %d runs, want false after 1", ok, h.runs.Load())
			}
		})
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(reference)
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Errorf("%q reads as %q", s, p)
		}
		if p.Memory > maxMemory || p.Time > maxTime || p.Time == 0 || p.Threads == 0 || len(p.key) < 16 {
			t.Errorf("%q is out of bounds", s)
		}
	})
}

// Attack: post a thousand sign-ins so that their argon2 runs take all memory.
func TestHasherIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHasher(cheap, 2)
		for range 2 {
			if err := h.slots.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 2*maxWaiting)
		for range maxWaiting {
			go func() { results <- h.slots.acquire(ctx) }()
		}
		synctest.Wait()
		if len(results) != 0 {
			t.Fatalf("%d runs more than there are slots", len(results))
		}
		if err := h.slots.acquire(ctx); !errors.As(err, new(*auth.Throttled)) {
			t.Errorf("beyond the queue: %v, want *auth.Throttled", err)
		}
		h.slots.release()
		synctest.Wait()
		if len(results) != 1 {
			t.Errorf("%d runs began when one slot was free", len(results))
		}
		cancel()
		synctest.Wait()
		if len(results) != maxWaiting {
			t.Errorf("%d of %d waiting runs ended with their context", len(results)-1, maxWaiting-1)
		}
		if err := <-results; err != nil {
			t.Error(err)
		}
		for len(results) > 0 {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want context.Canceled", err)
			}
		}
	})
}

func TestSuitable(t *testing.T) {
	tests := []struct {
		name, in string
		want     string
	}{
		{"long enough", "twelve chars", ""},
		{"one short", "eleven char", "the password needs at least 12 characters"},
		{"characters, not bytes", strings.Repeat("ü", 11), "the password needs at least 12 characters"},
		{"combining marks do not count", strings.Repeat("u\u0308", 11), "the password needs at least 12 characters"},
		{"empty", "", "the password needs at least 12 characters"},
		{"longest", strings.Repeat("x", maxPassword), ""},
		{"too long", strings.Repeat("x", maxPassword+1), "the password is longer than 1024 bytes"},
		{"not text", strings.Repeat("x", 20) + "\xff", "the password is not valid UTF-8 text"},
		// A character that has no composed form grows under normalisation; were
		// it accepted, nobody could sign in with it.
		{"grows", strings.Repeat("\U0001d160", maxPassword/4), "the password is longer than 1024 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Policy{MinLength: 12}.Suitable(tt.in)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	if (Policy{}).Suitable("") == nil {
		t.Error("an empty password is suitable when there is no minimum")
	}
}

func FuzzLogin(f *testing.F) {
	for _, s := range []string{"Ada", " a@b ", "\u0130", "K", "\xff", "a\u0308"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := normalLogin(s)
		if normalLogin(once) != once {
			t.Errorf("%q: %q is not stable", s, once)
		}
	})
}
