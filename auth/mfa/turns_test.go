package mfa

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

func newTurns() (*Turns, *storetest.Faulty, *clock) {
	c := &clock{}
	st := &storetest.Faulty{Store: &memory.Store{Now: c.now}}
	return &Turns{Store: st}, st, c
}

func nothing(context.Context) error { return nil }

func busy(err error) bool {
	slow, throttled := errors.AsType[*auth.Throttled](err)
	return throttled && errors.Is(err, auth.ErrBusy) && slow.RetryAfter == turnRetry
}

// Attack: enrol two kinds at the same moment, each of which finds that the
// account has none.
func TestOneTurnAtATime(t *testing.T) {
	turns, _, _ := newTurns()
	var mu sync.Mutex
	enrolled, passed := 0, 0
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for {
				err := turns.Alone(t.Context(), "a", func(context.Context) error {
					mu.Lock()
					has := enrolled
					mu.Unlock()
					runtime.Gosched()
					if has > 0 {
						return auth.ErrInvalidState
					}
					mu.Lock()
					defer mu.Unlock()
					enrolled, passed = has+1, passed+1
					return nil
				})
				if !busy(err) {
					if err != nil && !errors.Is(err, auth.ErrInvalidState) {
						t.Error(err)
					}
					return
				}
				runtime.Gosched()
			}
		})
	}
	all.Wait()
	if passed != 1 {
		t.Errorf("%d first enrolments", passed)
	}
}

// Only the same account waits, and only as long as it is worked on.
func TestTurnsOfAccounts(t *testing.T) {
	turns, _, _ := newTurns()
	failed := errors.New("failed")
	err := turns.Alone(t.Context(), "a", func(ctx context.Context) error {
		if until, ends := ctx.Deadline(); !ends || time.Until(until) > turnWork {
			t.Error("a change may go on after its turn")
		}
		if err := turns.Alone(ctx, "b", nothing); err != nil {
			t.Errorf("another account: %v", err)
		}
		if err := turns.Alone(ctx, "a", nothing); !busy(err) {
			t.Errorf("the same account: %v, want to come again", err)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("%v, want the change's own error", err)
	}
	// Whoever hangs up bars nobody.
	ctx, cancel := context.WithCancel(t.Context())
	if err := turns.Alone(ctx, "a", func(context.Context) error { cancel(); return nil }); err != nil {
		t.Errorf("after a failed change: %v", err)
	}
	if err := turns.Alone(t.Context(), "a", nothing); err != nil {
		t.Errorf("after somebody hung up: %v", err)
	}
}

// A process that dies in its turn, at either end, bars the account from changes
// for fifteen seconds, and not for ever.
func TestTurnOfTheDead(t *testing.T) {
	dead := store.Down("dead", errors.New("the process has died"))
	for name, die := range map[string]func(*storetest.Faulty){
		"as it began": func(st *storetest.Faulty) {
			st.After = func(string, string) error { return dead }
		},
		"before it could end": func(st *storetest.Faulty) {
			st.Before = func(op, _ string) error {
				if op == "update" {
					return dead
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			turns, st, c := newTurns()
			die(st)
			if err := turns.Alone(t.Context(), "a", nothing); err != nil && !errors.Is(err, auth.ErrStoreDown) {
				t.Errorf("%v, want trouble of the store", err)
			}
			st.Before, st.After = nil, nil
			if err := turns.Alone(t.Context(), "a", nothing); !busy(err) {
				t.Errorf("at once: %v, want to come again", err)
			}
			c.advance(turnLife)
			if err := turns.Alone(t.Context(), "a", nothing); err != nil {
				t.Errorf("later: %v", err)
			}
		})
	}
}

// Whoever was so slow that the turn ended does not end that of the next one.
func TestTurnThatHasEnded(t *testing.T) {
	turns, _, c := newTurns()
	began, end := make(chan struct{}), make(chan struct{})
	var next sync.WaitGroup
	err := turns.Alone(t.Context(), "a", func(context.Context) error {
		c.advance(turnLife)
		next.Go(func() {
			err := turns.Alone(t.Context(), "a", func(context.Context) error {
				close(began)
				<-end
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-began
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := turns.Alone(t.Context(), "a", nothing); !busy(err) {
		t.Errorf("in the turn of the next: %v, want to come again", err)
	}
	close(end)
	next.Wait()
}
