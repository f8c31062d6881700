package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/auth"
)

// Openings are the open sessions of people.
type Openings interface {
	// Open calls f for each open session of an account.
	Open(ctx context.Context, account string, f func(*auth.Session) error) error
	// List calls f for each open session.
	List(ctx context.Context, f func(*auth.Session) error) error
	// EndAccount ends the sessions of an account.
	EndAccount(ctx context.Context, account string) (int, error)
}

// Inactivity is the rule by which accounts that nobody uses are disabled and
// deleted, Directory.Inactive. An account is used by a sign-in and by an open
// session; one that never was counts from its creation, and in any case from
// when an administrator enabled it. It errs on the late side, by a day at most:
// a sign-in is noted once a day.
type Inactivity struct {
	Directory *Directory
	Sessions  Openings
	Groups    []string // whoever is in one of them is left alone, whoever put them there
}

// Act is what the rule does with an account.
type Act string

// The acts of the rule.
const (
	ActDisable Act = "disable"
	ActDelete  Act = "delete"
)

// Idle is an account that nobody has used for so long that the rule acts.
type Idle struct {
	ID       string    `json:"id"`
	Username string    `json:"username"`
	Email    string    `json:"email"` // verified
	Status   Status    `json:"status"`
	Created  time.Time `json:"created"`
	Seen     time.Time `json:"last_seen,omitzero"` // zero: never
	Act      Act       `json:"act"`
	Done     bool      `json:"done"`
}

// Turnout is what a run of the rule came upon.
type Turnout struct {
	Accounts int // looked at
	Exempt   int // left alone, whatever they do
	Open     int // left alone, because they have an open session
	Disable  int // that the rule disables, or has disabled
	Delete   int
}

// fewIdle accounts may always go at once. Of more than these, not more than
// half: when all seem idle at once, it is the clock, or a lost record of
// sign-ins, or a rule that was not thought through.
const fewIdle = 10

// tooMany is what the guard is asked: how many would go, of those that could.
type tooMany struct{ due, of int }

func (t tooMany) at() bool { return t.due > fewIdle && 2*t.due > t.of }

// Find tells which accounts the rule would act upon and changes nothing. Errors:
// those of f, auth.ErrStoreDown.
func (r *Inactivity) Find(ctx context.Context, f func(Idle) error) (Turnout, error) {
	t, _, err := r.look(ctx, r.Directory.now(), f)
	return t, storeTrouble("find inactive accounts", err)
}

// Act disables and deletes what Find finds, and calls f for each account that
// it has acted upon. Unless force is set it refuses to act, with a
// *RefusedError and nothing done, when more than half of the accounts would go.
// Several may run at once, and one that is cut short is finished by the next.
// Errors also: those of f, auth.ErrStoreDown.
func (r *Inactivity) Act(ctx context.Context, force bool, f func(Idle) error) (Turnout, error) {
	now := r.Directory.now()
	if err := r.noteOpen(ctx, now); err != nil {
		return Turnout{}, storeTrouble("note open sessions", err)
	}
	found, guards, err := r.look(ctx, now, func(Idle) error { return nil })
	if err != nil {
		return found, storeTrouble("find inactive accounts", err)
	}
	for _, g := range guards {
		if g.at() && !force {
			return found, &RefusedError{"inactive", fmt.Sprintf(
				"%d of %d accounts would be disabled or deleted at once: is the clock right? Nothing was done; "+
					"gatehouse user inactive --dry-run names them, and --force acts all the same", g.due, g.of)}
		}
	}
	done := Turnout{Accounts: found.Accounts, Exempt: found.Exempt, Open: found.Open}
	if found.Disable+found.Delete == 0 {
		return done, nil
	}
	_, _, err = r.look(ctx, now, func(due Idle) error {
		ended, err := r.end(ctx, due.ID, now)
		if err != nil || ended == nil {
			return err
		}
		if ended.Act == ActDelete {
			done.Delete++
		} else {
			done.Disable++
		}
		return f(*ended)
	})
	return done, storeTrouble("end inactive accounts", err)
}

// look calls f for each account that is due. It holds none of them: there may
// be millions.
func (r *Inactivity) look(ctx context.Context, now time.Time, f func(Idle) error) (t Turnout, guards [2]tooMany, err error) {
	all, active := &guards[0], &guards[1]
	var stop error
	err = r.Directory.Store.Scan(ctx, accountPrefix, func(key string, value []byte) error {
		a, err := decodeAccount(value)
		if err != nil {
			// Nobody can come in as it, and nobody may lose it by a rule.
			r.Directory.log().WarnContext(ctx, "an account cannot be read, and is left alone; gatehouse doctor tells more", "key", key, "error", err)
			return nil
		}
		if !a.settledDown() {
			return nil
		}
		t.Accounts++
		if r.exempts(a) {
			t.Exempt++
			return nil
		}
		all.of++
		if a.Status == Active {
			active.of++
		}
		due, err := r.judge(ctx, a, now)
		if err != nil || due == nil {
			return err
		}
		open, err := r.open(ctx, a.ID)
		if err != nil {
			return err
		}
		if open {
			t.Open++
			return nil
		}
		all.due++
		if a.Status == Active {
			active.due++
		}
		if due.Act == ActDelete {
			t.Delete++
		} else {
			t.Disable++
		}
		stop = f(*due)
		return stop
	})
	if stop != nil {
		err = stop
	}
	return t, guards, err
}

// judge tells what the rule does with an account that is not exempt; nil:
// nothing.
func (r *Inactivity) judge(ctx context.Context, a *Account, now time.Time) (*Idle, error) {
	rule := r.Directory.Inactive
	if a.Status == Disabled && !a.Unused {
		// To delete whom an administrator has shut out would let them in again:
		// their next sign-in would make a new account.
		return nil, nil
	}
	act := func(since time.Time) Act {
		idle := now.Sub(since)
		switch {
		case rule.DeleteAfter > 0 && idle >= rule.DeleteAfter:
			return ActDelete
		case rule.DisableAfter > 0 && idle >= rule.DisableAfter && a.Status == Active:
			return ActDisable
		}
		return ""
	}
	since := a.Created
	if a.Enabled.After(since) {
		since = a.Enabled
	}
	if act(since) == "" {
		return nil, nil // too young, whenever it was used: that costs no read
	}
	used, err := r.Directory.lastUse(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	seen := used.latest()
	if noted := seen.Add(r.Directory.signInEvery()); !seen.IsZero() && noted.After(since) {
		since = noted
	}
	due := &Idle{
		ID: a.ID, Username: a.Username, Email: a.verifiedEmail(), Status: a.Status, Created: a.Created,
		Seen: seen, Act: act(since),
	}
	if due.Act == "" {
		return nil, nil
	}
	return due, nil
}

func (r *Inactivity) exempts(a *Account) bool {
	return slices.ContainsFunc(a.Groups, func(g Group) bool {
		return slices.Contains(r.Groups, g.Name) || slices.Contains(r.Directory.Inactive.ExemptGroups, g.Name)
	})
}

var errFound = errors.New("found")

func (r *Inactivity) open(ctx context.Context, id string) (bool, error) {
	err := r.Sessions.Open(ctx, id, func(*auth.Session) error { return errFound })
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// noteOpen notes that whoever has an open session is there: it may last longer
// than the rule waits, and when it ends they were seen yesterday.
func (r *Inactivity) noteOpen(ctx context.Context, now time.Time) error {
	return r.Sessions.List(ctx, func(s *auth.Session) error {
		if s.Account == "" || s.Seen.After(now.Add(time.Minute)) {
			return nil // of nobody, or from a clock that is wrong
		}
		return r.Directory.noteUse(ctx, s.Account, s.Seen)
	})
}

// end acts upon one account, if it still is as it was judged. It returns nil if
// somebody has come, or the account is gone.
func (r *Inactivity) end(ctx context.Context, id string, now time.Time) (ended *Idle, err error) {
	d := r.Directory
	b := d.book()
	var gone *Account
	err = b.run(ctx, func(ctx context.Context) error {
		ended, gone = nil, nil
		a, err := d.read(ctx, id)
		if err != nil || !a.settledDown() || r.exempts(a) {
			return err
		}
		due, err := r.judge(ctx, a, now)
		if err != nil || due == nil {
			return err
		}
		if open, err := r.open(ctx, id); open || err != nil {
			return err
		}
		ctx = WithActor(ctx, Actor{Kind: ActorRule, Name: "inactive"}, due.why())
		if due.Act == ActDelete {
			gone, err = b.doom(ctx, a)
		} else {
			next := a.clone()
			next.Status, next.Unused = Disabled, true
			err = b.replace(ctx, a, next)
		}
		ended = due
		return err
	})
	if errors.Is(err, auth.ErrNotFound) {
		return nil, nil // somebody else was faster
	}
	if err == nil && ended != nil {
		b.committed()
		_, err = r.Sessions.EndAccount(ctx, id)
	}
	if err == nil && gone != nil {
		err = d.remove(ctx, gone)
	}
	if err != nil || ended == nil {
		return nil, err
	}
	ended.Done = true
	d.log().InfoContext(ctx, "the rule for inactive accounts has ended an account",
		"act", string(ended.Act), "account", id, "username", ended.Username, "why", ended.why())
	return ended, nil
}

// why says since when nobody was seen, for logs and history.
func (i *Idle) why() string {
	if i.Seen.IsZero() {
		return "nobody has used it since it was made, " + i.Created.Format(time.DateOnly)
	}
	return "nobody has used it since " + i.Seen.Format(time.DateOnly)
}

// String is the rule for people; empty: there is none.
func (r *Inactivity) String() string {
	var parts []string
	for _, p := range []struct {
		act   string
		after time.Duration
	}{{"disabled", r.Directory.Inactive.DisableAfter}, {"deleted", r.Directory.Inactive.DeleteAfter}} {
		if p.after > 0 {
			parts = append(parts, fmt.Sprintf("%s after %s", p.act, days(p.after)))
		}
	}
	return strings.Join(parts, ", ")
}

func days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
