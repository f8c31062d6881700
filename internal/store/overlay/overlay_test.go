package overlay_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/overlay"
	"gatehouse/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		return &overlay.Store{Below: memory.New(), Top: memory.New()}
	})
}

func contents(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := s.Scan(t.Context(), "", func(key string, value []byte) error {
		all[key] = string(value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// Everything can be done with what is below, and nothing becomes of it there.
func TestWhatIsBelowStays(t *testing.T) {
	ctx, below := t.Context(), memory.New()
	was := map[string]string{"kept": "1", "updated": "2", "emptied": "3", "taken": "4", "deleted": "5"}
	for key, value := range was {
		if err := below.Create(ctx, key, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	s := &overlay.Store{Below: below, Top: memory.New()}
	if err := s.Create(ctx, "kept", []byte("x"), 0); !errors.Is(err, store.ErrExists) {
		t.Errorf("create over what is below: %v", err)
	}
	if err := s.Create(ctx, "made", []byte("6"), time.Hour); err != nil {
		t.Error(err)
	}
	change := func(key, want string, to []byte) {
		t.Helper()
		err := s.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
			if string(old) != want {
				t.Errorf("%s: %q, want %q", key, old, want)
			}
			return to, store.KeepTTL, nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	change("updated", "2", []byte("two"))
	change("updated", "two", []byte("three"))
	change("emptied", "3", nil)
	if value, err := s.Take(ctx, "taken"); err != nil || string(value) != "4" {
		t.Errorf("take: %q, %v", value, err)
	}
	if _, err := s.Take(ctx, "taken"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("take again: %v", err)
	}
	if err := s.Delete(ctx, "deleted"); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(ctx, "deleted"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get what was deleted: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"kept": "1", "updated": "three", "made": "6"}, contents(t, s)); diff != "" {
		t.Errorf("on top (-want +got):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(was, contents(t, below)); diff != "" {
		t.Errorf("below (-want +got):\n%s", diff)
	}
}

// A store below that does not answer is not an empty one.
func TestDownBelow(t *testing.T) {
	below := memory.New()
	if err := below.Close(); err != nil {
		t.Fatal(err)
	}
	s := &overlay.Store{Below: below, Top: memory.New()}
	ctx := t.Context()
	_, getErr := s.Get(ctx, "k")
	_, takeErr := s.Take(ctx, "k")
	for op, err := range map[string]error{
		"get": getErr, "take": takeErr, "delete": s.Delete(ctx, "k"), "create": s.Create(ctx, "k", nil, 0),
		"update": s.Update(ctx, "k", func([]byte) ([]byte, time.Duration, error) { return nil, 0, nil }),
		"scan":   s.Scan(ctx, "", func(string, []byte) error { return nil }),
	} {
		if !errors.Is(err, store.ErrDown) {
			t.Errorf("%s: %v, want ErrDown", op, err)
		}
	}
}
