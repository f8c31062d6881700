package test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

const otherPassword = "an entirely other password"

// TestForgottenPassword: somebody who has forgotten their password has a link
// mailed, chooses another one by it, once, is signed out everywhere, and signs in
// with it and the factor that they had.
func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	g := mailing(t, s, "")
	g.Start(t)
	addUser(t, g, "ada", "--email", "ada@corp.example")
	run(t, g, "user", "add", "bare", "--email", "bare@corp.example") // without a password
	s.Wait(t, 1)                                                     // about the first password
	owner := newVisitor(t, "")
	app := owner.enrol(g, "ada")
	before := len(s.Wait(t, 2))

	v := newVisitor(t, "")
	ask := func(name string) string {
		return requestID.ReplaceAllString(v.post(g.URL+"/oauth2/reset", url.Values{"username": {name}}).wants(t, http.StatusOK).Text, "")
	}
	unknown := ask("ghost")
	for _, name := range []string{"bare", "bare@corp.example", "ADA@corp.example"} {
		if got := ask(name); got != unknown {
			t.Errorf("%s is told apart:\n%s", name, got)
		}
	}
	got := s.Wait(t, before+1)[before]
	link := linkInMail.FindString(got.Text)
	if got.To != "ada@corp.example" || !strings.HasPrefix(link, g.URL+"/oauth2/password?token=") {
		t.Fatalf("mail to %s:\n%s", got.To, got.Text)
	}

	page := v.get(link).wants(t, http.StatusOK)
	v.get(link).wants(t, http.StatusOK) // as a program that looks through mails does
	if strings.Contains(page.Header.Get("Referrer-Policy"), "unsafe") || page.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", page.Header)
	}
	token := strings.TrimPrefix(link, g.URL+"/oauth2/password?token=")
	choose := func(password string) reply {
		return v.post(g.URL+"/oauth2/password", url.Values{"token": {token}, "password": {password}})
	}
	r := choose("ada@corp.example").wants(t, http.StatusUnprocessableEntity)
	if !strings.Contains(r.Text, "too easy to guess") {
		t.Errorf("the page does not say what is wrong:\n%s", r.Text)
	}
	choose(otherPassword).wants(t, http.StatusSeeOther)
	choose("yet another good password").wants(t, http.StatusBadRequest)
	v.signedOut(g)
	owner.signedOut(g)
	if mails := s.Wait(t, before+2); !strings.Contains(mails[before+1].Text, "password") {
		t.Errorf("the owner is not told:\n%s", mails[before+1].Text)
	}
	// Neither the factor nor its owner is spared.
	v.password(g, "ada", goodPassword).wants(t, http.StatusUnauthorized)
	v.password(g, "ada", otherPassword).wants(t, http.StatusSeeOther)
	v.signedOut(g)
	v.code(g, app.code(t)).wants(t, http.StatusSeeOther)
	v.signedIn(g)
	noSecrets(t, g, token, otherPassword)
	if history := run(t, g, "user", "history", "ada"); !strings.Contains(history, "password reset by the person") {
		t.Errorf("history:\n%s", history)
	}
}

// TestSetUpLink: an administrator adds somebody who chooses their first password
// by a link, mailed or handed over.
func TestSetUpLink(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	g := mailing(t, s, "")
	g.Start(t)
	printed := strings.TrimSpace(run(t, g, "user", "add", "ada", "--email", "ada@corp.example", "--setup-link"))
	if !linkInMail.MatchString(printed) {
		t.Fatalf("printed %q", printed)
	}
	if out := run(t, g, "user", "add", "bea", "--email", "bea@corp.example", "--mail-setup-link"); out != "" {
		t.Errorf("a link that is mailed is printed too: %s", out)
	}
	mailed := linkInMail.FindString(s.Wait(t, 1)[0].Text)
	for name, link := range map[string]string{"ada": printed, "bea": mailed} {
		v := newVisitor(t, "")
		page := v.get(link).wants(t, http.StatusOK)
		if !strings.Contains(page.Text, "Choose your password") || !strings.Contains(page.Text, name) {
			t.Errorf("%s:\n%s", name, page.Text)
		}
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		v.post(g.URL+"/oauth2/password", url.Values{"token": {u.Query().Get("token")}, "password": {goodPassword}}).wants(t, http.StatusSeeOther)
		v.signedOut(g)
		v.enrol(g, name) // a first sign-in, as any
		v.signedIn(g)
	}
	if !showAccount(t, g, "ada").HasPassword {
		t.Error("ada has no password")
	}
}

// TestLinksThatAreOver. Attacks: use a link that went to an address which is no
// longer the account's, of somebody else perhaps; use one that was made before
// the account was closed, once it is open again.
func TestLinksThatAreOver(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	g := mailing(t, s, "")
	g.Start(t)
	run(t, g, "user", "add", "ada", "--email", "adda@corp.example", "--mail-setup-link")
	mistyped := mailedLink(t, s, "adda@corp.example")
	run(t, g, "user", "set", "ada", "--email", "ada@corp.example")
	printed := strings.TrimSpace(run(t, g, "user", "add", "bea", "--email", "bea@corp.example", "--setup-link"))
	run(t, g, "user", "disable", "bea")
	run(t, g, "user", "enable", "bea")
	v := newVisitor(t, "")
	for name, link := range map[string]string{"ada": mistyped, "bea": printed} {
		_, token, _ := strings.Cut(link, "?token=")
		v.get(link).says(t, http.StatusBadRequest, "does not count any more")
		v.post(g.URL+"/oauth2/password", url.Values{"token": {token}, "password": {goodPassword}}).wants(t, http.StatusBadRequest)
		if showAccount(t, g, name).HasPassword {
			t.Errorf("%s has a password by it", name)
		}
	}
	// A new one is good.
	run(t, g, "user", "setup-link", "ada", "--mail")
	v.get(mailedLink(t, s, "ada@corp.example")).wants(t, http.StatusOK)
}
