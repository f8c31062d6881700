package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/store"
)

// The history of an account is a record of its own, written BEFORE the change
// that it tells of. Each entry names the one before it, and the account names
// the last: an entry that cannot be reached from the account tells of a change
// that was not made, or not yet, and nobody is shown it. So a change without
// an entry, or an entry without a change, takes no more than one key to rule
// out.
const (
	historyPrefix = "history:"

	maxHistory      = 100      // entries of an account
	maxHistoryBytes = 64 << 10 // of those entries
	// maxWaiting is how many entries may wait for their change at the same
	// time. Beyond it, those older than waitingLasts are of processes that died:
	// no booking lives that long.
	maxWaiting   = 16
	waitingLasts = time.Minute
)

// historyLog is the record under history:<account id>, in the order in which
// the entries were written.
type historyLog struct {
	Version int            `json:"v"`
	Entries []HistoryEntry `json:"entries"`
}

func historyKey(id string) string { return historyPrefix + id }

func decodeHistory(value []byte) (historyLog, error) {
	l := historyLog{Version: accountVersion}
	if len(value) == 0 {
		return l, nil
	}
	if err := json.Unmarshal(value, &l); err != nil {
		return l, fmt.Errorf("decode history: %w", err)
	}
	if l.Version != accountVersion {
		return l, fmt.Errorf("decode history: version %d is not known", l.Version)
	}
	return l, nil
}

// historyLog reads the log of an account; one that has none has an empty one.
func (d *Directory) historyLog(ctx context.Context, id string) (historyLog, error) {
	value, err := d.Store.Get(ctx, historyKey(id))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return historyLog{}, err
	}
	return decodeHistory(value)
}

func (l historyLog) has(decision string) bool {
	return slices.ContainsFunc(l.Entries, func(e HistoryEntry) bool { return e.Decision == decision })
}

// chain returns the entries that lead to a decision, oldest first.
func (l historyLog) chain(decision string) []HistoryEntry {
	var chain []HistoryEntry
	// An entry is written after the one that it names: one walk finds them all.
	for _, e := range slices.Backward(l.Entries) {
		if e.Decision == decision {
			chain = append(chain, e)
			decision = e.Prev
		}
	}
	slices.Reverse(chain)
	return chain
}

// append adds the entry of a change that is about to be made, in place of what
// an earlier attempt of the same decision left. Errors: errBusy when too many
// are about to change the account.
//
// An entry is dropped only when its change can no longer be made: the account
// has gone on from where that change began, by another one. Whatever else is
// not on the way to tip may still be made, or has been, by somebody who was
// faster than we are: if we are the slow one, tip is not the account's last
// decision any more.
func (l *historyLog) append(e HistoryEntry, tip string) error {
	chain := l.chain(tip)
	left := map[string]bool{} // decisions from which the account has gone on
	for _, c := range chain {
		left[c.Prev] = true
	}
	var waiting []HistoryEntry
	for _, w := range l.Entries {
		if w.Decision != e.Decision && !left[w.Prev] {
			waiting = append(waiting, w)
		}
	}
	if len(waiting) >= maxWaiting {
		waiting = slices.DeleteFunc(waiting, func(w HistoryEntry) bool { return e.Time.Sub(w.Time) > waitingLasts })
	}
	if len(waiting) >= maxWaiting {
		return errBusy
	}
	chain = append(chain, e)
	size := 0
	for i, c := range slices.Backward(chain) {
		size += c.size()
		if len(chain)-i > maxHistory || size > maxHistoryBytes {
			chain = chain[i+1:]
			break
		}
	}
	last := len(chain) - 1
	l.Entries = slices.Concat(chain[:last], waiting, chain[last:])
	return nil
}

func (e HistoryEntry) size() int { return len(encodeHistory(e)) + 1 }

func encodeHistory(v any) []byte {
	value, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and times always encode
	}
	return value
}

// foretell writes the entry of a change before the change is made.
func (b *booking) foretell(ctx context.Context, account string, e HistoryEntry) error {
	return b.Store.Update(ctx, historyKey(account), func(old []byte) ([]byte, time.Duration, error) {
		log, err := decodeHistory(old)
		if err != nil {
			return nil, 0, err
		}
		if err := log.append(e, e.Prev); err != nil {
			return nil, 0, err
		}
		return encodeHistory(log), 0, nil
	})
}

// entry is what history says of a change; ok is false when there is nothing to
// say: a name was announced, or an announcement cleared.
func (b *booking) entry(ctx context.Context, from, to *Account) (e HistoryEntry, ok bool) {
	changes := diff(factsOf(from), factsOf(to))
	if len(changes) == 0 && b.event == "" || from.Status == Pending {
		return HistoryEntry{}, false // a creation is told from the account itself
	}
	who := actorOf(ctx)
	if b.by != nil {
		who = *b.by
	}
	if b.spent {
		// Each with an id of its own: once the account names one of them, the
		// other would be taken for done.
		b.decision, b.spent = newDecision(), false
	}
	why, _ := shorten(who.why)
	e = HistoryEntry{
		Decision: b.decision, Prev: from.Decision, Time: b.now(), Actor: who.actor,
		Event: b.event, Why: why,
	}
	if e.Event == "" {
		e.Event = eventOf(changes)
	}
	e.Changes, e.More = bounded(changes)
	return e, true
}

// eventOf names a change by the most telling thing that it did.
func eventOf(changes []HistoryChange) string {
	event := EventChanged
	for _, c := range changes {
		switch {
		case c.Field == fieldStatus && c.New != nil:
			switch Status(c.New.Values[0]) {
			case Disabled:
				return EventDisabled
			case Deleting:
				return EventDeleting
			case Active:
				return EventEnabled
			}
		case c.Field == fieldLinks && c.Added != nil:
			event = EventLinked
		case c.Field == fieldLinks && event == EventChanged:
			event = EventUnlinked
		}
	}
	return event
}
