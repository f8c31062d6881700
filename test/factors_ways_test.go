package test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// adds adds a factor on the account page of who has just signed in with all that
// the account has; answer reads the code from the page on which it is confirmed.
func (v *visitor) adds(g *servers.Gateway, kind string, answer func(page reply) string) {
	v.t.Helper()
	at := g.URL + "/oauth2/account/factors/"
	v.post(at+"add", url.Values{"kind": {kind}}).wants(v.t, http.StatusSeeOther).leads(v.t, "/oauth2/account/factors/confirm")
	page := v.look(at+"confirm?kind="+kind).wants(v.t, http.StatusOK)
	v.post(at+"confirm", url.Values{"kind": {kind}, "code": {answer(page)}}).wants(v.t, http.StatusSeeOther).leads(v.t, "/oauth2/account")
}

// addsApp is adds of another authenticator app.
func (v *visitor) addsApp(g *servers.Gateway) (app *authenticator) {
	v.t.Helper()
	v.adds(g, "totp", func(page reply) string {
		key := setUpKey.FindStringSubmatch(page.Text)
		if key == nil {
			v.t.Fatalf("no key:\n%s", page.Text)
		}
		app = &authenticator{secret: markup.ReplaceAllString(key[1], "")}
		return app.code(v.t)
	})
	return app
}

// TestSeveralFactors: with two apps and codes by mail, either app will do, what
// was used last comes first, and the others are another way.
func TestSeveralFactors(t *testing.T) {
	t.Parallel()
	const address = "ada@corp.example"
	s := servers.StartSMTP(t, false)
	g := mailing(t, s, "")
	g.Start(t)
	addUser(t, g, "ada", "--email", address)
	v := newVisitor(t, "")
	phone := v.enrol(g, "ada")
	tablet := v.addsApp(g)
	v.adds(g, "email_code", func(reply) string { return codeTo(t, s, address, 1) })
	if diff := cmp.Diff([]string{"totp", "totp", "email_code", "recovery_code"}, authenticatorsOf(t, g, "ada").kinds()); diff != "" {
		t.Fatalf("enrolled (-want +got):\n%s", diff)
	}

	for _, app := range []*authenticator{phone, tablet} {
		newVisitor(t, "").signInLocal(g, "ada", app)
	}
	other := newVisitor(t, "")
	other.challenged(g, "ada", "/")
	page := other.step(g).shows(t, http.StatusOK, "Enter your code")
	if !formOfCode.MatchString(page.Text) || !strings.Contains(page.Text, "Another way") ||
		!inOrder(page.Text, `name="challenge" value="email_code"`, `name="challenge" value="recovery_code"`) || strings.Contains(page.Text, `value="passkey"`) {
		t.Errorf("not the app first, and then what else the account has:\n%s", page.Text)
	}
	// Who has a factor cannot get around it by enrolling one.
	other.takes(g, "enrol", "totp").wants(t, http.StatusBadRequest)
	other.takes(g, "challenge", "passkey").wants(t, http.StatusBadRequest)
	other.hasMailed(g, "challenge")
	// The app will still do, whatever was chosen: here a wrong code of it.
	other.code(g, tablet.wrongCode(t)).wants(t, http.StatusUnauthorized)
	other.answers(g, "email_code", codeTo(t, s, address, 2)).wants(t, http.StatusSeeOther)
	other.signedIn(g)

	last := newVisitor(t, "")
	last.challenged(g, "ada", "/")
	page = last.step(g).wants(t, http.StatusOK)
	if !inOrder(page.Text, `value="email_code"`, "Another way", `name="challenge" value="totp"`, `name="challenge" value="recovery_code"`) {
		t.Errorf("codes by mail, used last, do not come first:\n%s", page.Text)
	}
}

// inOrder reports whether a text has these, one after the other.
func inOrder(text string, parts ...string) bool {
	for _, part := range parts {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return true
}

// TestMethodTakenOut: a method that is no longer in mfa.methods locks out nobody
// who has only that. It proves, and then one that is allowed is enrolled.
func TestMethodTakenOut(t *testing.T) {
	t.Parallel()
	const address = "ada@corp.example"
	application, s := servers.StartApp(t), servers.StartSMTP(t, false)
	g := servers.StartGateway(t, binary, localOnly(application.URL, "mfa: {methods: [totp]}", mailTo(s, "")))
	addUser(t, g, "ada", "--email", address)
	first := newVisitor(t, "")
	app := first.enrol(g, "ada")
	restart(t, g, localOnly(application.URL, "mfa: {methods: [email_code]}", mailTo(s, "")))
	first.signedIn(g) // a session is nothing that the file takes away

	v := newVisitor(t, "")
	v.challenged(g, "ada", "/wanted")
	if page := v.step(g).shows(t, http.StatusOK, "Enter your code"); !formOfCode.MatchString(page.Text) {
		t.Errorf("the app is not asked for:\n%s", page.Text)
	}
	v.takes(g, "enrol", "email_code").wants(t, http.StatusBadRequest) // not before the app has proved
	v.code(g, app.code(t)).wants(t, http.StatusSeeOther).leads(t, "/oauth2/mfa")
	v.signedOut(g)
	for range 2 { // the page of itself mails nothing
		if page := v.step(g).shows(t, http.StatusOK, "Set up your second factor"); strings.Contains(page.Text, `value="totp"`) {
			t.Errorf("an app is offered:\n%s", page.Text)
		}
	}
	v.takes(g, "enrol", "totp").wants(t, http.StatusBadRequest)
	if n := len(codesTo(s, address)); n != 0 {
		t.Errorf("%d codes were mailed", n)
	}
	v.takes(g, "enrol", "email_code").wants(t, http.StatusSeeOther)
	v.answers(g, "email_code", codeTo(t, s, address, 1)).wants(t, http.StatusSeeOther).leads(t, "/wanted")
	v.signedIn(g)

	// From now on only what is allowed.
	again := newVisitor(t, "")
	again.challenged(g, "ada", "/")
	if page := again.step(g).wants(t, http.StatusOK); strings.Contains(page.Text, `value="totp"`) {
		t.Errorf("the app is another way still:\n%s", page.Text)
	}
	again.code(g, app.code(t)).wants(t, http.StatusBadRequest)
	again.signedOut(g)
}

// TestRequiredEnrolment: an administrator has somebody enrol a factor at the next
// local sign-in, also where mfa.enforce asks nobody; who has one proves it first.
func TestRequiredEnrolment(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	t.Run("mfa.enforce is local", func(t *testing.T) {
		t.Parallel()
		g := servers.StartGateway(t, binary, localOnly(application.URL))
		addUser(t, g, "ada")
		v := newVisitor(t, "")
		phone := v.enrol(g, "ada")
		run(t, g, "user", "require-mfa", "ada")
		if !authenticatorsOf(t, g, "ada").Demanded {
			t.Error("the demand is not shown")
		}
		v.signedIn(g) // it is about the next sign-in
		v.signOutLocal(g)
		v.challenged(g, "ada", "/wanted")
		if page := v.step(g).wants(t, http.StatusOK); setUpKey.MatchString(page.Text) {
			t.Error("who has only the password may enrol")
		}
		v.code(g, phone.code(t)).wants(t, http.StatusSeeOther).leads(t, "/oauth2/mfa")
		v.signedOut(g)
		tablet := v.offered(g)
		v.code(g, phone.wrongCode(t)).wants(t, http.StatusUnauthorized)
		v.code(g, tablet.code(t)).wants(t, http.StatusSeeOther).leads(t, "/wanted")
		v.signedIn(g)
		if a := authenticatorsOf(t, g, "ada"); a.Demanded || !cmp.Equal(a.kinds(), []string{"totp", "totp", "recovery_code"}) {
			t.Errorf("after the enrolment: %+v", a)
		}
		v.signOutLocal(g)
		v.signInLocal(g, "ada", tablet)
		// Whoever does it of themselves is not asked again.
		run(t, g, "user", "require-mfa", "ada")
		v.change(g, "/factors/add", "kind", "totp").wants(t, http.StatusSeeOther)
		watch := v.shownKey(v.account(g, "/factors/confirm?kind=totp"))
		v.change(g, "/factors/confirm", "kind", "totp", "code", watch.code(t)).wants(t, http.StatusSeeOther)
		if authenticatorsOf(t, g, "ada").Demanded {
			t.Error("still demanded")
		}
	})
	t.Run("mfa.enforce is off", func(t *testing.T) {
		t.Parallel()
		g := servers.StartGateway(t, binary, localOnly(application.URL, "mfa: {enforce: off}"))
		addUser(t, g, "ada")
		addUser(t, g, "bob")
		v, bob := newVisitor(t, ""), newVisitor(t, "")
		v.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther).leads(t, "/")
		v.signedIn(g)
		v.signOutLocal(g)
		run(t, g, "user", "require-mfa", "ada")
		bob.password(g, "bob", goodPassword).wants(t, http.StatusSeeOther).leads(t, "/")
		bob.signedIn(g)
		app := v.enrol(g, "ada")
		v.signOutLocal(g)
		// Nobody is asked for what they have, until it is demanded once more.
		v.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther).leads(t, "/")
		v.signedIn(g)
		v.signOutLocal(g)
		run(t, g, "user", "require-mfa", "ada")
		v.challenged(g, "ada", "/")
		if page := v.step(g).wants(t, http.StatusOK); setUpKey.MatchString(page.Text) {
			t.Error("who has only the password may enrol")
		}
		v.code(g, app.code(t)).wants(t, http.StatusSeeOther).leads(t, "/oauth2/mfa")
		v.signedOut(g)
		v.code(g, v.offered(g).code(t)).wants(t, http.StatusSeeOther)
		v.signedIn(g)
	})
}

// TestOneFactorTakenAway: an administrator takes one factor away and leaves the
// others; with the last one the recovery codes go.
func TestOneFactorTakenAway(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "ada")
	v := newVisitor(t, "")
	v.challenged(g, "ada", "/")
	phone := v.offered(g)
	paper := paperCodes(v.step(g))
	v.code(g, phone.code(t)).wants(t, http.StatusSeeOther)
	tablet := v.addsApp(g)
	all := authenticatorsOf(t, g, "ada")
	if diff := cmp.Diff([]string{"totp", "totp", "recovery_code"}, all.kinds()); diff != "" {
		t.Fatalf("enrolled (-want +got):\n%s", diff)
	}
	if r := g.Run(t, "", "user", "reset-mfa", "ada", "--factor", "nothing", "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stderr, `no factor "nothing"`) {
		t.Errorf("got %+v", r)
	}
	v.signedIn(g)

	half := newVisitor(t, "")
	half.challenged(g, "ada", "/")
	run(t, g, "user", "reset-mfa", "ada", "--factor", all.Factors[0].ID)
	v.signedOut(g) // whoever has the phone may have opened it
	half.code(g, tablet.code(t)).wants(t, http.StatusSeeOther).leads(t, "/oauth2/sign_in")
	half.signedOut(g)
	v.challenged(g, "ada", "/")
	v.code(g, phone.code(t)).wants(t, http.StatusUnauthorized)
	v.code(g, tablet.code(t)).wants(t, http.StatusSeeOther)
	v.signedIn(g)
	if left := authenticatorsOf(t, g, "ada").left(); left != 10 {
		t.Errorf("%d recovery codes are left", left)
	}

	run(t, g, "user", "reset-mfa", "ada", "--factor", all.Factors[1].ID)
	if a := authenticatorsOf(t, g, "ada"); len(a.Factors) > 0 {
		t.Errorf("left: %+v", a.Factors)
	}
	v.challenged(g, "ada", "/")
	v.answers(g, "recovery_code", paper[0]).wants(t, http.StatusBadRequest)
	v.code(g, v.offered(g).code(t)).wants(t, http.StatusSeeOther)
	v.signedIn(g)
	history := run(t, g, "user", "history", "ada")
	if n := strings.Count(history, "factor removed"); n != 2 {
		t.Errorf("%d removals in the history:\n%s", n, history)
	}
}
