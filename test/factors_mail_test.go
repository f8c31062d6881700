package test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// TestCodesByMail: somebody without a phone chooses codes by mail at the first
// sign-in, and is asked for one at the next.
func TestCodesByMail(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	g := mailing(t, s, "")
	g.Start(t)

	t.Run("from the first sign-in on", func(t *testing.T) {
		t.Parallel()
		const address = "ada@corp.example"
		addUser(t, g, "ada", "--email", address)
		v := newVisitor(t, "")
		v.challenged(g, "ada", "/reports")
		if page := v.step(g).wants(t, http.StatusOK); !strings.Contains(page.Text, `name="enrol" value="email_code"`) {
			t.Fatalf("codes by mail are not offered:\n%s", page.Text)
		}
		v.takes(g, "enrol", "email_code").wants(t, http.StatusSeeOther).leads(t, "/oauth2/mfa")
		page := v.step(g).shows(t, http.StatusOK, "Set up codes by e-mail")
		if strings.Contains(page.Text, address) || !strings.Contains(page.Text, "a…@corp.example") {
			t.Errorf("the page does not say to which address, without telling it:\n%s", page.Text)
		}
		code := codeTo(t, s, address, 1)
		v.step(g).wants(t, http.StatusOK)
		v.answers(g, "email_code", wrongMailed(code)).wants(t, http.StatusUnauthorized)
		if to := v.answers(g, "email_code", code[:4]+" "+code[4:]).wants(t, http.StatusSeeOther).to(t); to.Path != "/reports" {
			t.Errorf("the sign-in ends at %s", to)
		}
		v.signedIn(g)
		if diff := cmp.Diff([]string{"email_code", "recovery_code"}, authenticatorsOf(t, g, "ada").kinds()); diff != "" {
			t.Errorf("enrolled (-want +got):\n%s", diff)
		}
		if got := amr(t, g, "ada"); !cmp.Equal(got, []string{"pwd", "otp", "mfa"}) {
			t.Errorf("amr %q", got)
		}
		v.signOutLocal(g)

		// Too soon for another mail: the page has a button, and sends none itself.
		v.challenged(g, "ada", "/")
		page = v.step(g).wants(t, http.StatusOK)
		if !strings.Contains(page.Text, `name="challenge" value="email_code">Send a code<`) || strings.Contains(page.Text, `name="code"`) {
			t.Errorf("not the page on which a code is asked for:\n%s", page.Text)
		}
		r := v.takes(g, "challenge", "email_code").says(t, http.StatusTooManyRequests, "A code was mailed not long ago", "Try again in ")
		if r.Header.Get("Retry-After") == "" || strings.Contains(r.Text, "attempts") {
			t.Errorf("it is not said how long to wait for another mail, or people are blamed for it:\n%s", r.Text)
		}
		v.hasMailed(g, "challenge")
		second := codeTo(t, s, address, 2)
		for range 3 { // a page that is loaded again sends nothing
			v.step(g).shows(t, http.StatusOK, "Enter your code")
		}
		// Attack: who knows the password too, and sees the owner's code, signs in
		// with it in a browser of his own.
		thief := newVisitor(t, "")
		thief.challenged(g, "ada", "/")
		thief.answers(g, "email_code", second).wants(t, http.StatusUnauthorized)
		thief.signedOut(g)
		// That did not spoil it for its owner, and it passes once.
		v.answers(g, "email_code", second).wants(t, http.StatusSeeOther)
		v.signedIn(g)
		thief.answers(g, "email_code", second).wants(t, http.StatusUnauthorized)
		thief.signedOut(g)
		codeTo(t, s, address, 2)
		noSecrets(t, g, code, second)
	})
	t.Run("only the newest counts", func(t *testing.T) {
		t.Parallel()
		const address = "bea@corp.example"
		addUser(t, g, "bea", "--email", address)
		v := newVisitor(t, "")
		v.challenged(g, "bea", "/")
		v.hasMailed(g, "enrol")
		first := codeTo(t, s, address, 1)
		v.hasMailed(g, "enrol")
		second := codeTo(t, s, address, 2)
		if first != second { // once in a hundred million
			v.answers(g, "email_code", first).wants(t, http.StatusUnauthorized)
		}
		v.answers(g, "email_code", second).wants(t, http.StatusSeeOther)
		v.signedIn(g)
	})
	t.Run("five wrong guesses end it", func(t *testing.T) {
		t.Parallel()
		const address = "cleo@corp.example"
		addUser(t, g, "cleo", "--email", address)
		v := newVisitor(t, "")
		v.challenged(g, "cleo", "/")
		v.hasMailed(g, "enrol")
		code := codeTo(t, s, address, 1)
		for range 5 {
			v.answers(g, "email_code", wrongMailed(code)).wants(t, http.StatusUnauthorized)
		}
		run(t, g, "user", "unlock", "cleo") // so that it is the code that is spent, and not patience
		v.answers(g, "email_code", code).wants(t, http.StatusUnauthorized)
		v.signedOut(g)
		if kinds := authenticatorsOf(t, g, "cleo").kinds(); len(kinds) > 0 {
			t.Errorf("enrolled: %q", kinds)
		}
	})
	t.Run("nobody without an address", func(t *testing.T) {
		t.Parallel()
		addUser(t, g, "dan")
		v := newVisitor(t, "")
		v.challenged(g, "dan", "/")
		if page := v.step(g).wants(t, http.StatusOK); strings.Contains(page.Text, `value="email_code"`) {
			t.Errorf("codes by mail are offered:\n%s", page.Text)
		}
		r := v.takes(g, "enrol", "email_code").wants(t, http.StatusConflict)
		if !strings.Contains(r.Text, "Choose another way") {
			t.Errorf("the page does not say what to do:\n%s", r.Text)
		}
		v.code(g, v.offered(g).code(t)).wants(t, http.StatusSeeOther)
	})
}

// resets forgets the password of an account, has a link mailed and chooses
// otherPassword by it.
func resets(t *testing.T, g *servers.Gateway, s *servers.SMTP, name, address string) {
	t.Helper()
	v := newVisitor(t, "")
	v.post(g.URL+"/oauth2/reset", url.Values{"username": {name}}).wants(t, http.StatusOK)
	token := strings.TrimPrefix(mailedLink(t, s, address), g.URL+"/oauth2/password?token=")
	v.post(g.URL+"/oauth2/password", url.Values{"token": {token}, "password": {otherPassword}}).wants(t, http.StatusSeeOther)
}

// TestResetBarsCodesByMail: who reads a mailbox has a link by which a password
// is chosen. A code that goes to the same mailbox shows nothing more.
func TestResetBarsCodesByMail(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	g := mailing(t, s, "")
	g.Start(t)

	t.Run("something else is left", func(t *testing.T) {
		t.Parallel()
		const address = "ada@corp.example"
		addUser(t, g, "ada", "--email", address)
		codes := newVisitor(t, "").enrolMailed(g, s, "ada", address, 1)
		resets(t, g, s, "ada", address)
		v := newVisitor(t, "")
		v.password(g, "ada", otherPassword).wants(t, http.StatusSeeOther).leads(t, "/oauth2/mfa")
		page := v.step(g).shows(t, http.StatusOK, "Enter a recovery code")
		if strings.Contains(page.Text, "email_code") {
			t.Errorf("a code by mail is offered:\n%s", page.Text)
		}
		// Attack: ask for one all the same, or enrol the mailbox anew.
		v.takes(g, "challenge", "email_code").wants(t, http.StatusBadRequest)
		v.takes(g, "enrol", "email_code").wants(t, http.StatusBadRequest)
		v.answers(g, "email_code", "12345678").wants(t, http.StatusBadRequest)
		v.signedOut(g)
		// A recovery code shows that it is them, and another factor takes the place
		// of the one that is worth nothing.
		v.answers(g, "recovery_code", codes[0]).wants(t, http.StatusSeeOther).leads(t, "/oauth2/mfa")
		v.signedOut(g)
		v.takes(g, "enrol", "email_code").wants(t, http.StatusConflict)
		app := v.offered(g)
		v.code(g, app.code(t)).wants(t, http.StatusSeeOther)
		v.signedIn(g)
		v.account(g, "").says(t, http.StatusOK, "Codes by e-mail cannot be used now", "Change your password")
		codeTo(t, s, address, 1) // none was mailed beside that of the enrolment
	})
	t.Run("nothing else is left", func(t *testing.T) {
		t.Parallel()
		const address = "bea@corp.example"
		addUser(t, g, "bea", "--email", address)
		newVisitor(t, "").enrolMailed(g, s, "bea", address, 1)
		run(t, g, "user", "reset-mfa", "bea", "--factor", "recovery_code")
		resets(t, g, s, "bea", address)
		v := newVisitor(t, "")
		v.password(g, "bea", otherPassword).wants(t, http.StatusSeeOther).leads(t, "/oauth2/mfa")
		page := v.step(g).shows(t, http.StatusForbidden, "Your second factor cannot be used now")
		if !strings.Contains(page.Text, "reset your second factor") {
			t.Errorf("the page does not say whom to ask for what:\n%s", page.Text)
		}
		v.takes(g, "enrol", "totp").wants(t, http.StatusForbidden)
		v.answers(g, "email_code", codeTo(t, s, address, 1)).wants(t, http.StatusForbidden)
		v.signedOut(g)
		if out := run(t, g, "user", "factors", "bea"); !strings.Contains(out, "cannot be used now") {
			t.Errorf("the administrator does not see why:\n%s", out)
		}
		// A password that nobody was mailed a link for: codes count again.
		if r := g.Run(t, goodPassword+"\n", "user", "set-password", "bea", "--password-stdin", "--config", g.Config); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
		again := newVisitor(t, "")
		again.challenged(g, "bea", "/")
		again.hasMailed(g, "challenge")
		again.answers(g, "email_code", codeTo(t, s, address, 2)).wants(t, http.StatusSeeOther)
		again.signedIn(g)
	})
}
