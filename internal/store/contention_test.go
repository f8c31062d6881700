package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/store"
)

func TestContention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c store.Contention
		began, n := time.Now(), 0
		var err error
		for err == nil {
			err = c.Lost(t.Context())
			n++
		}
		if !errors.Is(err, store.ErrConflict) || n != 64 {
			t.Errorf("%v after %d losses, want ErrConflict after 64", err, n)
		}
		if took := time.Since(began); took > 64*20*time.Millisecond {
			t.Errorf("giving up took %v", took)
		}
	})
}

func TestContentionEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var c store.Contention
	var err error
	for range 100 { // of the pause and the end of ctx either may come first
		if err = c.Lost(ctx); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrDown) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want ErrDown and context.Canceled", err)
	}
}

func TestRoundTTL(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		0: 0, 1: time.Millisecond, -1: time.Millisecond, -time.Hour: time.Millisecond,
		time.Millisecond: time.Millisecond, time.Hour: time.Hour,
	} {
		if got := store.RoundTTL(ttl); got != want {
			t.Errorf("RoundTTL(%v) = %v, want %v", ttl, got, want)
		}
	}
}
