package mail

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/store"
)

const (
	pollEvery = 5 * time.Second // what others have queued is found after so long
	batch     = 8               // claimed at once at most, so that what is new does not wait for all that is old
	parallel  = 4               // connections to the server
	// sendTime bounds one attempt. A gateway that ends waits for it.
	sendTime = 20 * time.Second
	// claimTime is well over sendTime: while one replica sends, no other does.
	claimTime = 2 * time.Minute
	firstWait = 5 * time.Second // after a failure; doubled each time
	longWait  = 10 * time.Minute
)

// errNotDue says that there is nothing to be done about a mail now.
var errNotDue = errors.New("not due")

// Run sends what is queued until ctx ends. What it is about to send then is
// finished.
func (o *Outbox) Run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		for o.pass(ctx) && ctx.Err() == nil {
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-tick.C:
		}
	}
}

// pass sends some of what is due, and reports whether there is more that is
// worth a try: not when the server has just failed, which would only fail again.
func (o *Outbox) pass(ctx context.Context) (more bool) {
	due, err := o.due(ctx)
	if err != nil {
		return false // a store that is down shows elsewhere
	}
	more = len(due) > batch
	due = due[:min(len(due), batch)]
	var failed atomic.Bool
	var sending sync.WaitGroup
	places := make(chan struct{}, parallel)
	for _, id := range due {
		places <- struct{}{}
		if failed.Load() || ctx.Err() != nil {
			break
		}
		sending.Go(func() {
			defer func() { <-places }()
			if !o.deliver(context.WithoutCancel(ctx), id) {
				failed.Store(true)
			}
		})
	}
	sending.Wait()
	return more && !failed.Load()
}

// due returns the ids of the mails that may be claimed, those first that were
// tried least, and of these the oldest.
func (o *Outbox) due(ctx context.Context) ([]string, error) {
	entries, err := o.entries(ctx)
	if err != nil {
		return nil, err
	}
	now := o.now()
	over := map[string]bool{}
	for _, e := range entries {
		if e.over(now) {
			over[shardOfID(e.ID)] = true
		}
	}
	for shard := range over {
		if err := o.update(ctx, shard, func(*queue) error { return nil }); err != nil {
			return nil, err
		}
	}
	entries = slices.DeleteFunc(entries, func(e Entry) bool { return !e.due(now) })
	slices.SortStableFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Attempts, b.Attempts) })
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	return ids, nil
}

// deliver claims a mail, sends it and says in the list what came of it. It
// returns false when the server seems not to work.
func (o *Outbox) deliver(ctx context.Context, id string) bool {
	claim := rand.Text()
	e, err := o.claim(ctx, id, claim)
	if err != nil {
		return true // another replica's now, or the store's trouble
	}
	m, err := o.message(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		_ = o.settle(ctx, e, claim, true, "", false) // over, or dropped meanwhile
		return true
	}
	if err == nil {
		sending, cancel := context.WithTimeout(ctx, sendTime)
		err = o.Sender.Send(sending, o.compose(id, m))
		cancel()
	} else if !errors.Is(err, store.ErrDown) {
		err = &Refused{Err: err} // sealed under a key that is gone
	}
	said := ""
	if err != nil {
		said = scrub(err.Error(), m)
	}
	_, refused := errors.AsType[*Refused](err)
	if settled := o.settle(ctx, e, claim, err == nil, said, refused); settled != nil {
		o.Log.WarnContext(ctx, "what came of a mail could not be noted; it may be sent once more", "mail", id, "kind", e.Kind, "error", settled)
	}
	switch {
	case err == nil:
		o.Count(CountSent)
		o.Log.InfoContext(ctx, "mail sent", "mail", id, "kind", e.Kind, "attempts", e.Attempts)
	case refused:
		o.Count(CountRefused)
		o.Log.WarnContext(ctx, "a mail was refused for good; gatehouse mail list shows it", "mail", id, "kind", e.Kind, "error", said)
	default:
		o.Count(CountRetried)
		o.Log.WarnContext(ctx, "a mail could not be sent; it is tried again", "mail", id, "kind", e.Kind, "attempts", e.Attempts, "in", wait(e.Attempts).String(), "error", said)
		return false
	}
	return true
}

// claim makes a mail this process's for a while. Errors: errNotDue, those of
// the store.
func (o *Outbox) claim(ctx context.Context, id, claim string) (Entry, error) {
	var claimed Entry
	err := o.update(ctx, shardOfID(id), func(q *queue) error {
		e := q.find(id)
		if e == nil || !e.due(o.now()) {
			return errNotDue
		}
		e.Attempts++
		e.Claim, e.Until = claim, o.now().Add(claimTime)
		claimed = *e
		return nil
	})
	return claimed, err
}

// settle ends a claim. Said is why the mail was not sent, if it was not.
func (o *Outbox) settle(ctx context.Context, claimed Entry, claim string, sent bool, said string, refused bool) error {
	err := o.update(ctx, shardOfID(claimed.ID), func(q *queue) error {
		e := q.find(claimed.ID)
		if e == nil {
			return store.ErrNoChange // dropped
		}
		if sent {
			q.remove(e.ID) // also if another has it by now: it need not be sent again
			return nil
		}
		if e.Claim != claim {
			return store.ErrNoChange // it took too long
		}
		e.Claim, e.Until = "", time.Time{}
		e.Error, e.Failed, e.Next = said, refused, o.now().Add(wait(e.Attempts))
		return nil
	})
	if err == nil && sent {
		err = o.Store.Delete(ctx, bodyPrefix+claimed.ID)
	}
	return err
}

// wait is the time from an attempt that failed to the next.
func wait(attempts int) time.Duration {
	return min(firstWait<<min(attempts-1, 10), longWait)
}
