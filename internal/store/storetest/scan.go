package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/store"
)

// scan returns the keys with that prefix, sorted, and fails the test when one
// is seen twice or with another's value; values here equal their keys.
func scan(t testing.TB, s store.Store, prefix string) []string {
	t.Helper()
	keys := []string{}
	if err := s.Scan(t.Context(), prefix, func(key string, value []byte) error {
		if string(value) != key {
			t.Errorf("scan %q: %q has value %q", prefix, key, value)
		}
		keys = append(keys, key)
		return nil
	}); err != nil {
		t.Fatalf("scan %q: %v", prefix, err)
	}
	slices.Sort(keys)
	if unique := slices.Compact(slices.Clone(keys)); len(unique) != len(keys) {
		t.Errorf("scan %q: %d keys, %d of them different", prefix, len(keys), len(unique))
	}
	return keys
}

// A prefix is bytes, not a pattern: an account id with an asterisk must not
// list the sessions of everybody.
func testScanPrefixes(t *testing.T, s store.Store) {
	keys := []string{
		"a", "a:", "a:1", "a:2", "A:1", "ab:1", "b:a:1", "xa:1", " a:1",
		"g*:1", "gx:1", "g?:1", "g[xy]:1", "g\\:1", "g\\*:1", "g^:1", "g[^x]:1", "g{1}:1",
		"n\x00:1", "n\n:1", "\xff", "\xff\xff", "\xff\xffa", "\xfe:1", "ü:1", "\xc3",
	}
	for _, key := range keys {
		create(t, s, key, key, 0)
	}
	prefixes := []string{"", "missing", "a", "a:", "a:1", "A", "b:", "xa", "g", "\xff", "\xff\xff", "\xc3", "n", "*", "?", "[a-z]", "\\"}
	for _, key := range keys {
		prefixes = append(prefixes, strings.TrimSuffix(key, "1"))
	}
	for _, prefix := range prefixes {
		want := []string{}
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, scan(t, s, prefix)); diff != "" {
			t.Errorf("scan %q (-want +got):\n%s", prefix, diff)
		}
	}
}

func testScanMany(t *testing.T, s store.Store) {
	const n = 3000
	want := make([]string, n)
	for i := range n {
		want[i] = fmt.Sprintf("many:%05d", i)
	}
	together(16, func(worker int) {
		for i := worker; i < n; i += 16 {
			if err := s.Create(t.Context(), want[i], []byte(want[i]), 0); err != nil {
				t.Error(err)
			}
		}
	})
	if diff := cmp.Diff(want, scan(t, s, "many:")); diff != "" {
		t.Errorf("scan (-want +got):\n%s", diff)
	}
	if got := scan(t, s, "many:0299"); len(got) != 10 {
		t.Errorf("scan of ten found %d: %q", len(got), got)
	}
}

// The function may use the store, also to write the record that it is given.
func testScanWrites(t *testing.T, s store.Store) {
	const n = 600
	for i := range n {
		key := fmt.Sprintf("write:%03d", i)
		create(t, s, key, key, 0)
	}
	seen := 0
	if err := s.Scan(t.Context(), "write:", func(key string, _ []byte) error {
		seen++
		if seen%2 == 0 {
			return s.Delete(t.Context(), key)
		}
		return s.Update(t.Context(), key, put(key))
	}); err != nil {
		t.Fatal(err)
	}
	if seen != n {
		t.Errorf("scan saw %d records, want %d", seen, n)
	}
	if left := scan(t, s, "write:"); len(left) != n/2 {
		t.Errorf("%d records left, want %d", len(left), n/2)
	}
}

func testScanError(t *testing.T, s store.Store) {
	for i := range 10 {
		create(t, s, fmt.Sprintf("end:%d", i), "value", 0)
	}
	errEnough := errors.New("enough")
	seen := 0
	err := s.Scan(t.Context(), "end:", func(string, []byte) error {
		seen++
		if seen == 3 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || errors.Is(err, store.ErrDown) || seen != 3 {
		t.Errorf("scan: %v after %d records, want the function's error after 3", err, seen)
	}
}

// Records that stay are each seen exactly once, whatever happens to others.
func testScanChurn(t *testing.T, s store.Store) {
	const n = 500
	want := make([]string, n)
	for i := range n {
		want[i] = fmt.Sprintf("churn:stays:%03d", i)
		create(t, s, want[i], want[i], 0)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("churn:goes:%d:%d", worker, i)
				if err := s.Create(t.Context(), key, []byte(key), time.Minute); err != nil {
					t.Error(err)
					return
				}
				if i%3 > 0 {
					if err := s.Delete(t.Context(), key); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 5 {
		got := slices.DeleteFunc(scan(t, s, "churn:"), func(key string) bool { return strings.HasPrefix(key, "churn:goes:") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("scan (-want +got):\n%s", diff)
		}
	}
	close(stop)
	wg.Wait()
}
