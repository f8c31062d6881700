package session_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/session"
	"gatehouse/internal/cookie"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
)

// watched counts operations and fails on demand.
type watched struct {
	store.Store
	down           atomic.Bool
	reads, writes  atomic.Int64
	beforeUpdating func(key string) // called once
	beforeTaking   func(key string) // called once
}

func (s *watched) Get(ctx context.Context, key string) ([]byte, error) {
	if s.down.Load() {
		return nil, store.ErrDown
	}
	s.reads.Add(1)
	return s.Store.Get(ctx, key)
}

func (s *watched) Create(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if s.down.Load() {
		return store.ErrDown
	}
	s.writes.Add(1)
	return s.Store.Create(ctx, key, value, ttl)
}

func (s *watched) Update(ctx context.Context, key string, f func([]byte) ([]byte, time.Duration, error)) error {
	if s.down.Load() {
		return store.ErrDown
	}
	if hook := s.beforeUpdating; hook != nil {
		s.beforeUpdating = nil
		hook(key)
	}
	s.writes.Add(1)
	return s.Store.Update(ctx, key, f)
}

func (s *watched) Take(ctx context.Context, key string) ([]byte, error) {
	if hook := s.beforeTaking; hook != nil {
		s.beforeTaking = nil
		hook(key)
	}
	if s.down.Load() {
		return nil, store.ErrDown
	}
	s.writes.Add(1)
	return s.Store.Take(ctx, key)
}

// people answers with the session's own identity.
type people struct{ err error }

func (p *people) Person(_ context.Context, s *auth.Session) (*auth.Person, error) {
	if p.err != nil {
		return nil, p.err
	}
	return &auth.Person{User: s.Identity.Subject, Account: s.Account, Connection: s.Identity.Connection}, nil
}

// world is one installation; replica makes processes of it.
type world struct {
	t      testing.TB
	store  *watched
	bus    store.LocalBus
	index  *seal.IndexKey
	people people
	offset atomic.Int64
	change func(*session.Config)
}

func (w *world) now() time.Time          { return time.Unix(1_800_000_000, w.offset.Load()) }
func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t}
	mem := memory.New()
	mem.Now = w.now
	w.store = &watched{Store: mem}
	ring, err := seal.NewKeyring([]string{"a key for tests that is long enough"})
	if err != nil {
		t.Fatal(err)
	}
	if w.index, err = seal.LoadIndexKey(t.Context(), w.store, ring); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) replica() *session.Sessions {
	w.t.Helper()
	c := session.Config{
		Store: w.store, Bus: &w.bus, Index: w.index, People: &w.people,
		Cookie: cookie.Policy{Name: "_gatehouse", SameSite: http.SameSiteLaxMode},
		Idle:   8 * time.Hour, Lifetime: 24 * time.Hour, CacheTTL: 5 * time.Second,
		Now: w.now,
	}
	if w.change != nil {
		w.change(&c)
	}
	s, err := session.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(done)
		w.bus.Subscribe(ctx, func(key string) {
			s.Changed(key)
			select {
			case ready <- struct{}{}:
			default:
			}
		})
	}()
	<-ready
	w.t.Cleanup(func() { cancel(); <-done })
	return s
}

// browser keeps the session's cookie.
type browser struct{ value string }

func (b *browser) request() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if b.value != "" {
		r.Header.Set("Cookie", "other=1; _gatehouse="+b.value)
	}
	return r
}

func (b *browser) take(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		if c.Name == "_gatehouse" {
			b.value = c.Value
		}
	}
}

func (b *browser) start(t testing.TB, s *session.Sessions, n auth.Session) *auth.Session {
	t.Helper()
	w := httptest.NewRecorder()
	sess, err := s.Start(w, b.request(), n)
	if err != nil {
		t.Fatal(err)
	}
	b.take(w)
	return sess
}

func of(account string) auth.Session {
	return auth.Session{Account: account, Identity: auth.Identity{Connection: auth.Local, Subject: account}}
}

func federated(subject, sid string) auth.Session {
	return auth.Session{
		Identity:   auth.Identity{Connection: "acme", Issuer: "https://id.acme.example", Subject: subject},
		IdPSession: sid,
	}
}
