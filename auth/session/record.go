package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// load reads a session for the cache of requests, and moves its Seen forward
// when that has become old. It is the only place that writes on the road of a
// request, and runs at most once per cache lifetime.
func (s *Sessions) load(ctx context.Context, key string) (*auth.Session, error) {
	sess, err := s.read(ctx, key)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	if now.Sub(sess.Seen) < s.touchEvery {
		return sess, nil
	}
	return s.touch(ctx, key, sess, now)
}

// read reads a live session and leaves it as it is.
func (s *Sessions) read(ctx context.Context, key string) (*auth.Session, error) {
	value, err := s.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, auth.ErrUnauthenticated
	}
	if err != nil {
		return nil, trouble("load session", err)
	}
	sess, err := decode(key, value)
	if err != nil {
		s.Log.ErrorContext(ctx, "a session's record cannot be read, so it counts as none", "error", err)
		return nil, auth.ErrUnauthenticated
	}
	if !s.live(sess, s.Now()) {
		return nil, auth.ErrUnauthenticated
	}
	return sess, nil
}

// touch writes Seen by compare-and-swap. A session that was ended between the
// read and this write has no record any more, and must not get one: else a
// sign-out could be undone by a request that was under way.
func (s *Sessions) touch(ctx context.Context, key string, read *auth.Session, now time.Time) (*auth.Session, error) {
	var touched *auth.Session
	err := s.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
		touched = nil
		if old == nil {
			return nil, 0, store.ErrNoChange
		}
		sess, err := decode(key, old)
		if err != nil {
			return nil, 0, err
		}
		touched = sess
		if now.Sub(sess.Seen) < s.touchEvery {
			return nil, 0, store.ErrNoChange // another replica was faster
		}
		sess.Seen = now
		value, err := json.Marshal(sess)
		return value, s.ttl(sess, now), err
	})
	if err != nil {
		// The session was read and is valid; that it was used can be noted next
		// time. A store that only reads must not sign anybody out.
		s.Log.WarnContext(ctx, "a session's last use could not be written", "error", err)
		return read, nil
	}
	if touched == nil {
		return nil, auth.ErrUnauthenticated
	}
	return touched, nil
}

// live judges both limits. Seen lags behind the last request by up to slack.
func (s *Sessions) live(sess *auth.Session, now time.Time) bool {
	return now.Before(sess.Created.Add(s.Lifetime)) && now.Before(sess.Seen.Add(s.Idle+s.slack))
}

// ttl is how long the store keeps a record: what is left of the nearer limit.
func (s *Sessions) ttl(sess *auth.Session, now time.Time) time.Duration {
	return min(sess.Created.Add(s.Lifetime).Sub(now), sess.Seen.Add(s.Idle+s.slack).Sub(now))
}

func decode(key string, value []byte) (*auth.Session, error) {
	sess := &auth.Session{}
	if err := json.Unmarshal(value, sess); err != nil {
		return nil, fmt.Errorf("decode session: %w", err)
	}
	sess.ID = strings.TrimPrefix(key, keyPrefix)
	return sess, nil
}
