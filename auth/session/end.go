package session

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// End signs the browser out: its session ends on every replica and its cookie
// is cleared. Errors: auth.ErrStoreDown; then the session goes on and the
// cookie is kept, because a page that says "signed out" would be a lie.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) (*auth.Session, error) {
	g, err := s.New(r, s.Cookie.Session())
	if err != nil {
		return nil, err
	}
	sess, _ := g.Values[recordKey].(*auth.Session)
	g.Options.MaxAge = -1
	return sess, g.Save(r, w)
}

// EndID ends the session with that id, which List gives. Errors:
// auth.ErrNotFound, auth.ErrStoreDown.
func (s *Sessions) EndID(ctx context.Context, id string) error {
	if len(id) != idDigits || strings.Trim(id, "0123456789abcdef") != "" {
		return auth.ErrNotFound
	}
	found, err := s.end(ctx, id)
	if err == nil && !found {
		return auth.ErrNotFound
	}
	return err
}

// EndAccount ends every session of an account and returns how many there
// were. A sign-in that is under way ends with them. Errors: auth.ErrStoreDown.
func (s *Sessions) EndAccount(ctx context.Context, account string) (int, error) {
	if account == "" {
		return 0, nil
	}
	if err := s.noteEnd(ctx, account); err != nil {
		return 0, err
	}
	return s.endListed(ctx, ofAccount(account), func(*auth.Session) bool { return true })
}

// EndOthers ends every session of an account but one, whose id Authenticate
// gives, and returns how many there were. A sign-in that is under way ends with
// them: it may be the stranger's because of whom the password was changed.
// Errors: auth.ErrStoreDown.
func (s *Sessions) EndOthers(ctx context.Context, account, keep string) (int, error) {
	if account == "" {
		return 0, nil
	}
	if err := s.noteEnd(ctx, account); err != nil {
		return 0, err
	}
	return s.endListed(ctx, ofAccount(account), func(sess *auth.Session) bool { return sess.ID != keep })
}

// EndNotified ends the sessions that an identity provider has ended and
// returns how many there were. Where the notice names both a subject and a
// session of the provider, sessions of that subject end that are of this
// provider session or of an unknown one. Errors: auth.ErrStoreDown.
func (s *Sessions) EndNotified(ctx context.Context, n auth.LogoutNotice) (int, error) {
	same := func(sess *auth.Session) bool {
		return n.IdPSession == "" || sess.IdPSession == "" || sess.IdPSession == n.IdPSession
	}
	switch {
	case n.Subject != "":
		return s.endListed(ctx, ofSubject(n.Connection, n.Issuer, n.Subject), same)
	case n.IdPSession != "":
		return s.endListed(ctx, ofIdPSession(n.Connection, n.Issuer, n.IdPSession), same)
	}
	return 0, nil
}

// List calls f for each live session, in no order. Errors: those of f,
// auth.ErrStoreDown.
func (s *Sessions) List(ctx context.Context, f func(*auth.Session) error) error {
	var stop error
	err := s.Store.Scan(ctx, keyPrefix, func(key string, value []byte) error {
		sess, err := decode(key, value)
		if err != nil || !s.live(sess, s.Now()) {
			return nil
		}
		stop = f(sess)
		return stop
	})
	if stop != nil {
		return stop
	}
	if err != nil {
		return trouble("list sessions", err)
	}
	return nil
}

// end removes the record and tells every replica. The order matters: who loads
// the record after the Forget no longer finds it, and what was loaded before
// is dropped.
func (s *Sessions) end(ctx context.Context, id string) (found bool, err error) {
	key := keyPrefix + id
	value, err := s.Store.Take(ctx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, trouble("end session", err)
	}
	s.forget(key)
	if err != nil {
		return false, nil
	}
	if s.Ended != nil {
		s.Ended()
	}
	if err := s.Bus.Publish(ctx, key); err != nil {
		s.Log.WarnContext(ctx, "the end of a session could not be announced; other replicas notice within cache_ttl", "error", err)
	}
	if sess, err := decode(key, value); err == nil {
		s.leave(ctx, sess)
	}
	return true, nil
}

func isNone(err error) bool { return errors.Is(err, auth.ErrUnauthenticated) }
