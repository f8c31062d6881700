package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/auditlog"
	"gatehouse/internal/cache"
	"gatehouse/internal/cookie"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
)

// People says who a session is today.
type People interface {
	// Person returns the account as it is now, or the session's own identity
	// for a pass-through one. Errors: auth.ErrUnauthenticated when the session
	// must not go on (account disabled or deleted, other JIT setting than
	// when it was made), which ends it; auth.ErrStoreDown.
	Person(ctx context.Context, s *auth.Session) (*auth.Person, error)
}

// Config is what sessions are made of. Log and Now may be nil.
type Config struct {
	Store  store.Store
	Bus    store.Bus
	Index  *seal.IndexKey
	People People
	Cookie cookie.Policy

	Idle     time.Duration // idle_timeout: without a request for so long, a session ends
	Lifetime time.Duration // ends a session whatever happens; also the cookie's Max-Age
	CacheTTL time.Duration // upper bound on a stale answer; 0: no cache

	Log *slog.Logger

	// Ended is called for each session that this process has ended before its
	// time; nil: nobody counts.
	Ended func()
	Now   func() time.Time
}

// Sessions keeps the sessions of an installation. It is safe for concurrent
// use and implements the Store interface of gorilla/sessions.
type Sessions struct {
	Config
	cache      *cache.Cache[*auth.Session] // of requests
	checks     *cache.Cache[*auth.Session] // of rechecks, apart: see find
	touchEvery time.Duration               // Seen is written when it is at least so old
	slack      time.Duration               // by how much Seen may lag behind the last request
}

// cacheSize is how many sessions are kept in the process.
const cacheSize = 100_000

// New returns sessions by c. It errors on limits that make no sense.
func New(c Config) (*Sessions, error) {
	if c.Idle <= 0 || c.Lifetime <= 0 || c.CacheTTL < 0 {
		return nil, fmt.Errorf("sessions: idle timeout %s, lifetime %s and cache time %s make no session", c.Idle, c.Lifetime, c.CacheTTL)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	// A request that is served from the cache leaves no trace in the store. So
	// the cache must be short against the idle time, and a session may be as
	// old as the cache and the coarseness of Seen together before "idle" is
	// known to be true.
	cached := min(c.CacheTTL, c.Idle/4)
	s := &Sessions{Config: c, touchEvery: min(time.Minute, c.Idle/8)}
	s.slack = s.touchEvery + cached
	s.cache = cache.New(cacheSize, cached, s.load)
	s.checks = cache.New(cacheSize, cached, s.read)
	s.cache.Now, s.checks.Now = c.Now, c.Now
	return s, nil
}

const keyPrefix = "session:"

// id returns the record's id for the value of a cookie.
func (s *Sessions) id(value string) string { return s.Index.Hash("session", value) }

// Authenticate returns the session that r's cookie names and who it is.
// Errors: auth.ErrUnauthenticated; auth.ErrStoreDown when that cannot be
// known, which is not a sign-out: the cookie must be kept.
func (s *Sessions) Authenticate(r *http.Request) (*auth.Session, *auth.Person, error) {
	sess, err := s.find(r)
	if err != nil {
		return nil, nil, err
	}
	person, err := s.People.Person(r.Context(), sess)
	if errors.Is(err, auth.ErrUnauthenticated) {
		s.outlived(r.Context(), sess, err)
	}
	if err != nil {
		return nil, nil, trouble("person of a session", err)
	}
	return sess, person, nil
}

// outlived ends a session that is nobody's any more. It ends for good: were it
// only refused, it would come back with the connection that an administrator
// has switched off, or with the rules of before.
func (s *Sessions) outlived(ctx context.Context, sess *auth.Session, why error) {
	ended, err := s.end(ctx, sess.ID)
	if ended {
		auditlog.Write(ctx, s.Log, "session_revoked", slog.String("connection", sess.Identity.Connection), slog.String("account", sess.Account),
			slog.String("subject", sess.Identity.Subject), slog.Any("error", why))
	}
	if err != nil {
		s.Log.WarnContext(ctx, "a session that must not go on could not be ended; it is refused", "reason", why, "error", err)
	}
}

// find returns the live session of r's cookie. Rechecks have a cache of their
// own: were requests answered from what a recheck has loaded, they would leave
// no trace, and the session would be idle under the hands of its owner.
func (s *Sessions) find(r *http.Request) (*auth.Session, error) {
	value := cookie.ID(r, s.Cookie.Session())
	if value == "" {
		return nil, auth.ErrUnauthenticated
	}
	cached := s.cache
	if auth.IsRecheck(r.Context()) {
		cached = s.checks
	}
	sess, err := cached.Get(r.Context(), keyPrefix+s.id(value))
	if err != nil {
		return nil, trouble("load session", err)
	}
	if !s.live(sess, s.Now()) {
		return nil, auth.ErrUnauthenticated
	}
	return sess, nil
}

// trouble sorts errors: what is not a clear "no session" means that nobody
// knows, and nobody may be signed out or let in for that.
func trouble(doing string, err error) error {
	if errors.Is(err, auth.ErrUnauthenticated) || errors.Is(err, auth.ErrStoreDown) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", doing, auth.ErrStoreDown, err)
}

// Changed is called with each key that store.Bus announces, and with "" when
// announcements may have been missed.
func (s *Sessions) Changed(key string) {
	switch {
	case key == "":
		s.cache.Flush()
		s.checks.Flush()
	case strings.HasPrefix(key, keyPrefix):
		s.forget(key)
	}
}

func (s *Sessions) forget(key string) {
	s.cache.Forget(key)
	s.checks.Forget(key)
}
