// Package storetest is what every store must do: the conformance suites that
// all implementations of store.Store and store.Bus pass, and a Store that
// fails on demand. Only tests import it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/store"
)

// patience is how long a condition may take that must come about.
const patience = 10 * time.Second

// Run runs the conformance suite. open returns a new, empty store whose
// closing Run sees to; the suites run in parallel.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	suites := []struct {
		name string
		run  func(t *testing.T, s store.Store)
	}{
		{"values", testValues},
		{"values belong to the caller", testOwnership},
		{"create", testCreate},
		{"update", testUpdate},
		{"update sees what came first", testUpdateRetries},
		{"update gives up", testUpdateGivesUp},
		{"take", testTake},
		{"delete", testDelete},
		{"expiry", testExpiry},
		{"expiry of updates", testUpdateExpiry},
		{"negative ttl", testNegativeTTL},
		{"counter under 64 writers", testCounter},
		{"create has one winner", testCreateRace},
		{"update from nothing has one winner", testUpdateRace},
		{"take has one winner", testTakeRace},
		{"scan prefixes", testScanPrefixes},
		{"scan many", testScanMany},
		{"scan may write", testScanWrites},
		{"scan ends on error", testScanError},
		{"scan while others write", testScanChurn},
		{"cancelled context", testCancelled},
		{"after close", testClosed},
	}
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			suite.run(t, s)
		})
	}
}

func testValues(t *testing.T, s store.Store) {
	ctx := t.Context()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for name, value := range map[string][]byte{
		"text":    []byte("text"),
		"empty":   {},
		"nil":     nil,
		"NUL":     {0},
		"newline": []byte("\r\n"),
		"binary":  all,
		"zeros":   make([]byte, 8),
		"big":     bytes.Repeat(all, 4096), // 1 MiB
	} {
		if err := s.Create(ctx, "value:"+name, value, 0); err != nil {
			t.Errorf("%s: create: %v", name, err)
		}
		got, err := s.Get(ctx, "value:"+name)
		if err != nil || !bytes.Equal(got, value) || got == nil {
			t.Errorf("%s: got %d bytes (nil: %t), %v; want %d", name, len(got), got == nil, err, len(value))
		}
		// Compare-and-swap must know an empty value from no record.
		if err := s.Update(ctx, "value:"+name, func(old []byte) ([]byte, time.Duration, error) {
			if old == nil || !bytes.Equal(old, value) {
				t.Errorf("%s: update sees %d bytes (nil: %t)", name, len(old), old == nil)
			}
			return append([]byte{}, value...), 0, nil
		}); err != nil {
			t.Errorf("%s: update: %v", name, err)
		}
		got, err = s.Take(ctx, "value:"+name)
		if err != nil || !bytes.Equal(got, value) || got == nil {
			t.Errorf("%s: took %d bytes (nil: %t), %v; want %d", name, len(got), got == nil, err, len(value))
		}
	}
	for _, key := range []string{"a b", "ü", "{braces}:1", "line\nbreak", "nul\x00", "\xff\xfe", "a*?[x]\\"} {
		create(t, s, key, key, 0)
		wantValue(t, s, key, key)
	}
}

func testOwnership(t *testing.T, s store.Store) {
	value := []byte("value")
	if err := s.Create(t.Context(), "own", value, 0); err != nil {
		t.Fatal(err)
	}
	copy(value, "XXXXX")
	wantValue(t, s, "own", "value")

	got, err := s.Get(t.Context(), "own")
	if err != nil {
		t.Fatal(err)
	}
	copy(got, "YYYYY")
	wantValue(t, s, "own", "value")

	update(t, s, "own", func(old []byte) ([]byte, time.Duration, error) {
		copy(old, "ZZZZZ") // decoding in place must not defeat the comparison
		return old, 0, nil
	})
	wantValue(t, s, "own", "ZZZZZ")

	if err := s.Scan(t.Context(), "own", func(_ string, value []byte) error {
		copy(value, "VVVVV")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "own", "ZZZZZ")
}

func testCreate(t *testing.T, s store.Store) {
	wantMissing(t, s, "key")
	create(t, s, "key", "first", 0)
	if err := s.Create(t.Context(), "key", []byte("second"), time.Hour); !errors.Is(err, store.ErrExists) {
		t.Errorf("create again: %v, want ErrExists", err)
	}
	wantValue(t, s, "key", "first")
	wantMissing(t, s, "ke")
	wantMissing(t, s, "key2")
}

func testUpdate(t *testing.T, s store.Store) {
	ctx := t.Context()
	steps := []struct {
		name  string
		old   string // "-": none
		value string // "-": nil
		err   error
		want  string // "-": no record
	}{
		{"nothing stays nothing", "-", "-", nil, "-"},
		{"no change of nothing", "-", "x", store.ErrNoChange, "-"},
		{"create", "-", "a", nil, "a"},
		{"replace", "a", "b", nil, "b"},
		{"the same value", "b", "b", nil, "b"},
		{"no change", "b", "c", store.ErrNoChange, "b"},
		{"error of the function", "b", "c", errors.New("own"), "b"},
		{"empty is a value", "b", "", nil, ""},
		{"delete", "", "-", nil, "-"},
		{"create again", "-", "d", nil, "d"},
	}
	for _, step := range steps {
		err := s.Update(ctx, "key", func(old []byte) ([]byte, time.Duration, error) {
			if (old == nil) != (step.old == "-") || (old != nil && string(old) != step.old) {
				t.Errorf("%s: sees %q (nil: %t), want %q", step.name, old, old == nil, step.old)
			}
			if step.value == "-" {
				return nil, 0, step.err
			}
			return []byte(step.value), 0, step.err
		})
		want := step.err
		if errors.Is(want, store.ErrNoChange) {
			want = nil
		}
		if err != want {
			t.Errorf("%s: %v, want %v itself", step.name, err, want)
		}
		if step.want == "-" {
			wantMissing(t, s, "key")
		} else {
			wantValue(t, s, "key", step.want)
		}
	}
}

// An Update whose record is changed while its function runs must run it again
// on the new value; so must one whose record comes or goes meanwhile.
func testUpdateRetries(t *testing.T, s store.Store) {
	ctx := t.Context()
	rivals := []struct {
		name   string
		before string // "-": none
		rival  func() error
		want   []string // what the function sees, call by call; "-": none
	}{
		{"changed", "a", func() error { return s.Update(ctx, "key", put("b")) }, []string{"a", "b"}},
		{"deleted", "a", func() error { return s.Delete(ctx, "key") }, []string{"a", "-"}},
		{"taken", "a", func() error { _, err := s.Take(ctx, "key"); return err }, []string{"a", "-"}},
		{"created", "-", func() error { return s.Create(ctx, "key", []byte("b"), 0) }, []string{"-", "b"}},
		{"created empty", "-", func() error { return s.Create(ctx, "key", nil, 0) }, []string{"-", ""}},
	}
	for _, rival := range rivals {
		if err := s.Delete(ctx, "key"); err != nil {
			t.Fatal(err)
		}
		if rival.before != "-" {
			create(t, s, "key", rival.before, 0)
		}
		var seen []string
		update(t, s, "key", func(old []byte) ([]byte, time.Duration, error) {
			if old == nil {
				seen = append(seen, "-")
			} else {
				seen = append(seen, string(old))
			}
			if len(seen) == 1 {
				if err := rival.rival(); err != nil {
					t.Error(err)
				}
			}
			return []byte("mine"), 0, nil
		})
		if diff := cmp.Diff(rival.want, seen); diff != "" {
			t.Errorf("%s: the function saw:\n%s", rival.name, diff)
		}
		wantValue(t, s, "key", "mine")
	}
}

func testUpdateGivesUp(t *testing.T, s store.Store) {
	calls := 0
	err := s.Update(t.Context(), "key", func([]byte) ([]byte, time.Duration, error) {
		calls++
		if calls > 10_000 {
			return nil, 0, errors.New("without end")
		}
		update(t, s, "key", put(time.Now().String()))
		return []byte("mine"), 0, nil
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("update that always loses: %v after %d calls, want ErrConflict", err, calls)
	}
}

func testTake(t *testing.T, s store.Store) {
	create(t, s, "key", "value", time.Hour)
	got, err := s.Take(t.Context(), "key")
	if err != nil || string(got) != "value" {
		t.Errorf("take: %q, %v", got, err)
	}
	wantMissing(t, s, "key")
	if _, err := s.Take(t.Context(), "key"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("take again: %v, want ErrNotFound", err)
	}
}

func testDelete(t *testing.T, s store.Store) {
	create(t, s, "key", "value", 0)
	create(t, s, "key2", "other", 0)
	for range 2 { // deleting nothing is no error
		if err := s.Delete(t.Context(), "key"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	wantMissing(t, s, "key")
	wantValue(t, s, "key2", "other")
	create(t, s, "key", "again", 0)
}

func testCancelled(t *testing.T, s store.Store) {
	create(t, s, "key", "value", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for op, err := range operations(ctx, s) {
		if !errors.Is(err, store.ErrDown) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want ErrDown and context.Canceled", op, err)
		}
	}
	wantValue(t, s, "key", "value")
	wantMissing(t, s, "new")
}

func testClosed(t *testing.T, s store.Store) {
	create(t, s, "key", "value", 0)
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for op, err := range operations(t.Context(), s) {
		if !errors.Is(err, store.ErrDown) {
			t.Errorf("%s: %v, want ErrDown", op, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

// operations does each operation once, in a way that changes key or new when
// it works, and returns the errors.
func operations(ctx context.Context, s store.Store) map[string]error {
	errs := map[string]error{}
	_, errs["get"] = s.Get(ctx, "key")
	errs["create"] = s.Create(ctx, "new", []byte("value"), 0)
	errs["update"] = s.Update(ctx, "key", put("changed"))
	_, errs["take"] = s.Take(ctx, "key")
	errs["delete"] = s.Delete(ctx, "key")
	errs["scan"] = s.Scan(ctx, "", func(string, []byte) error { return nil })
	return errs
}

// put is an Update that writes value whatever was there.
func put(value string) func([]byte) ([]byte, time.Duration, error) {
	return func([]byte) ([]byte, time.Duration, error) { return []byte(value), 0, nil }
}

func create(t testing.TB, s store.Store, key, value string, ttl time.Duration) {
	t.Helper()
	if err := s.Create(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatalf("create %q: %v", key, err)
	}
}

func update(t testing.TB, s store.Store, key string, f func([]byte) ([]byte, time.Duration, error)) {
	t.Helper()
	if err := s.Update(t.Context(), key, f); err != nil {
		t.Fatalf("update %q: %v", key, err)
	}
}

func wantValue(t testing.TB, s store.Store, key, want string) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	if err != nil || string(got) != want {
		t.Errorf("get %q: %q, %v; want %q", key, got, err, want)
	}
}

func wantMissing(t testing.TB, s store.Store, key string) {
	t.Helper()
	if got, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get %q: %q, %v; want ErrNotFound", key, got, err)
	}
}
