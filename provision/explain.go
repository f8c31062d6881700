package provision

import (
	"errors"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// Explanation is what a sign-in would do.
type Explanation struct {
	Verdict auth.Verdict // empty: denied
	Denied  *auth.Denied
	Why     string

	Identity auth.Identity // after the connection's rules
	Account  *View         // that would be made; nil: none
	Person   *auth.Person  // whom applications would see
}

// Explain answers what the identity would become in a directory without any
// account, by the same code that a sign-in runs: the gate of its connection,
// then the ladder. It is pure. fits may be nil, as Directory.Fits.
func Explain(c *config.Config, identity auth.Identity, fits func(user, email string) error, now time.Time) (Explanation, error) {
	d := &Directory{Fits: fits}
	var e Explanation
	refuse := func(err error) (Explanation, error) {
		if !errors.As(err, &e.Denied) {
			return Explanation{}, err
		}
		e.Why = e.Denied.Detail
		return e, nil
	}
	r := NewResolver(c, d)
	conn, id, err := r.admit(identity)
	if err != nil {
		return refuse(err)
	}
	e.Identity = id.Identity
	if !conn.JIT.Enabled {
		e.Person = passThrough(conn, &id.Identity)
		if err := d.fits(e.Person.User, id.Email); err != nil {
			return refuse(denied(conn, auth.DeniedTooLarge, err.Error()))
		}
		e.Verdict, e.Why = auth.PassThrough, "JIT is off for the connection: no account, the attributes go straight to the application"
		return e, nil
	}
	p, err := decide(question{conn: conn, id: id, now: now.UTC().Truncate(time.Millisecond)})
	if err != nil {
		return refuse(err)
	}
	if p.account.Username == "" {
		p.account.Username = fallbackUsernames(id.Identity)[0]
	}
	if err := d.fits(p.account.Username, id.Email); err != nil {
		return refuse(denied(conn, auth.DeniedTooLarge, err.Error()))
	}
	p.account.Status = Active
	view := p.account.view()
	e.Verdict, e.Why, e.Account = p.verdict, p.why, &view
	e.Person = newPerson(p.account).as(&id.Identity, r)
	return e, nil
}
