package signin_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/auth"
	"gatehouse/auth/signin"
)

// watched is a factor that has something happen between the moment at which an
// enrolment was found to be owed and that at which it is kept.
type watched struct {
	*factor
	kind    string
	between func()
}

func (w *watched) Kind() string { return w.kind }

func (w *watched) Offer(ctx context.Context, c auth.Claimant) (auth.Enrolment, error) {
	e, err := w.factor.Offer(ctx, c)
	e.Kind = w.kind
	return e, err
}

func (w *watched) Confirm(ctx context.Context, c auth.Claimant, e auth.Enrolment, answer string) error {
	if between := w.between; between != nil {
		w.between = nil
		between()
	}
	return w.factor.Confirm(ctx, c, e, answer)
}

// Attack: with a stolen password, wait at the enrolment until the owner enrols,
// and enrol a factor of another kind at that very moment: each kind finds that
// it has none.
func TestFirstEnrolmentsOfTwoKinds(t *testing.T) {
	newKind := func(kind string) *watched {
		return &watched{factor: &factor{enrolled: map[string]string{}, used: map[string]bool{}}, kind: kind}
	}
	app, mail := newKind("totp"), newKind("email_code")
	h := open(t, func(f *signin.Flow) { f.Factors = []auth.Factor{app, mail} })
	owner, thief := h.person(), h.person()
	for _, p := range []*person{owner, thief} {
		p.password("alice", "/app").expect(t, http.StatusSeeOther, "/oauth2/mfa")
	}
	owner.get("/oauth2/mfa")
	thief.post("/oauth2/mfa", url.Values{"enrol": {"email_code"}}).expect(t, http.StatusSeeOther, "/oauth2/mfa")
	code := url.Values{"code": {"123456"}}
	app.between = func() {
		a := thief.post("/oauth2/mfa", code)
		a.expect(t, http.StatusTooManyRequests, "")
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
		// Nobody has guessed, and the log does not say so.
		if !strings.Contains(a.body, "being changed right now") || strings.Contains(h.log.String(), "factor_failed") {
			t.Errorf("taken for a guess:\n%s\n%s", a.body, h.log.String())
		}
	}
	owner.post("/oauth2/mfa", code).expect(t, http.StatusSeeOther, "/app")
	// Now the account has one, which is what the thief is asked for.
	mail.between = func() { t.Error("came as far as keeping an enrolment") }
	thief.post("/oauth2/mfa", url.Values{"method": {"email_code"}, "code": {"123456"}})
	if len(app.enrolled) != 1 || len(mail.enrolled) != 0 || thief.signedIn() || !owner.signedIn() {
		t.Errorf("enrolled %v and %v", app.enrolled, mail.enrolled)
	}
}

// Attack: the same, a moment later: the thief's request was found to owe an
// enrolment just before the owner's turn, and gets its own just after.
func TestEnrolmentIsJudgedInItsTurn(t *testing.T) {
	second := &watched{factor: &factor{enrolled: map[string]string{}, used: map[string]bool{}}, kind: "email_code"}
	h := open(t, func(f *signin.Flow) {
		f.Factors = append(f.Factors, second)
		f.Turns = late{func(account string) {
			f.Factors[0].(*factor).enrolled[account] = "the owner's"
		}}
	})
	thief := h.person()
	thief.password("alice", "/app")
	thief.post("/oauth2/mfa", url.Values{"enrol": {"email_code"}}).expect(t, http.StatusSeeOther, "/oauth2/mfa")
	thief.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/oauth2/mfa")
	if len(second.enrolled) != 0 || thief.signedIn() {
		t.Errorf("enrolled beside the owner's: %v", second.enrolled)
	}
}

// Attack: likewise, just before an administrator has reset the account and ended
// its sessions.
func TestEnrolmentEndsWithTheSessions(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Turns = late{func(string) {}} })
	thief := h.person()
	thief.password("alice", "/app")
	thief.get("/oauth2/mfa")
	h.flow.Turns = late{func(account string) { h.sessions.ended[account] = h.now() }}
	thief.post("/oauth2/mfa", url.Values{"code": {"123456"}})
	if enrolled := h.flow.Factors[0].(*factor).enrolled; len(enrolled) != 0 || thief.signedIn() {
		t.Errorf("enrolled after the end: %v", enrolled)
	}
}

// late is a turn before which somebody else has had theirs.
type late struct{ theirs func(account string) }

func (l late) Alone(ctx context.Context, account string, change func(context.Context) error) error {
	l.theirs(account)
	return change(ctx)
}
