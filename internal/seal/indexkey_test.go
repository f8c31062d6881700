package seal_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
)

func indexKey(t testing.TB, st store.Store, ring *seal.Keyring) *seal.IndexKey {
	t.Helper()
	key, err := seal.LoadIndexKey(t.Context(), st, ring)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestHash(t *testing.T) {
	st, ring := memory.New(), keyring(t, oldKey)
	key := indexKey(t, st, ring)
	hash := key.Hash("link", "acme", "https://id.example", "42")
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(hash) {
		t.Errorf("hash %q, want 64 lower-case hexadecimal digits", hash)
	}
	if again := indexKey(t, st, ring).Hash("link", "acme", "https://id.example", "42"); again != hash {
		t.Error("the same parts hash differently after a restart")
	}
	if indexKey(t, memory.New(), ring).Hash("link", "acme", "https://id.example", "42") == hash {
		t.Error("another installation hashes the same: the hash does not depend on the index key")
	}
}

// The attack: a person at one IdP picks a subject that, run together with the
// other parts, equals the link of somebody at another. Lengths keep parts
// apart whatever they hold.
func TestHashKeepsPartsApart(t *testing.T) {
	key := indexKey(t, memory.New(), keyring(t, oldKey))
	seen := map[string][]string{}
	for _, parts := range [][]string{
		{"link", "ab", "c"},
		{"link", "a", "bc"},
		{"link", "abc"},
		{"link", "abc", ""},
		{"link", "", "abc"},
		{"linka", "b", "c"},
		{"link", "ab\x00c"},
		{"link", "ab|c"},
		{"link", "a\x00\x00\x00\x00\x00\x00\x00\x02bc"},
		{"link"},
		{"", "link"},
		{"link", strings.Repeat("a", 1000)},
	} {
		hash := key.Hash(parts[0], parts[1:]...)
		if other, ok := seen[hash]; ok {
			t.Errorf("%q and %q have the same hash", parts, other)
		}
		seen[hash] = parts
	}
}

// Of replicas that start together on an empty store all must end with one
// index key; with two, one person would get two accounts.
func TestLoadIndexKeyRace(t *testing.T) {
	st, ring := memory.New(), keyring(t, oldKey)
	hashes := make([]string, 32)
	var wg sync.WaitGroup
	for i := range hashes {
		wg.Go(func() {
			key, err := seal.LoadIndexKey(t.Context(), st, ring)
			if err != nil {
				t.Error(err)
				return
			}
			hashes[i] = key.Hash("email", "a@acme.example")
		})
	}
	wg.Wait()
	for _, hash := range hashes {
		if hash != hashes[0] {
			t.Fatalf("replicas disagree: %s and %s", hash, hashes[0])
		}
	}
}

// A rotation of secrets.keys must not change the index key, and once every
// replica has started with the new key first, the old one can go.
func TestIndexKeySurvivesRotation(t *testing.T) {
	st := memory.New()
	want := indexKey(t, st, keyring(t, oldKey)).Hash("email", "a@acme.example")

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			key, err := seal.LoadIndexKey(t.Context(), st, keyring(t, newKey, oldKey))
			if err != nil {
				t.Error(err)
			} else if got := key.Hash("email", "a@acme.example"); got != want {
				t.Errorf("hash with both keys %s, want %s", got, want)
			}
		})
	}
	wg.Wait()
	if got := indexKey(t, st, keyring(t, newKey)).Hash("email", "a@acme.example"); got != want {
		t.Errorf("hash without the old key %s, want %s", got, want)
	}
}

// A process that cannot open the index key must refuse to start and leave it
// as it is: with a fresh one every person would get a second account.
func TestLoadIndexKeyRefuses(t *testing.T) {
	tests := []struct {
		name  string
		value func(st store.Store) []byte // nil: as it was made under the old key
		want  error
		says  string
	}{
		{"sealed under a key that is gone", nil, seal.ErrKey, "secrets.keys"},
		{"cut short", func(store.Store) []byte { return []byte("x") }, seal.ErrCorrupt, "backup"},
		{"of another length", func(store.Store) []byte {
			return mustSeal(t, keyring(t, newKey), "short", "meta", "meta:index-key")
		}, seal.ErrCorrupt, "backup"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := memory.New()
			if tt.value == nil {
				indexKey(t, st, keyring(t, oldKey))
			} else if err := st.Create(t.Context(), "meta:index-key", tt.value(st), 0); err != nil {
				t.Fatal(err)
			}
			before, err := st.Get(t.Context(), "meta:index-key")
			if err != nil {
				t.Fatal(err)
			}
			_, err = seal.LoadIndexKey(t.Context(), st, keyring(t, newKey))
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %v and the remedy (%s)", err, tt.want, tt.says)
			}
			after, err := st.Get(t.Context(), "meta:index-key")
			if diff := cmp.Diff(before, after); err != nil || diff != "" {
				t.Errorf("the stored index key changed: %v\n%s", err, diff)
			}
		})
	}
}

func TestLoadIndexKeyStoreDown(t *testing.T) {
	st := memory.New()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadIndexKey(t.Context(), st, keyring(t, oldKey)); !errors.Is(err, store.ErrDown) {
		t.Errorf("error %v, want store.ErrDown", err)
	}
	if _, err := seal.StoredKeys(t.Context(), st); !errors.Is(err, store.ErrDown) {
		t.Errorf("error %v, want store.ErrDown", err)
	}
}

func TestIndexKeyIsNotPrinted(t *testing.T) {
	key := indexKey(t, memory.New(), keyring(t, oldKey))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, key); got != "[index key]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func TestStoredKeys(t *testing.T) {
	st := memory.New()
	results := make([][]string, 16)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			keys, err := seal.StoredKeys(t.Context(), st)
			if err != nil {
				t.Error(err)
			}
			results[i] = keys
		})
	}
	wg.Wait()
	for _, keys := range results {
		if diff := cmp.Diff(results[0], keys); diff != "" {
			t.Errorf("replicas disagree:\n%s", diff)
		}
	}
	keyring(t, results[0]...) // long enough
	if keys, err := seal.GeneratedKeys(t.Context(), st); err != nil || !cmp.Equal(keys, results[0]) {
		t.Errorf("read again they are others (%v)", err)
	}
	if keys, err := seal.GeneratedKeys(t.Context(), memory.New()); err != nil || keys != nil {
		t.Errorf("%d keys where none were made, %v", len(keys), err)
	}
	if other, err := seal.StoredKeys(t.Context(), memory.New()); err != nil || cmp.Equal(other, results[0]) {
		t.Errorf("another installation has the same keys (%v)", err)
	}
}

func TestStoredKeysUnreadable(t *testing.T) {
	for _, value := range []string{"", "[]", "not JSON", `{"a":1}`} {
		st := memory.New()
		if err := st.Create(t.Context(), "meta:keys", []byte(value), 0); err != nil {
			t.Fatal(err)
		}
		if keys, err := seal.StoredKeys(t.Context(), st); err == nil {
			t.Errorf("%q gave %d keys, want an error", value, len(keys))
		}
		if keys, err := seal.GeneratedKeys(t.Context(), st); err == nil {
			t.Errorf("%q gave %d generated keys, want an error", value, len(keys))
		}
	}
}

func BenchmarkHash(b *testing.B) {
	key := indexKey(b, memory.New(), keyring(b, oldKey))
	b.ReportAllocs()
	for b.Loop() {
		key.Hash("session", "0123456789abcdef0123456789abcdef0123456789a")
	}
}
