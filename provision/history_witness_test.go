package provision

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/internal/store"
)

// witness saw every record of an account that was written, or may have been:
// what histories are judged by.
type witness struct {
	mu   sync.Mutex
	seen map[string]map[string]*Account // account -> decision -> as it was then
	torn []string                       // changes that were made under the decision of another one
}

// over returns a store whose writes the witness sees.
func (w *witness) over(st store.Store) store.Store { return &witnessed{st, w} }

type witnessed struct {
	store.Store
	*witness
}

func (w *witnessed) Update(ctx context.Context, key string, f func([]byte) ([]byte, time.Duration, error)) error {
	var written []byte
	err := w.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
		value, ttl, err := f(old)
		written = nil
		if err == nil {
			written = bytes.Clone(value)
		}
		return value, ttl, err
	})
	if strings.HasPrefix(key, accountPrefix) && written != nil && (err == nil || errors.Is(err, store.ErrDown)) {
		w.saw(written)
	}
	return err
}

func (w *witness) saw(record []byte) {
	a, err := decodeAccount(record)
	if err != nil {
		panic(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = map[string]map[string]*Account{}
	}
	if w.seen[a.ID] == nil {
		w.seen[a.ID] = map[string]*Account{}
	}
	before := w.seen[a.ID][a.Decision]
	if d := before; d != nil && len(diff(factsOf(d), factsOf(a))) > 0 {
		w.torn = append(w.torn, a.Username+" changed without an entry: "+cmp.Diff(factsOf(d), factsOf(a)))
	}
	w.seen[a.ID][a.Decision] = a
}

// judge compares what an account's history says with what was written. Nothing
// may be missing, and nothing may be told that was not done.
func (w *witness) judge(t testing.TB, a *Account, log historyLog) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, torn := range w.torn {
		t.Error(torn)
	}
	w.torn = nil
	history := a.history(log)
	if history.Truncated && len(history.Entries) < maxHistory && len(encodeHistory(log)) < maxHistoryBytes-maxEntryBytes-1<<10 {
		t.Errorf("the history of %s has a gap: it was made by %s, changed last by %s, and the log is %s", a.Username, a.Origin, a.Decision, log.words())
	}
	told := facts{} // as programs would work it out, from the creation on
	whole := !history.Truncated
	for i, e := range history.Entries {
		whole = whole && e.More == 0
		for _, c := range e.Changes {
			whole = whole && !c.Old.partial() && !c.New.partial() && !c.Removed.partial() && !c.Added.partial()
			told.redo(c)
		}
		now := w.seen[a.ID][e.Decision]
		if now == nil {
			t.Errorf("%s: the entry %s tells of a change that was not made", a.Username, e.Decision)
			continue
		}
		if was := w.seen[a.ID][e.Prev]; i > 0 && was != nil {
			want, _ := bounded(diff(factsOf(was), factsOf(now)))
			if d := cmp.Diff(want, e.Changes); d != "" {
				t.Errorf("%s: what %s did (-done +told):\n%s", a.Username, e.Decision, d)
			}
		}
		if i == 0 {
			told[factKey{field: fieldStatus}] = HistoryValue{Values: []string{string(Active)}}
		}
		if whole {
			if d := cmp.Diff(factsOf(now), told, setsInAnyOrder(), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s as it was after %s (-was +told):\n%s", a.Username, e.Decision, d)
			}
		}
	}
}

func setsInAnyOrder() cmp.Option {
	return cmp.Transformer("sorted", func(f facts) map[factKey]HistoryValue {
		sorted := map[factKey]HistoryValue{}
		for k, v := range f {
			if k.set() {
				v.Values = slices.Sorted(slices.Values(v.Values))
			}
			sorted[k] = v
		}
		return sorted
	})
}

// redo makes a change again.
func (f facts) redo(c HistoryChange) {
	k := factKey{c.Field, c.Name, c.Source, c.Issuer}
	switch {
	case k.set():
		if c.Removed != nil {
			f.take(k, *c.Removed)
		}
		if c.Added != nil {
			f.add(k, *c.Added)
		}
	case c.New != nil:
		f[k] = *c.New
	default:
		delete(f, k)
	}
}
