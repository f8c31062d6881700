package mail

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	shards      = 8   // lists; more would be read in vain, fewer would be fought for
	maxEntries  = 128 // in one list, which is one record
	maxTo       = 16  // to one address
	queuePrefix = "mailqueue:"
)

// Entry is a mail that waits to be sent, as an administrator sees it.
type Entry struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	To       string    `json:"to"`
	Queued   time.Time `json:"queued"`
	Expires  time.Time `json:"expires"` // then it is dropped
	Attempts int       `json:"attempts,omitempty"`
	Next     time.Time `json:"next"`            // attempt, not before
	Error    string    `json:"error,omitempty"` // of the last attempt
	Failed   bool      `json:"failed,omitempty"`

	// Until is how long the replica that holds Claim has it for itself.
	Until time.Time `json:"until,omitzero"`
	Claim string    `json:"claim,omitempty"`
}

// due reports whether somebody may claim it.
func (e *Entry) due(now time.Time) bool {
	return !e.Failed && !now.Before(e.Next) && !now.Before(e.Until) && !e.over(now)
}

// over reports whether what is in it is good for nothing any more.
func (e *Entry) over(now time.Time) bool { return !now.Before(e.Expires) }

// queue is one of the lists, in the order in which the mails were queued.
type queue struct{ entries []Entry }

// add puts an entry at the end. Errors: ErrFull.
func (q *queue) add(e Entry) error {
	same := 0
	for _, other := range q.entries {
		if strings.EqualFold(other.To, e.To) {
			same++
		}
	}
	if len(q.entries) >= maxEntries || same >= maxTo {
		return ErrFull
	}
	q.entries = append(q.entries, e)
	return nil
}

func (q *queue) find(id string) *Entry {
	i := slices.IndexFunc(q.entries, func(e Entry) bool { return e.ID == id })
	if i < 0 {
		return nil
	}
	return &q.entries[i]
}

func (q *queue) remove(id string) {
	q.entries = slices.DeleteFunc(q.entries, func(e Entry) bool { return e.ID == id })
}

// shardOf names the list of an address. All mails to one are in the same, so
// that their number is seen by the one record that is written.
func shardOf(to string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.ToLower(to)))
	return strconv.Itoa(int(h.Sum32() % shards))
}

// shardOfID names the list in which a mail with that id is, "" where there can
// be none.
func shardOfID(id string) string {
	if id == "" || id[0] < '0' || id[0] >= '0'+shards {
		return ""
	}
	return id[:1]
}

// update changes one list by compare-and-swap. Entries that are over are
// dropped on the way. Errors: those of f and of the store.
func (o *Outbox) update(ctx context.Context, shard string, f func(*queue) error) error {
	var over []Entry
	err := o.Store.Update(ctx, queuePrefix+shard, func(old []byte) ([]byte, time.Duration, error) {
		now := o.now()
		q := o.decode(ctx, shard, old)
		over = nil
		q.entries = slices.DeleteFunc(q.entries, func(e Entry) bool {
			if e.over(now) {
				over = append(over, e)
			}
			return e.over(now)
		})
		if err := f(q); err != nil {
			over = nil // they stay for the next
			return nil, 0, err
		}
		return encode(q, now)
	})
	if err == nil {
		for _, e := range over {
			o.Count(CountExpired)
			o.Log.WarnContext(ctx, "a mail was not sent in the time that it was good for", "mail", e.ID, "kind", e.Kind, "attempts", e.Attempts, "error", e.Error)
		}
	}
	return err
}

// slack is how much longer a list is kept than what is in it, so that it can
// be told what was not sent in time.
const slack = time.Minute

// encode returns the record of a list: none for an empty one, and one that is
// gone a little after the last of its entries.
func encode(q *queue, now time.Time) ([]byte, time.Duration, error) {
	if len(q.entries) == 0 {
		return nil, 0, nil
	}
	last := q.entries[0].Expires
	for _, e := range q.entries {
		if e.Expires.After(last) {
			last = e.Expires
		}
	}
	value, err := json.Marshal(q.entries)
	return value, last.Sub(now) + slack, err
}

// decode reads a list. One that cannot be read is begun anew: otherwise nobody
// whose address falls into it would get a mail again.
func (o *Outbox) decode(ctx context.Context, shard string, value []byte) *queue {
	q := &queue{}
	if len(value) == 0 {
		return q
	}
	if err := json.Unmarshal(value, &q.entries); err != nil {
		o.Log.ErrorContext(ctx, "a list of mails to be sent cannot be read; it is begun anew", "key", queuePrefix+shard, "error", err)
		return &queue{}
	}
	return q
}
