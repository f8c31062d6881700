package storetest

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/store"
)

const writers = 64

// together runs f in that many goroutines, which begin at one moment.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// No increment may be lost, and none may give up.
func testCounter(t *testing.T, s store.Store) {
	const each = 4
	together(writers, func(int) {
		for range each {
			if err := s.Update(t.Context(), "counter", func(old []byte) ([]byte, time.Duration, error) {
				n := 0
				if old != nil {
					var err error
					if n, err = strconv.Atoi(string(old)); err != nil {
						return nil, 0, err
					}
				}
				return []byte(strconv.Itoa(n + 1)), store.KeepTTL, nil
			}); err != nil {
				t.Error(err)
			}
		}
	})
	wantValue(t, s, "counter", strconv.Itoa(writers*each))
}

func testCreateRace(t *testing.T, s store.Store) {
	for round := range 10 {
		key := "race:" + strconv.Itoa(round)
		var winner atomic.Int64
		winner.Store(-1)
		together(writers, func(i int) {
			switch err := s.Create(t.Context(), key, []byte(strconv.Itoa(i)), long); {
			case err == nil:
				if !winner.CompareAndSwap(-1, int64(i)) {
					t.Errorf("round %d: a second winner", round)
				}
			case !errors.Is(err, store.ErrExists):
				t.Error(err)
			}
		})
		wantValue(t, s, key, strconv.FormatInt(winner.Load(), 10))
	}
}

func testUpdateRace(t *testing.T, s store.Store) {
	for round := range 10 {
		key := "race:" + strconv.Itoa(round)
		var winners atomic.Int64
		together(writers, func(i int) {
			errTaken := errors.New("taken")
			err := s.Update(t.Context(), key, func(old []byte) ([]byte, time.Duration, error) {
				if old != nil {
					return nil, 0, errTaken
				}
				return []byte(strconv.Itoa(i)), long, nil
			})
			switch {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, errTaken):
				t.Error(err)
			}
		})
		if n := winners.Load(); n != 1 {
			t.Errorf("round %d: %d winners, want 1", round, n)
		}
	}
}

// One state, one code and one back-channel token passes once, however many
// requests carry it at one moment.
func testTakeRace(t *testing.T, s store.Store) {
	for round := range 10 {
		key := "race:" + strconv.Itoa(round)
		create(t, s, key, "value", long)
		var winners atomic.Int64
		together(writers, func(int) {
			switch value, err := s.Take(t.Context(), key); {
			case err == nil && string(value) == "value":
				winners.Add(1)
			case !errors.Is(err, store.ErrNotFound):
				t.Errorf("take: %q, %v", value, err)
			}
		})
		if n := winners.Load(); n != 1 {
			t.Errorf("round %d: %d winners, want 1", round, n)
		}
	}
}
