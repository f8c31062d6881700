package session

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/sessions"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
)

// Where a gorilla session carries our record, the time at which it was proved,
// and the id of the session that it replaces.
const (
	recordKey   = "session"
	provedKey   = "proved"
	replacesKey = "replaces"
)

var _ sessions.Store = (*Sessions)(nil)

// Start makes a session of a finished sign-in and gives its cookie to the
// browser. What n says of the person and the sign-in is kept, and Created is
// taken for the time at which it was proved; the id is always new, the client is
// that of the context (auth.ClientOf), and the session that this browser had
// before ends. Errors: auth.ErrUnauthenticated when the account's sessions were
// ended since the proof; auth.ErrStoreDown. Then the browser's old session may
// have ended.
func (s *Sessions) Start(w http.ResponseWriter, r *http.Request, n auth.Session) (*auth.Session, error) {
	if value := cookie.ID(r, s.Cookie.Session()); value != "" {
		if _, err := s.end(r.Context(), s.id(value)); err != nil {
			return nil, err
		}
	}
	now, proved := s.Now().UTC(), n.Created
	if proved.IsZero() {
		proved = now
	}
	n.Created, n.Client = now, auth.ClientOf(r.Context())
	return s.issue(w, r, n, proved, "")
}

// Renew puts a session under a new id, since its person has proved more than
// before: an id that somebody else knows must not become worth more. Proved and
// AMR are those of n, its time and its client are those of the session, and the
// old id is dead. Errors: auth.ErrUnauthenticated when the session has ended, or
// its account's sessions were ended since n.Proved; auth.ErrStoreDown. Then the
// session is what it was.
func (s *Sessions) Renew(w http.ResponseWriter, r *http.Request, n auth.Session) (*auth.Session, error) {
	return s.issue(w, r, n, n.Proved, n.ID)
}

// issue writes a session under a new id, in the place of the one that it
// replaces, and gives its cookie to the browser. Replaces is "" for none.
func (s *Sessions) issue(w http.ResponseWriter, r *http.Request, n auth.Session, proved time.Time, replaces string) (*auth.Session, error) {
	g := sessions.NewSession(s, s.Cookie.Session())
	g.ID = cookie.NewID()
	g.IsNew = true
	g.Options = s.options()
	n.ID, n.Seen = s.id(g.ID), s.Now().UTC()
	g.Values[recordKey], g.Values[provedKey] = &n, proved
	if replaces != "" {
		g.Values[replacesKey] = replaces
	}
	if err := g.Save(r, w); err != nil {
		return nil, err
	}
	if s.Cookie.Domain != "" && cookie.Count(r, g.Name()) > 1 {
		// A cookie of the same name without a domain, from before cookie_domain
		// was configured: the two would be duplicates for ever, and nobody could
		// sign in again.
		stale := *g.Options
		stale.Domain, stale.MaxAge = "", -1
		http.SetCookie(w, sessions.NewCookie(g.Name(), "", &stale))
	}
	return &n, nil
}

// options are the attributes of the cookie, all set: gorilla's own defaults
// are 30 days and SameSite=None. Max-Age is the session's lifetime, so that a
// browser that is restarted keeps a session that the server would still
// accept; the server's limits are what counts.
func (s *Sessions) options() *sessions.Options {
	return &sessions.Options{
		Path:     "/",
		Domain:   s.Cookie.Domain,
		MaxAge:   max(1, int(s.Lifetime/time.Second)),
		Secure:   s.Cookie.Secure,
		HttpOnly: true,
		SameSite: s.Cookie.SameSite,
	}
}

// Get returns the session of the request from gorilla's registry, for code
// that is written to gorilla/sessions.
func (s *Sessions) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New returns the session that the request's cookie names, or a new one that
// is not saved. As gorilla's interface wants, there is a session even beside
// an error. Errors: auth.ErrStoreDown.
func (s *Sessions) New(r *http.Request, name string) (*sessions.Session, error) {
	g := sessions.NewSession(s, name)
	g.Options = s.options()
	g.IsNew = true
	if name != s.Cookie.Session() {
		return g, nil
	}
	sess, err := s.find(r)
	if err == nil {
		g.ID = cookie.ID(r, name)
		g.IsNew = false
		g.Values[recordKey] = sess
	}
	if isNone(err) {
		err = nil
	}
	return g, err
}

// Save writes a new session's record and its cookie, or ends the session when
// Options.MaxAge is negative. A session that exists already is not rewritten:
// what it says was proved at its start. Errors: those of Start.
func (s *Sessions) Save(r *http.Request, w http.ResponseWriter, g *sessions.Session) error {
	if g.Options.MaxAge < 0 {
		if cookie.IsID(g.ID) {
			if _, err := s.end(r.Context(), s.id(g.ID)); err != nil {
				return err
			}
		}
		http.SetCookie(w, sessions.NewCookie(g.Name(), "", g.Options))
		return nil
	}
	sess, ok := g.Values[recordKey].(*auth.Session)
	if !g.IsNew || !ok || !cookie.IsID(g.ID) {
		return nil
	}
	if err := s.write(r.Context(), sess); err != nil {
		return err
	}
	if proved, ok := g.Values[provedKey].(time.Time); ok {
		if err := s.overtaken(r.Context(), sess, proved); err != nil {
			return err
		}
	}
	if old, ok := g.Values[replacesKey].(string); ok {
		if err := s.replace(r.Context(), sess, old); err != nil {
			return err
		}
	}
	g.IsNew = false
	http.SetCookie(w, sessions.NewCookie(g.Name(), g.ID, g.Options))
	return nil
}

// write makes the record. The index comes first: a session that nobody can
// find to end it must not exist.
func (s *Sessions) write(ctx context.Context, sess *auth.Session) error {
	value, err := json.Marshal(sess)
	if err != nil {
		return fmt.Errorf("encode session: %w", err)
	}
	if err := s.enter(ctx, sess); err != nil {
		return err
	}
	if err := s.Store.Create(ctx, keyPrefix+sess.ID, value, s.ttl(sess, s.Now())); err != nil {
		return trouble("create session", err)
	}
	return nil
}

// overtaken ends a new session whose account's sessions were ended since the
// proof. It comes after the record: who ends them at this very moment either
// finds the record or is found here.
func (s *Sessions) overtaken(ctx context.Context, sess *auth.Session, proved time.Time) error {
	ended, err := s.EndedSince(ctx, sess.Account, proved)
	if err == nil && !ended {
		return nil
	}
	if ended {
		err = fmt.Errorf("start session: the account's sessions were ended meanwhile: %w", auth.ErrUnauthenticated)
	}
	return s.undo(ctx, sess, err)
}

// replace ends the session in whose place a new one has been written, in this
// order: were it ended first, trouble with the store would sign the person out.
// Of the two, only one that was alive until now goes on: else a session that was
// ended meanwhile would be back, or two proofs at once make two of one.
func (s *Sessions) replace(ctx context.Context, sess *auth.Session, old string) error {
	found, err := s.end(ctx, old)
	if err == nil && found {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("renew session: it has ended: %w", auth.ErrUnauthenticated)
	}
	return s.undo(ctx, sess, err)
}

// undo ends a new session, which nobody has a cookie of, because of err.
func (s *Sessions) undo(ctx context.Context, sess *auth.Session, err error) error {
	if _, endErr := s.end(ctx, sess.ID); endErr != nil {
		return endErr
	}
	return err
}
