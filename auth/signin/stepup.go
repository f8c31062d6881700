package signin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// Texts of the page on which a person ends who cannot show what a route wants.
const (
	shortUnasked  = "You signed in by %s, which this site cannot ask for more."
	shortRefused  = "You signed in by %s, which was asked for more and has not vouched for it."
	shortProved   = "You have just proved your second factor, and it is not of a kind that is enough here."
	shortNoFactor = "None of your second factors is of a kind that is enough here."
)

// stepUp is GET step_up: whoever has come to know of a refusal elsewhere, from
// another proxy or by a program, comes here with the page that they want. What
// is wanted is worked out of the route of that page: no parameter says it, which
// a link of somebody else's could.
func (f *Flow) stepUp(w http.ResponseWriter, r *http.Request) (reached, error) {
	rd := f.returnTo(r, r.URL.Query().Get("rd"))
	if f.elsewhere(r) {
		f.stepUpAtHome(w, r, rd)
		return reached{}, nil
	}
	sess, person, err := f.Sessions.Authenticate(r)
	if err != nil {
		return reached{}, f.firstSignIn(w, r, rd, err)
	}
	forbidden := f.forbids(r, rd, person)
	if forbidden != nil && !web.WantsPage(r) {
		f.Pages.Error(w, r, forbidden) // a program cannot prove anything
		return reached{}, nil
	}
	if forbidden != nil {
		return reached{}, f.raiseTo(w, r, sess, forbidden, rd)
	}
	if !r.URL.Query().Has("rd") {
		// A proxy answers with this page in place of a refusal of its own
		// (error_page of nginx), by rules that are not known here.
		f.Pages.Error(w, r, auth.ErrForbidden)
		return reached{}, nil
	}
	// A link, and no redirect: another proxy, with rules of its own, may have sent
	// the person here, and would again.
	f.Pages.Enough(w, r, rd)
	return reached{}, nil
}

// Refused answers a person whom a route refuses, and whom further proof would
// let in, at the URL that they have asked for. The answer is a redirect or an
// error: another proxy that asked could take anything else for a yes.
func (f *Flow) Refused(w http.ResponseWriter, r *http.Request, forbidden *auth.Forbidden) {
	rd := f.returnTo(r, "")
	if f.elsewhere(r) {
		f.stepUpAtHome(w, r, rd)
		return
	}
	sess, _, err := f.Sessions.Authenticate(r)
	if err == nil {
		err = f.raiseTo(w, r, sess, forbidden, rd)
	}
	if err != nil {
		f.Pages.Error(w, r, err)
	}
}

// stepUpAtHome goes on at public_url, where every sign-in runs.
func (f *Flow) stepUpAtHome(w http.ResponseWriter, r *http.Request, rd string) {
	redirect(w, r, f.Site.Origin()+f.Prefix+"/step_up?"+url.Values{"rd": {rd}}.Encode())
}

// raiseTo sends a person on to where they can prove what a route wants, and
// otherwise tells why they cannot.
//
// It never sends a person on twice for the same: what a provider was asked for
// when the session was made, and a factor that was just proved, end at the page.
func (f *Flow) raiseTo(w http.ResponseWriter, r *http.Request, sess *auth.Session, forbidden *auth.Forbidden, rd string) error {
	switch {
	case forbidden.Raise == nil:
		f.Pages.StepUp(w, r, web.StepUp{Refused: forbidden, ReturnTo: rd})
	case sess.Identity.Connection == auth.Local:
		return f.stepUpLocally(w, r, sess, forbidden, rd)
	default:
		f.stepUpThrough(w, r, sess, forbidden, rd)
	}
	return nil
}

// stepUpThrough has the provider asked for more, once.
func (f *Flow) stepUpThrough(w http.ResponseWriter, r *http.Request, sess *auth.Session, forbidden *auth.Forbidden, rd string) {
	page := web.StepUp{Refused: forbidden, ReturnTo: rd}
	if c := f.connection(sess.Identity.Connection); c != nil {
		wanted := levelsOf(forbidden.Raise, c)
		again := f.startURL(c, rd)
		switch {
		case len(wanted) == 0:
			page.Text = fmt.Sprintf(shortUnasked, c.Name)
		case !asked(sess, wanted):
			redirect(w, r, again)
			return
		default:
			page.Text = fmt.Sprintf(shortRefused, c.Name)
			page.Try, page.TryURL = "Try again", again
		}
	}
	f.Pages.StepUp(w, r, page)
}

// asked reports whether all those levels were asked for when the session was
// made.
func asked(s *auth.Session, levels []string) bool {
	return !slices.ContainsFunc(levels, func(level string) bool { return !slices.Contains(s.Asked, level) })
}

// levelsOf are the levels to ask a connection's provider for; none where there
// is nothing that it could be asked.
func levelsOf(raise *auth.Raise, c *Connection) []string {
	if raise.ACR != nil {
		return raise.ACR
	}
	return c.ACRValues
}

// levels are those that a sign-in asks for which a person begins who is signed in
// by the same connection, and has not proved enough for where they want to go.
func (f *Flow) levels(r *http.Request, c *Connection, rd string) []string {
	sess, person, err := f.Sessions.Authenticate(r)
	if err != nil || sess.Identity.Connection != c.Provider.ID() {
		return nil // a sign-in like any other
	}
	if forbidden := f.forbids(r, rd, person); forbidden != nil && forbidden.Raise != nil {
		return levelsOf(forbidden.Raise, c)
	}
	return nil
}

// stepUpLocally has a second factor proved or, where there is none, enrolled.
func (f *Flow) stepUpLocally(w http.ResponseWriter, r *http.Request, sess *auth.Session, forbidden *auth.Forbidden, rd string) error {
	has, err := f.enrolled(r.Context(), sess.Account)
	if err != nil {
		return err
	}
	addable, err := f.couldEnrol(r.Context(), sess.Account, forbidden)
	if err != nil {
		return err
	}
	provable := slices.ContainsFunc(f.ways(has), func(way auth.Factor) bool { return slices.Contains(forbidden.Raise.Factors, way.Kind()) })
	page := web.StepUp{Refused: forbidden, ReturnTo: rd, Text: shortNoFactor}
	switch {
	case provable && sess.ProvedFactor != "" && sess.FreshlyProved(f.now(), has):
		page.Text, page.Try, page.TryURL = shortProved, "Prove another one", f.proveURL(rd)
	case provable, addable && len(has) == 0:
		redirect(w, r, f.proveURL(rd))
		return nil
	case addable:
		page.Try, page.TryURL = "Add another one", f.Prefix+"/account#factors"
	}
	f.Pages.StepUp(w, r, page)
	return nil
}

// couldEnrol reports whether the account can enrol a factor that would do.
func (f *Flow) couldEnrol(ctx context.Context, account string, forbidden *auth.Forbidden) (bool, error) {
	open, err := f.enrollable(ctx, account)
	return slices.ContainsFunc(open, func(e auth.Enroller) bool { return slices.Contains(forbidden.Raise.Factors, e.Kind()) }), err
}

// owesFirst reports whether the page that a person comes back to wants a second
// factor, and the account has none and can enrol one.
func (f *Flow) owesFirst(r *http.Request, at proving, rd string) (bool, error) {
	forbidden := f.forbids(r, rd, at.person)
	if forbidden == nil || forbidden.Raise == nil || at.person.Connection != auth.Local {
		return false, nil
	}
	has, err := f.hasFactor(r.Context(), at.session.Account)
	if has || err != nil {
		return false, err
	}
	return f.couldEnrol(r.Context(), at.session.Account, forbidden)
}

// forbids is Rules.Forbids, nil where nothing is known of routes.
func (f *Flow) forbids(r *http.Request, rd string, p *auth.Person) *auth.Forbidden {
	if f.Rules == nil {
		return nil
	}
	return f.Rules.Forbids(r, rd, p)
}
