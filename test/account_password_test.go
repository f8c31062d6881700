package test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

// What browsers call themselves.
const (
	firefoxAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	safariAgent  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)

// account opens the account page, or one under it.
func (v *visitor) account(g *servers.Gateway, path string) reply {
	v.t.Helper()
	return v.look(g.URL + "/oauth2/account" + path)
}

// change sends a form of the account page. Fields are names and values in turn.
func (v *visitor) change(g *servers.Gateway, path string, fields ...string) reply {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return v.post(g.URL+"/oauth2/account"+path, form)
}

// says fails the test unless the answer is a page with that status and these
// texts.
func (r reply) says(t testing.TB, status int, texts ...string) reply {
	t.Helper()
	r.wants(t, status)
	for _, text := range texts {
		if !strings.Contains(r.Text, text) {
			t.Errorf("%s does not say %q:\n%s", r.Request.URL.Path, text, r.Text)
		}
	}
	return r
}

// TestChangePassword: a sign-in with a password is proof enough to choose
// another one. Whoever else is in the account is put out, and the owner hears
// of it.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	g := servers.NewGateway(t, binary, localOnly(servers.StartApp(t).URL, "mfa: {enforce: off}",
		fmt.Sprintf("mail: {address: %q, from: gate@acme.example, tls: none}", s.Addr)))
	g.Start(t)
	addUser(t, g, "ada", "--email", "ada@corp.example", "--name", "Ada Lovelace")
	s.Wait(t, 1) // about the first password
	desk, stranger := newVisitor(t, ""), newVisitor(t, "")
	desk.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	stranger.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	before := len(s.Wait(t, 1))

	desk.account(g, "/password").shows(t, http.StatusOK, "Change your password")
	const tied = `aria-describedby="problem hint" aria-invalid="true"`
	change := func(password, again string) reply {
		return desk.change(g, "/password", "password", password, "again", again)
	}
	change(otherPassword, otherPassword+"s").says(t, http.StatusUnprocessableEntity, "do not match", tied)
	change("ada.lovelace", "ada.lovelace").says(t, http.StatusUnprocessableEntity, "too easy to guess", tied)
	change("short", "short").says(t, http.StatusUnprocessableEntity, "characters", tied)
	change("", "").says(t, http.StatusUnprocessableEntity, tied)
	stranger.signedIn(g)
	if mails := s.Mails(); len(mails) > before && strings.Contains(mails[before].Text, "was changed") {
		t.Errorf("a mail of what did not happen:\n%s", mails[before].Text)
	}

	r := desk.send(false, http.MethodPost, g.URL+"/oauth2/account/password",
		url.Values{"password": {otherPassword}, "again": {otherPassword}}, "User-Agent", firefoxAgent)
	r.wants(t, http.StatusSeeOther).leads(t, "/oauth2/account")
	stranger.signedOut(g)
	desk.signedIn(g)
	var known struct {
		Devices []any `json:"known_devices"`
	}
	if decode(t, run(t, g, "user", "export", "ada"), &known); len(known.Devices) != 1 {
		t.Errorf("%d known devices: not the one on which it was changed", len(known.Devices))
	}
	servers.WaitFor(t, "the mail of the change", func(_ context.Context) bool {
		for _, m := range s.Mails() {
			if strings.Contains(m.Text, "Your password was changed") {
				for _, want := range []string{"127.0.0.1", "Firefox on Linux", " UTC", g.URL + "/oauth2/account"} {
					if !strings.Contains(m.Text, want) || !strings.Contains(m.HTML, want) {
						t.Errorf("the mail does not say %q:\n%s", want, m.Text)
					}
				}
				return m.To == "ada@corp.example"
			}
		}
		return false
	})
	v := newVisitor(t, "")
	v.password(g, "ada", goodPassword).wants(t, http.StatusUnauthorized)
	v.password(g, "ada", otherPassword).wants(t, http.StatusSeeOther)
	v.signedIn(g)
	desk.account(g, "").says(t, http.StatusOK, "Password changed", "Password set")
	if history := run(t, g, "user", "history", "ada"); !strings.Contains(history, "password changed by the person") {
		t.Errorf("history:\n%s", history)
	}
	noSecrets(t, g, goodPassword, otherPassword)
}
