package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/store"
)

// RunBus runs the conformance suite of a Bus. open returns the ends of two
// processes, which may be one and the same.
func RunBus(t *testing.T, open func(t *testing.T) (a, b store.Bus)) {
	t.Run("announcements reach every subscriber", func(t *testing.T) {
		a, b := open(t)
		atA, atB := listen(t, a), listen(t, b)
		for i, from := range []store.Bus{a, b, a} {
			key := fmt.Sprintf("session:%d\n\x00ü", i)
			if err := from.Publish(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			atA.want(t, key)
			atB.want(t, key)
		}
		// To announce the empty key is to say that everything is suspect.
		if err := a.Publish(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		atB.want(t, "")
	})
	t.Run("subscribe ends with its context", func(t *testing.T) {
		a, b := open(t)
		atA, atB := listen(t, a), listen(t, b)
		atB.stop()
		if err := a.Publish(t.Context(), "key"); err != nil {
			t.Fatal(err)
		}
		atA.want(t, "key")
		select {
		case key := <-atB.keys:
			t.Errorf("%q was announced to who had gone", key)
		default:
		}
	})
	t.Run("many at once", func(t *testing.T) {
		const n = 1000
		a, b := open(t)
		at := listen(t, b)
		together(10, func(worker int) {
			for i := range n / 10 {
				if err := a.Publish(t.Context(), fmt.Sprint(worker, ":", i)); err != nil {
					t.Error(err)
				}
			}
		})
		got := map[string]bool{}
		for range n {
			got[at.next(t)] = true
		}
		if len(got) != n {
			t.Errorf("%d different announcements, want %d", len(got), n)
		}
	})
}

// listener collects the announcements of a Bus.
type listener struct {
	keys chan string
	stop func() // returns when Subscribe has
}

// listen subscribes and waits until the subscription stands.
func listen(t testing.TB, bus store.Bus) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	l := &listener{keys: make(chan string, 10_000)}
	l.stop = func() {
		cancel()
		wg.Wait()
	}
	wg.Go(func() { bus.Subscribe(ctx, func(key string) { l.keys <- key }) })
	t.Cleanup(l.stop)
	l.want(t, "")
	return l
}

func (l *listener) want(t testing.TB, want string) {
	t.Helper()
	if got := l.next(t); got != want {
		t.Errorf("%q was announced, want %q", got, want)
	}
}

func (l *listener) next(t testing.TB) string {
	t.Helper()
	select {
	case key := <-l.keys:
		return key
	case <-time.After(patience):
		t.Fatal("nothing was announced")
		return ""
	}
}
