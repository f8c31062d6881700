package account

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// overview is GET account.
func (a *Account) overview(v *visit) error { return a.show(v, http.StatusOK, "") }

// show answers with the overview. A problem says why the last thing that was
// asked was not done.
func (a *Account) show(v *visit, status int, problem string) error {
	d := web.Account{
		User: v.person.User, Through: a.through(v.session), PassThrough: v.session.Account == "",
		Headers: a.Headers(v.person), Problem: problem,
	}
	if !d.PassThrough {
		if err := a.describe(v, &d); err != nil {
			return err
		}
	}
	a.Pages.Account(v.w, v.r, status, d)
	return nil
}

// describe says what is stored of an account.
func (a *Account) describe(v *visit, d *web.Account) error {
	ctx, account := v.r.Context(), v.session.Account
	profile, err := a.Profiles.Profile(ctx, account)
	if err != nil {
		return err
	}
	d.User, d.Created, d.Known = profile.Username, profile.Created, a.known(profile)
	a.links(v, d, profile)
	if d.Activity, err = a.Profiles.Activity(ctx, account); err != nil {
		return err
	}
	for i, happened := range d.Activity {
		if c := a.connection(happened.By); c != nil {
			d.Activity[i].By = c.Name
		}
	}
	if d.Sessions, err = a.open(v); err != nil {
		return err
	}
	if !v.password {
		return nil
	}
	d.Password = true
	if d.Changed, err = a.Passwords.Since(ctx, account); err != nil {
		return err
	}
	all, err := a.Factors.All(ctx, account)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Kind == auth.KindRecovery {
			d.CodesLeft = f.Left
			continue
		}
		d.Factors = append(d.Factors, f)
	}
	// Codes recover a factor: alone they would be a password on paper.
	d.Codes = a.Recovery != nil && len(d.Factors) > 0
	for _, e := range a.Enrollers {
		err := e.Enrollable(ctx, account)
		switch {
		case err == nil:
			d.Addable = append(d.Addable, e.Kind())
		case errors.Is(err, auth.ErrBarred):
			d.Barred = true
		case !gone(err):
			return err
		}
	}
	return nil
}

// known is what an account says of its person, with whoever said it.
func (a *Account) known(p auth.Profile) []web.Known {
	of := func(name string, v auth.Value) web.Known {
		k := web.Known{Name: name, Values: v.Values, Time: v.Time}
		if v.Source != auth.Local {
			k.Source = a.name(v.Source)
		}
		return k
	}
	username := of("Username", auth.Value{Values: []string{p.Username}, Source: p.UsernameSource, Time: p.UsernameTime})
	username.Note = "only an administrator can change it"
	all := []web.Known{username}
	if len(p.Email.Values) > 0 {
		k := of("E-mail", p.Email)
		k.Note = "verified"
		if !p.Verified {
			k.Note = "not verified, so applications are not told"
		}
		all = append(all, k)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
		all = append(all, of(name, p.Attributes[name]))
	}
	groups := slices.Clone(p.Groups)
	slices.SortStableFunc(groups, func(x, y auth.Value) int { return cmp.Compare(first(x), first(y)) })
	for _, g := range groups {
		all = append(all, of("Group", g))
	}
	return all
}

func first(v auth.Value) string {
	if len(v.Values) == 0 {
		return ""
	}
	return v.Values[0]
}

func (a *Account) links(v *visit, d *web.Account, p auth.Profile) {
	at := v.session.Identity
	for _, l := range p.Links {
		d.Links = append(d.Links, web.Linked{
			Name: a.name(l.Connection), LinkedIdentity: l,
			Here: at.Connection == l.Connection && at.Issuer == l.Issuer && at.Subject == l.Subject,
		})
	}
	for _, c := range a.Connections {
		if c.Linkable {
			d.Linkable = append(d.Linkable, web.Proof{Name: c.Name, Connection: c.ID})
		}
	}
}

// through is the name of the connection by which a session was started; "": by
// a password or a passkey of ours.
func (a *Account) through(s *auth.Session) string {
	if s.Identity.Connection == auth.Local {
		return ""
	}
	return a.name(s.Identity.Connection)
}

// name is what people call a connection; its id where it is not configured any
// more.
func (a *Account) name(id string) string {
	if c := a.connection(id); c != nil {
		return c.Name
	}
	return id
}

func (a *Account) connection(id string) *Connection {
	for i := range a.Connections {
		if a.Connections[i].ID == id {
			return &a.Connections[i]
		}
	}
	return nil
}
