package storetest

import (
	"errors"
	"testing"
	"time"

	"gatehouse/internal/store"
)

// short is a life that tests wait for, long one that outlives every test.
const (
	short = 150 * time.Millisecond
	long  = time.Hour
)

func testExpiry(t *testing.T, s store.Store) {
	create(t, s, "for ever", "value", 0)
	create(t, s, "long", "value", long)
	began := time.Now()
	create(t, s, "short", "value", short)
	create(t, s, "taken", "value", short)
	waitGone(t, s, "short")
	// A millisecond is the resolution of a store.
	if lived := time.Since(began); lived < short-time.Millisecond {
		t.Errorf("gone after %v, want %v", lived, short)
	}
	waitGone(t, s, "taken")

	// What has expired does not exist, for any operation.
	if _, err := s.Take(t.Context(), "taken"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("take what expired: %v, want ErrNotFound", err)
	}
	if err := s.Scan(t.Context(), "", func(key string, _ []byte) error {
		if key == "short" || key == "taken" {
			t.Errorf("scan shows %q, which has expired", key)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	update(t, s, "taken", func(old []byte) ([]byte, time.Duration, error) {
		if old != nil {
			t.Errorf("update sees %q, which has expired", old)
		}
		// The life of the record before must not be inherited.
		return []byte("again"), store.KeepTTL, nil
	})
	wantValue(t, s, "taken", "again")
	create(t, s, "short", "again", 0)
	wantValue(t, s, "short", "again")
	wantValue(t, s, "for ever", "value")
	wantValue(t, s, "long", "value")
}

func testUpdateExpiry(t *testing.T, s store.Store) {
	lives := func(ttl time.Duration) func([]byte) ([]byte, time.Duration, error) {
		return func([]byte) ([]byte, time.Duration, error) { return []byte("updated"), ttl, nil }
	}
	create(t, s, "shortened", "value", 0)
	create(t, s, "lengthened", "value", short)
	create(t, s, "freed", "value", short)
	create(t, s, "kept for ever", "value", 0)
	update(t, s, "shortened", lives(short))
	update(t, s, "lengthened", lives(long))
	update(t, s, "freed", lives(0))
	update(t, s, "kept for ever", lives(store.KeepTTL))
	for kept := false; !kept; { // on a slow machine it may expire before the update
		create(t, s, "kept", "value", 2*short)
		update(t, s, "kept", func(old []byte) ([]byte, time.Duration, error) {
			if kept = old != nil; !kept {
				return nil, 0, store.ErrNoChange
			}
			return []byte("updated"), store.KeepTTL, nil
		})
	}
	waitGone(t, s, "shortened")
	waitGone(t, s, "kept")
	for _, key := range []string{"lengthened", "freed", "kept for ever"} {
		wantValue(t, s, key, "updated")
	}
}

// What is left of a life that is over is negative. Such a record must be gone
// and never live for ever.
func testNegativeTTL(t *testing.T, s store.Store) {
	create(t, s, "created", "value", -time.Second)
	create(t, s, "updated", "value", 0)
	update(t, s, "updated", func([]byte) ([]byte, time.Duration, error) {
		return []byte("value"), -time.Second, nil
	})
	create(t, s, "tiny", "value", time.Nanosecond)
	for _, key := range []string{"created", "updated", "tiny"} {
		waitGone(t, s, key)
	}
}

// waitGone waits until key does not exist any more.
func waitGone(t testing.TB, s store.Store, key string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		_, err := s.Get(t.Context(), key)
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		if err != nil {
			t.Fatalf("get %q: %v", key, err)
		}
		select {
		case <-deadline:
			t.Fatalf("%q still exists after %v", key, patience)
		case <-time.After(time.Millisecond):
		}
	}
}
