package account

import (
	"log/slog"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// open returns the account's open sessions: this one first, then those that
// were used last.
func (a *Account) open(v *visit) ([]web.Open, error) {
	var all []web.Open
	err := a.Sessions.Open(v.r.Context(), v.session.Account, func(s *auth.Session) error {
		all = append(all, web.Open{
			ID: s.ID, Device: s.Client.Device(), Address: s.Client.Address, Through: a.through(s),
			Started: s.Created, Seen: s.Seen, Here: s.ID == v.session.ID,
		})
		return nil
	})
	slices.SortFunc(all, func(x, y web.Open) int {
		switch {
		case x.Here != y.Here && x.Here:
			return -1
		case x.Here != y.Here:
			return 1
		}
		return y.Seen.Compare(x.Seen)
	})
	return all, err
}

// endSession is POST account/sessions/end. The id must be that of a session of
// this very account: ids are in no secret, and a person must not end another's.
// One that has ended meanwhile is what was wanted.
func (a *Account) endSession(v *visit) error {
	id, mine := v.form.Get("id"), false
	err := a.Sessions.Open(v.r.Context(), v.session.Account, func(s *auth.Session) error {
		mine = mine || s.ID == id
		return nil
	})
	if err != nil {
		return err
	}
	if mine {
		if err := a.Sessions.EndID(v.r.Context(), id); err != nil && !gone(err) {
			return err
		}
		a.audit(v, "session_ended", slog.Int("sessions", 1))
	}
	a.redirect(v, "/account#sessions")
	return nil
}

// endOthers is POST account/sessions/end_others.
func (a *Account) endOthers(v *visit) error {
	n, err := a.Sessions.EndOthers(v.r.Context(), v.session.Account, v.session.ID)
	if err != nil {
		return err
	}
	a.audit(v, "session_ended", slog.Int("sessions", n))
	a.redirect(v, "/account#sessions")
	return nil
}
