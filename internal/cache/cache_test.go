package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gatehouse/internal/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ttl = 5 * time.Second

// clock is a clock that a test moves.
type clock struct{ now atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Unix(1_700_000_000, c.now.Load()) }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

// source counts loads and answers with the number of the load.
type source struct{ loads atomic.Int64 }

func (s *source) load(_ context.Context, key string) (string, error) {
	return fmt.Sprintf("%s#%d", key, s.loads.Add(1)), nil
}

func want(t *testing.T, c *cache.Cache[string], key, want string) {
	t.Helper()
	if got, err := c.Get(t.Context(), key); err != nil || got != want {
		t.Errorf("get %q: %q, %v; want %q", key, got, err, want)
	}
}

func TestGet(t *testing.T) {
	s := &source{}
	c := cache.New(100, ttl, s.load)
	want(t, c, "a", "a#1")
	want(t, c, "a", "a#1")
	want(t, c, "b", "b#2")
	c.Forget("a")
	want(t, c, "a", "a#3")
	want(t, c, "b", "b#2")
	c.Forget("missing")
	c.Flush()
	want(t, c, "a", "a#4")
	want(t, c, "b", "b#5")
}

// The promise of session.cache_ttl: a revoked session is served until its
// entry is that old, and not a nanosecond longer, however often it is used.
func TestEntryIsNeverServedPastItsTime(t *testing.T) {
	var now clock
	s := &source{}
	c := cache.New(100, ttl, s.load)
	c.Now = now.Now
	want(t, c, "a", "a#1")
	now.advance(ttl / 2)
	want(t, c, "a", "a#1")
	now.advance(ttl/2 - 1)
	want(t, c, "a", "a#1")
	now.advance(1)
	want(t, c, "a", "a#2")
	now.advance(ttl - 1)
	want(t, c, "a", "a#2")
	// A clock that is set back does not lengthen a life.
	now.advance(-ttl)
	want(t, c, "a", "a#3")
}

// The time of an entry counts from when its load began: what a slow store
// answers at last was true when it was asked.
func TestSlowLoadShortensTheLife(t *testing.T) {
	var now clock
	loads := 0
	c := cache.New(100, ttl, func(context.Context, string) (string, error) {
		loads++
		now.advance(ttl - time.Second)
		return fmt.Sprint(loads), nil
	})
	c.Now = now.Now
	want(t, c, "a", "1")
	now.advance(time.Second - 1)
	want(t, c, "a", "1")
	now.advance(1)
	want(t, c, "a", "2")
}

func TestNoCaching(t *testing.T) {
	for name, c := range map[string]func(load func(context.Context, string) (string, error)) *cache.Cache[string]{
		"ttl 0": func(load func(context.Context, string) (string, error)) *cache.Cache[string] {
			return cache.New(100, 0, load)
		},
		"ttl negative": func(load func(context.Context, string) (string, error)) *cache.Cache[string] {
			return cache.New(100, -1, load)
		},
		"size 0": func(load func(context.Context, string) (string, error)) *cache.Cache[string] {
			return cache.New(0, ttl, load)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := c((&source{}).load)
			want(t, c, "a", "a#1")
			want(t, c, "a", "a#2")
			c.Forget("a")
			c.Flush()
			want(t, c, "a", "a#3")
			if n := c.Len(); n != 0 {
				t.Errorf("%d entries are kept", n)
			}
		})
	}
}

// "Not found" must not be kept either: a session that is made a moment later
// would be nobody's for as long as the entry lives.
func TestErrorsAreNotKept(t *testing.T) {
	var now clock
	errDown := errors.New("down")
	var down atomic.Bool
	c := cache.New(100, ttl, func(_ context.Context, key string) (string, error) {
		if down.Load() {
			return "half a value", errDown
		}
		return key, nil
	})
	c.Now = now.Now
	down.Store(true)
	if _, err := c.Get(t.Context(), "a"); !errors.Is(err, errDown) {
		t.Errorf("get: %v, want the error of the load", err)
	}
	down.Store(false)
	want(t, c, "a", "a")
	// The store fails while an entry lives: served. When it is over: never.
	down.Store(true)
	now.advance(ttl - 1)
	want(t, c, "a", "a")
	now.advance(1)
	for range 2 {
		if got, err := c.Get(t.Context(), "a"); !errors.Is(err, errDown) {
			t.Errorf("get past the time: %q, %v; want the error of the load", got, err)
		}
	}
	if n := c.Len(); n != 0 {
		t.Errorf("%d entries are kept", n)
	}
}

// gate is a load that a test lets through: it reads the value when it begins,
// as a store does, and returns when it is told to.
type gate struct {
	value atomic.Value
	begun chan chan struct{} // one channel for each load; close it to let it return
}

func newGate(value string) *gate {
	g := &gate{begun: make(chan chan struct{}, 100)}
	g.value.Store(value)
	return g
}

func (g *gate) load(ctx context.Context, _ string) (string, error) {
	value := g.value.Load().(string)
	release := make(chan struct{})
	g.begun <- release
	select {
	case <-release:
		return value, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

type result struct {
	value string
	err   error
}

func get(ctx context.Context, c *cache.Cache[string], key string) <-chan result {
	done := make(chan result, 1)
	go func() {
		value, err := c.Get(ctx, key)
		done <- result{value, err}
	}()
	return done
}

// The race that lets a revoked session live on: a load reads the record, the
// record is changed and forgotten, and then the load puts what it had read
// into the cache. Nor may a request that comes after Forget join that load.
func TestForgetDuringLoad(t *testing.T) {
	for name, forget := range map[string]func(c *cache.Cache[string]){
		"forget": func(c *cache.Cache[string]) { c.Forget("a") },
		"flush":  func(c *cache.Cache[string]) { c.Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate("valid")
				c := cache.New(100, ttl, g.load)
				before := get(t.Context(), c, "a")
				first := <-g.begun
				g.value.Store("revoked")
				forget(c)
				after := get(t.Context(), c, "a")
				second := <-g.begun // a load of its own
				close(first)
				if r := <-before; r.value != "valid" || r.err != nil {
					t.Errorf("who asked before gets %+v", r)
				}
				synctest.Wait()
				if n := c.Len(); n != 0 {
					t.Error("what was read before the change is kept")
				}
				close(second)
				if r := <-after; r.value != "revoked" || r.err != nil {
					t.Errorf("who asked after the change gets %+v", r)
				}
				want(t, c, "a", "revoked")
			})
		})
	}
}

// The same with the loads ending the other way round: the old one must not
// replace what the new one brought.
func TestForgottenLoadEndsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("valid")
		c := cache.New(100, ttl, g.load)
		before := get(t.Context(), c, "a")
		first := <-g.begun
		g.value.Store("revoked")
		c.Forget("a")
		after := get(t.Context(), c, "a")
		close(<-g.begun)
		<-after
		close(first)
		<-before
		synctest.Wait()
		want(t, c, "a", "revoked")
	})
}

func TestConcurrentLoadsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("value")
		c := cache.New(100, ttl, g.load)
		var results []<-chan result
		for range 50 {
			results = append(results, get(t.Context(), c, "a"))
		}
		synctest.Wait()
		close(<-g.begun)
		for _, r := range results {
			if r := <-r; r.value != "value" || r.err != nil {
				t.Errorf("one of them gets %+v", r)
			}
		}
		if len(g.begun) != 0 {
			t.Errorf("%d loads more than one", len(g.begun))
		}
	})
}

// A person who closes the browser must not fail the requests of everybody
// else that happen to wait for the same account.
func TestCancelledCallerFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("value")
		c := cache.New(100, ttl, g.load)
		ctx, cancel := context.WithCancel(t.Context())
		first := get(ctx, c, "a")
		release := <-g.begun
		second := get(t.Context(), c, "a")
		synctest.Wait()
		cancel()
		if r := <-first; !errors.Is(r.err, context.Canceled) {
			t.Errorf("who has gone gets %+v", r)
		}
		close(release)
		if r := <-second; r.value != "value" || r.err != nil {
			t.Errorf("who waits gets %+v", r)
		}
		want(t, c, "a", "value")
	})
}

// When everybody has gone, the load ends, and who comes then starts anew and
// does not inherit the cancellation.
func TestAbandonedLoadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("value")
		c := cache.New(100, ttl, g.load)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := get(ctx, c, "a"), get(ctx, c, "a")
		synctest.Wait()
		<-g.begun
		cancel()
		<-first
		<-second
		third := get(t.Context(), c, "a")
		close(<-g.begun)
		if r := <-third; r.value != "value" || r.err != nil {
			t.Errorf("who came later gets %+v", r)
		}
	})
}

// A load that takes longer than an entry lives is not joined: who asks now
// must not get what was true that long ago.
func TestOldLoadIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("valid")
		c := cache.New(100, ttl, g.load)
		first := get(t.Context(), c, "a")
		old := <-g.begun
		time.Sleep(ttl)
		g.value.Store("revoked")
		second := get(t.Context(), c, "a")
		close(<-g.begun)
		if r := <-second; r.value != "revoked" {
			t.Errorf("who asks now gets %+v", r)
		}
		close(old)
		<-first
		synctest.Wait()
		want(t, c, "a", "revoked")
	})
}

// A record that breaks its decoder breaks its own request, not the gateway.
func TestLoadThatPanicsOrExits(t *testing.T) {
	for name, load := range map[string]func(context.Context, string) (string, error){
		"panics": func(context.Context, string) (string, error) { panic("index out of range") },
		"exits":  func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := cache.New(100, ttl, load)
			for range 2 {
				if value, err := c.Get(t.Context(), "a"); err == nil || !strings.HasPrefix(err.Error(), "cache: ") {
					t.Errorf("get: %q, %v; want an error", value, err)
				}
			}
		})
	}
}

// A stranger can make many entries; they must not grow without end, nor push
// out those in use.
func TestBound(t *testing.T) {
	for _, size := range []int{1, 2, 10, 1000, 5000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := &source{}
			c := cache.New(size, ttl, s.load)
			for i := range 4 * size {
				want(t, c, fmt.Sprint("key ", i), fmt.Sprintf("key %d#%d", i, i+1))
			}
			if n := c.Len(); n > size || n < size/2 {
				t.Errorf("%d entries, want at most %d and about as many", n, size)
			}
		})
	}
}

func TestEntriesInUseStay(t *testing.T) {
	loads := map[string]int{}
	c := cache.New(100, ttl, func(_ context.Context, key string) (string, error) {
		loads[key]++
		return key, nil
	})
	for i := range 10_000 {
		want(t, c, fmt.Sprint("once ", i), fmt.Sprint("once ", i))
		for j := range 50 {
			if i%10 == 0 {
				want(t, c, fmt.Sprint("used ", j), fmt.Sprint("used ", j))
			}
		}
	}
	for j := range 50 {
		if n := loads[fmt.Sprint("used ", j)]; n > 2 {
			t.Errorf("entry in use was loaded %d times", n)
		}
	}
}

// Everything at once, for the race detector: what is served is never older
// than what was written before the last Forget.
func TestManyAtOnce(t *testing.T) {
	const keys = 8
	var records [keys]atomic.Int64
	c := cache.New(4, ttl, func(_ context.Context, key string) (int64, error) {
		var i int
		if _, err := fmt.Sscan(key, &i); err != nil {
			return 0, err
		}
		return records[i].Load(), nil
	})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				k := (worker + i) % keys
				key := fmt.Sprint(k)
				switch {
				case i%7 == 0:
					written := records[k].Add(1)
					c.Forget(key)
					if got, err := c.Get(t.Context(), key); err != nil || got < written {
						t.Errorf("get after forget: %d, %v; %d was written", got, err, written)
					}
				case i%501 == 0:
					c.Flush()
				default:
					// Each of the eight workers may have written and not yet
					// forgotten.
					before := records[k].Load()
					if got, err := c.Get(t.Context(), key); err != nil || got < before-8 {
						t.Errorf("get: %d, %v; at least %d was forgotten", got, err, before-8)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := c.Len(); n > 4 {
		t.Errorf("%d entries, want at most 4", n)
	}
}

// The hot road: a hit allocates nothing.
func TestHitDoesNotAllocate(t *testing.T) {
	c := cache.New(10_000, time.Hour, (&source{}).load)
	want(t, c, "a", "a#1")
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Get(ctx, "a") }); n != 0 {
		t.Errorf("a hit allocates %v times, want 0", n)
	}
}

func BenchmarkHit(b *testing.B) {
	c := cache.New(10_000, time.Hour, (&source{}).load)
	ctx := b.Context()
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("session:%064d", i)
		if _, err := c.Get(ctx, keys[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := c.Get(ctx, keys[i%len(keys)]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	c := cache.New(10_000, time.Hour, (&source{}).load)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get(ctx, "a"); err != nil {
			b.Fatal(err)
		}
		c.Forget("a")
	}
}
