package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// owner is whose sessions a list holds: a kind and its parts, hashed into the
// key so that no name or subject shows in the store.
type owner []string

func ofAccount(account string) owner { return owner{"account", account} }

func ofSubject(connection, issuer, subject string) owner {
	return owner{"subject", connection, issuer, subject}
}

func ofIdPSession(connection, issuer, sid string) owner {
	return owner{"sid", connection, issuer, sid}
}

func owners(sess *auth.Session) []owner {
	var all []owner
	i := sess.Identity
	if sess.Account != "" {
		all = append(all, ofAccount(sess.Account))
	}
	if i.Connection != auth.Local {
		all = append(all, ofSubject(i.Connection, i.Issuer, i.Subject))
		if sess.IdPSession != "" {
			all = append(all, ofIdPSession(i.Connection, i.Issuer, sess.IdPSession))
		}
	}
	return all
}

// A list is cut into shards by the first digit of the session's id, so that
// many sign-ins of one person at once do not all write one record. An entry is
// the 32 bytes of the id and the Unix time, in seconds, after which the
// session cannot live; the oldest entry comes first.
const (
	shards    = "0123456789abcdef"
	idDigits  = 64
	entrySize = idDigits/2 + 8
	// maxListed bounds what one person can make grow, per shard. Beyond it the
	// oldest session ends: one that no list names could not be ended.
	maxListed = 256
)

func (s *Sessions) indexKey(o owner, shard string) string {
	return "index:" + s.Index.Hash("sessions", append([]string{shard}, o...)...)
}

// enter puts a session on the lists of its owners. Errors: auth.ErrStoreDown.
func (s *Sessions) enter(ctx context.Context, sess *auth.Session) error {
	until := sess.Created.Add(s.Lifetime)
	for _, o := range owners(sess) {
		var pushedOut []string
		err := s.Store.Update(ctx, s.indexKey(o, sess.ID[:1]), func(old []byte) ([]byte, time.Duration, error) {
			list := prune(old, s.Now())
			pushedOut = nil
			for len(list) >= maxListed*entrySize {
				pushedOut = append(pushedOut, hex.EncodeToString(list[:idDigits/2]))
				list = list[entrySize:]
			}
			return appendEntry(list, sess.ID, until), s.Lifetime, nil
		})
		if err != nil {
			return trouble("index session", err)
		}
		for _, id := range pushedOut {
			if _, err := s.end(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave takes an ended session off its lists. It may fail: the entry then
// names nothing, and goes when its time is over.
func (s *Sessions) leave(ctx context.Context, sess *auth.Session) {
	for _, o := range owners(sess) {
		err := s.Store.Update(ctx, s.indexKey(o, sess.ID[:1]), func(old []byte) ([]byte, time.Duration, error) {
			list := remove(prune(old, s.Now()), sess.ID)
			if len(list) == len(old) {
				return nil, 0, store.ErrNoChange
			}
			if len(list) == 0 {
				return nil, 0, nil
			}
			return list, store.KeepTTL, nil
		})
		if err != nil {
			s.Log.WarnContext(ctx, "an ended session stays on a list until its time is over", "error", err)
		}
	}
}

// listed is one of o's lists. Errors: auth.ErrStoreDown.
func (s *Sessions) listed(ctx context.Context, o owner, shard string) ([]byte, error) {
	list, err := s.Store.Get(ctx, s.indexKey(o, shard))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, trouble("sessions of an owner", err)
	}
	return prune(list, s.Now()), nil
}

// endListed ends the sessions on o's lists for which f holds.
func (s *Sessions) endListed(ctx context.Context, o owner, f func(*auth.Session) bool) (int, error) {
	ended := 0
	for _, shard := range shards {
		list, err := s.listed(ctx, o, string(shard))
		if err != nil {
			return ended, err
		}
		for ; len(list) > 0; list = list[entrySize:] {
			id := hex.EncodeToString(list[:idDigits/2])
			found, err := s.endIf(ctx, id, f)
			if err != nil {
				return ended, err
			}
			if found {
				ended++
			}
		}
	}
	return ended, nil
}

// endIf ends a session for which f holds. An entry is a hint, the record is
// the truth: it is read before it is judged.
func (s *Sessions) endIf(ctx context.Context, id string, f func(*auth.Session) bool) (bool, error) {
	value, err := s.Store.Get(ctx, keyPrefix+id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, trouble("end session", err)
	}
	sess, err := decode(keyPrefix+id, value)
	if err == nil && !f(sess) {
		return false, nil
	}
	return s.end(ctx, id)
}

// prune drops entries whose time is over, and a damaged tail.
func prune(list []byte, now time.Time) []byte {
	kept := make([]byte, 0, len(list)+entrySize)
	for ; len(list) >= entrySize; list = list[entrySize:] {
		if until := int64(binary.BigEndian.Uint64(list[idDigits/2 : entrySize])); now.Unix() <= until {
			kept = append(kept, list[:entrySize]...)
		}
	}
	return kept
}

func appendEntry(list []byte, id string, until time.Time) []byte {
	raw, _ := hex.DecodeString(id) // our own hash
	return binary.BigEndian.AppendUint64(append(list, raw...), uint64(until.Unix()))
}

func remove(list []byte, id string) []byte {
	raw, _ := hex.DecodeString(id)
	for i := 0; i+entrySize <= len(list); i += entrySize {
		if bytes.Equal(list[i:i+idDigits/2], raw) {
			return append(list[:i:i], list[i+entrySize:]...)
		}
	}
	return list
}
