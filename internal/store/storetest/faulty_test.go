package storetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

// A wrapper without faults is the store itself.
func TestFaultyConforms(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		none := func(string, string) error { return nil }
		return &storetest.Faulty{Store: memory.New(), Before: none, After: none}
	})
}

func TestFaultyFails(t *testing.T) {
	errDied := errors.New("died")
	operations := map[string]struct {
		do    func(ctx context.Context, s store.Store) error
		after string // what the record is when the operation has happened; "-": gone
	}{
		"get":    {func(ctx context.Context, s store.Store) error { _, err := s.Get(ctx, "key"); return err }, "old"},
		"create": {func(ctx context.Context, s store.Store) error { return s.Create(ctx, "key", nil, 0) }, "old"},
		"update": {func(ctx context.Context, s store.Store) error {
			return s.Update(ctx, "key", func([]byte) ([]byte, time.Duration, error) { return []byte("new"), 0, nil })
		}, "new"},
		"take":   {func(ctx context.Context, s store.Store) error { _, err := s.Take(ctx, "key"); return err }, "-"},
		"delete": {func(ctx context.Context, s store.Store) error { return s.Delete(ctx, "key") }, "-"},
		"scan": {func(ctx context.Context, s store.Store) error {
			return s.Scan(ctx, "key", func(string, []byte) error { return nil })
		}, "old"},
	}
	for op, tt := range operations {
		for when, want := range map[string]string{"before": "old", "after": tt.after} {
			t.Run(op+" "+when, func(t *testing.T) {
				inner := memory.New()
				if err := inner.Create(t.Context(), "key", []byte("old"), 0); err != nil {
					t.Fatal(err)
				}
				var seen []string
				fail := func(op, key string) error {
					seen = append(seen, op+" "+key)
					return errDied
				}
				s := &storetest.Faulty{Store: inner}
				if when == "before" {
					s.Before = fail
				} else {
					s.After = fail
				}
				if err := tt.do(t.Context(), s); !errors.Is(err, errDied) {
					t.Errorf("error %v, want the fault's", err)
				}
				if diff := cmp.Diff([]string{op + " key"}, seen); diff != "" {
					t.Errorf("the fault saw (-want +got):\n%s", diff)
				}
				got, err := inner.Get(t.Context(), "key")
				if errors.Is(err, store.ErrNotFound) {
					got = []byte("-")
				}
				if string(got) != want {
					t.Errorf("the store holds %q, want %q", got, want)
				}
			})
		}
	}
}
