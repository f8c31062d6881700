package redis_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
	"gatehouse/test/servers"
)

// wantDown does every operation and wants ErrDown from each, soon.
func wantDown(t *testing.T, s *redis.Store, within time.Duration) {
	t.Helper()
	ctx := t.Context()
	for op, do := range map[string]func() error{
		"get":     func() error { _, err := s.Get(ctx, "key"); return err },
		"create":  func() error { return s.Create(ctx, "new", nil, 0) },
		"update":  func() error { return s.Update(ctx, "key", replace("new")) },
		"take":    func() error { _, err := s.Take(ctx, "key"); return err },
		"delete":  func() error { return s.Delete(ctx, "key") },
		"scan":    func() error { return s.Scan(ctx, "", func(string, []byte) error { return nil }) },
		"publish": func() error { return s.Publish(ctx, "key") },
	} {
		began := time.Now()
		if err := do(); !errors.Is(err, store.ErrDown) {
			t.Errorf("%s: %v, want ErrDown", op, err)
		}
		if took := time.Since(began); took > within {
			t.Errorf("%s took %v, want at most %v", op, took, within)
		}
	}
}

// wantUp waits until the store answers again, and for each operation.
func wantUp(t *testing.T, s *redis.Store, key, want string) {
	t.Helper()
	servers.WaitFor(t, "the store to recover", func(ctx context.Context) bool {
		value, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrDown) {
			t.Fatalf("get %q: %v; want %q, or ErrDown until it recovers", key, err, want)
		}
		return err == nil && string(value) == want
	})
	if err := s.Update(t.Context(), key, replace(want)); err != nil {
		t.Errorf("update after recovery: %v", err)
	}
}

func TestStoppedAndStartedAgain(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t, servers.RedisOptions{Persist: true})
	o := standalone(t, server)
	o.Timeout = 2 * time.Second
	s := newStore(t, o)
	if err := s.Create(t.Context(), "key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 { // so that many connections are open when it goes
		wg.Go(func() {
			if _, err := s.Get(t.Context(), "key"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	server.Kill()
	wantDown(t, s, 20*time.Second)
	server.Start(t)
	wantUp(t, s, "key", "value")
}

// A host that hangs keeps its connections open and answers nothing. Each
// request must be told so after the timeout, however many ask at once.
func TestPausedAndResumed(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	const generous = 10 * time.Second // a slow machine; without a timeout it would take for ever
	server := servers.Redis(t, servers.RedisOptions{})
	o := standalone(t, server)
	o.Timeout = timeout
	s := newStore(t, o)
	if err := s.Create(t.Context(), "key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	began := time.Now()
	if _, err := s.Get(t.Context(), "key"); !errors.Is(err, store.ErrDown) || !errors.Is(err, context.DeadlineExceeded) && time.Since(began) < timeout/2 {
		t.Errorf("get: %v after %v, want ErrDown after %v", err, time.Since(began), timeout)
	}
	began = time.Now()
	var wg sync.WaitGroup
	for range 300 { // several times what the pool holds
		wg.Go(func() {
			if _, err := s.Get(t.Context(), "key"); !errors.Is(err, store.ErrDown) {
				t.Errorf("get: %v, want ErrDown", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > generous {
		t.Errorf("300 requests took %v, want about %v", took, timeout)
	}
	server.Resume()
	wantUp(t, s, "key", "value")
}

func TestContextEndsWaiting(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t, servers.RedisOptions{})
	o := standalone(t, server)
	o.Timeout = time.Hour
	s := newStore(t, o)
	if _, err := s.Get(t.Context(), "key"); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Get(ctx, "key"); !errors.Is(err, store.ErrDown) {
		t.Errorf("get: %v, want ErrDown", err)
	}
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	group := servers.RedisSentinel(t, "correct horse", false)
	s := newStore(t, redis.Options{
		Mode: redis.Sentinel, Addresses: group.Addrs, MasterName: group.MasterName,
		Password: group.Password, Timeout: 2 * time.Second,
	})
	if err := s.Create(t.Context(), "key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	if n, err := group.Master.Client(t).Wait(t.Context(), 1, 10*time.Second).Result(); err != nil || n != 1 {
		t.Fatalf("%d replicas follow, %v", n, err)
	}
	announced := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Subscribe(ctx, func(key string) { announced <- key }) })
	defer wg.Wait()
	defer cancel()
	wantAnnounced(t, announced, "")

	group.Master.Kill()
	wantDown(t, s, 20*time.Second)
	wantUp(t, s, "key", "value")
	// What was announced meanwhile is lost, so everything is suspect.
	wantAnnounced(t, announced, "")
	if err := s.Publish(t.Context(), "session:1"); err != nil {
		t.Fatal(err)
	}
	wantAnnounced(t, announced, "session:1")
}

// A Sentinel that hangs is passed over.
func TestSentinelHangs(t *testing.T) {
	t.Parallel()
	group := servers.RedisSentinel(t, "", false)
	o := redis.Options{
		Mode: redis.Sentinel, Addresses: group.Addrs, MasterName: group.MasterName, Timeout: time.Second,
	}
	before := newStore(t, o)
	if err := before.Create(t.Context(), "key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	group.PauseSentinel(0)
	if _, err := before.Get(t.Context(), "key"); err != nil {
		t.Errorf("get on an open connection: %v", err)
	}
	// A new process, which asks the Sentinels for the first time, and more
	// connections than are open, for which they are asked again.
	o.KeyPrefix = "other:"
	after := newStore(t, o)
	servers.WaitFor(t, "a new process to work", func(ctx context.Context) bool {
		return after.Delete(ctx, "key") == nil
	})
	for range 20 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var failed error
		for range 40 {
			wg.Go(func() {
				if _, err := before.Get(t.Context(), "key"); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if failed == nil {
			return
		}
	}
	t.Error("requests still fail when one Sentinel of three hangs")
}

func TestBusRecovers(t *testing.T) {
	faults := map[string]func(t *testing.T, server *servers.RedisServer, p *proxy){
		"restart": func(t *testing.T, server *servers.RedisServer, _ *proxy) {
			server.Kill()
			server.Start(t)
		},
		// Connections that are forgotten between the two ends: neither notices
		// but by asking.
		"black hole": func(_ *testing.T, _ *servers.RedisServer, p *proxy) { p.freeze() },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.Redis(t, servers.RedisOptions{})
			p := newProxy(t, nil)
			p.target.Store(&server.Addr)
			o := standalone(t, server)
			o.KeyPrefix = "bus:"
			o.Addresses = []string{p.addr}
			s := newStore(t, o)
			announced := make(chan string, 1000)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { s.Subscribe(ctx, func(key string) { announced <- key }) })
			defer wg.Wait()
			defer cancel()
			wantAnnounced(t, announced, "")
			fault(t, server, p)
			wantAnnounced(t, announced, "")
			o.Addresses = []string{server.Addr}
			if err := newStore(t, o).Publish(t.Context(), "session:1"); err != nil {
				t.Fatal(err)
			}
			wantAnnounced(t, announced, "session:1")
		})
	}
}

// wantAnnounced waits for an announcement; repeated empty ones do no harm.
func wantAnnounced(t *testing.T, announced <-chan string, want string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case key := <-announced:
			if key == want {
				return
			}
			if key != "" {
				t.Fatalf("%q was announced, want %q", key, want)
			}
		case <-deadline:
			t.Fatalf("%q was not announced", want)
		}
	}
}
