package metrics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

// TestMeasuredStore: measuring changes nothing of what a store does.
func TestMeasuredStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return New("", time.Now()).Store(memory.New()) })
}

func TestStoreOperationsAndErrors(t *testing.T) {
	down := errors.New("the network is gone")
	var fail error
	m := New("", time.Now())
	s := m.Store(&storetest.Faulty{Store: memory.New(), Before: func(string, string) error { return fail }})
	ctx := t.Context()
	write := func([]byte) ([]byte, time.Duration, error) { return []byte("x"), 0, nil }
	all := func(ctx context.Context) {
		_ = s.Create(ctx, "a", nil, 0)
		_, _ = s.Get(ctx, "a")
		_ = s.Update(ctx, "a", write)
		_ = s.Scan(ctx, "", func(string, []byte) error { return nil })
		_, _ = s.Take(ctx, "a")
		_ = s.Delete(ctx, "a")
	}
	all(ctx)
	// Answers, and what the caller refuses, are no errors of the store.
	_, _ = s.Get(ctx, "missing")
	_, _ = s.Take(ctx, "missing")
	_ = s.Create(ctx, "b", nil, 0)
	_ = s.Create(ctx, "b", nil, 0)
	_ = s.Update(ctx, "b", func([]byte) ([]byte, time.Duration, error) { return nil, 0, down })
	_ = s.Update(ctx, "b", func([]byte) ([]byte, time.Duration, error) { return nil, 0, store.ErrNoChange })
	_ = s.Scan(ctx, "b", func(string, []byte) error { return down })
	// Whoever hangs up is not the store's trouble: a stranger could raise the alarm.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	fail = fmt.Errorf("%w: %w", store.ErrDown, context.Canceled)
	all(gone)
	if diff := cmp.Diff(map[string]string{}, failures(t, m)); diff != "" {
		t.Errorf("errors before there are any (-want +got):\n%s", diff)
	}

	fail = fmt.Errorf("%w: %w", store.ErrDown, down)
	all(ctx)
	fail = store.ErrConflict
	_ = s.Update(ctx, "a", write)
	want := map[string]string{
		"create down": "1", "get down": "1", "update down": "1", "scan down": "1", "take down": "1", "delete down": "1",
		"update contention": "1",
	}
	if diff := cmp.Diff(want, failures(t, m)); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	for operation, want := range map[string]int{"create": 5, "get": 4, "update": 6, "scan": 4, "take": 4, "delete": 3} {
		line := fmt.Sprintf("gatehouse_store_operation_duration_seconds_count{operation=%q} %d\n", operation, want)
		if !strings.Contains(scrape(t, m), line) {
			t.Errorf("no %s", line)
		}
	}
}

// failures are the error counts that are not 0.
func failures(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(scrape(t, m)) {
		labels, found := strings.CutPrefix(line, `gatehouse_store_errors_total{operation="`)
		if !found {
			continue
		}
		operation, rest, _ := strings.Cut(labels, `",reason="`)
		reason, count, _ := strings.Cut(strings.TrimSpace(rest), `"} `)
		if count != "0" {
			all[operation+" "+reason] = count
		}
	}
	return all
}
