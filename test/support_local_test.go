package test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"

	"gatehouse/test/servers"
)

// goodPassword suits local.password.min_length.
const goodPassword = "correct horse battery staple"

// localOnly is a gateway whose only way in is a local account.
func localOnly(upstream string, more ...string) string {
	return configText(upstream, nil, append(more, "local: {enabled: true}")...)
}

// addUser adds a local account with goodPassword.
func addUser(t testing.TB, g *servers.Gateway, name string, more ...string) account {
	t.Helper()
	args := append([]string{"user", "add", name, "--password-stdin", "--json", "--config", g.Config}, more...)
	r := g.Run(t, goodPassword+"\n", args...)
	if r.Code != 0 {
		t.Fatalf("gatehouse %v ended with %d:\n%s", args, r.Code, r.Stderr)
	}
	var a account
	decode(t, r.Stdout, &a)
	return a
}

// totpStep is how long a code is shown, in seconds (RFC 6238, section 4.1).
const totpStep = 30

// authenticator is the app on a person's phone.
type authenticator struct {
	secret string
	last   int64 // step of the code that was typed last
}

// code is one that has not been typed yet: the present one, or else the next,
// which a gateway takes too because clocks differ.
func (a *authenticator) code(t testing.TB) string {
	t.Helper()
	now := func() int64 { return time.Now().Unix() / totpStep }
	if a.last < now() {
		a.last = now()
	} else {
		a.last++
		servers.WaitFor(t, "the authenticator's next code", func(context.Context) bool { return a.last <= now()+1 })
	}
	return a.at(t, a.last)
}

// at is the code of a step (RFC 6238, section 4.2).
func (a *authenticator) at(t testing.TB, step int64) string {
	t.Helper()
	code, err := hotp.GenerateCode(a.secret, uint64(step))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// wrongCode is a code that no step around now has.
func (a *authenticator) wrongCode(t testing.TB) string {
	t.Helper()
	now := time.Now().Unix() / totpStep
	taken := map[string]bool{}
	for step := now - 3; step <= now+3; step++ {
		taken[a.at(t, step)] = true
	}
	for _, code := range []string{"000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777"} {
		if !taken[code] {
			return code
		}
	}
	t.Fatal("every code is taken")
	return ""
}

var (
	setUpKey       = regexp.MustCompile(`(?s)<p class="key">(.*?)</p>`)
	markup         = regexp.MustCompile(`<[^>]*>|\s`)
	requestID      = regexp.MustCompile(`Request id <code>[^<]*</code>`)
	formOfCode     = regexp.MustCompile(`<input type="hidden" name="method" value="totp">`)
	formOfPassword = regexp.MustCompile(`name="password"`)
)

// password types a username and a password into the sign-in page.
func (v *visitor) password(g *servers.Gateway, name, password string, headers ...string) reply {
	v.t.Helper()
	return v.passwordTo(g, name, password, "/", headers...)
}

// passwordTo is password of somebody who wants to reach rd.
func (v *visitor) passwordTo(g *servers.Gateway, name, password, rd string, headers ...string) reply {
	v.t.Helper()
	return v.post(g.URL+"/oauth2/sign_in", url.Values{"username": {name}, "password": {password}, "rd": {rd}}, headers...)
}

// challenged is a right password of an account with a second factor: it leads
// to the factor and nowhere else.
func (v *visitor) challenged(g *servers.Gateway, name, rd string) {
	v.t.Helper()
	if to := v.passwordTo(g, name, goodPassword, rd).wants(v.t, http.StatusSeeOther).to(v.t); to.Path != "/oauth2/mfa" {
		v.t.Fatalf("after the password comes %s", to)
	}
}

// code types a code into the page of the second factor.
func (v *visitor) code(g *servers.Gateway, code string, headers ...string) reply {
	v.t.Helper()
	return v.post(g.URL+"/oauth2/mfa", url.Values{"method": {"totp"}, "code": {code}}, headers...)
}

// offered reads the key from the page of an enrolment.
func (v *visitor) offered(g *servers.Gateway) *authenticator {
	v.t.Helper()
	page := v.look(g.URL+"/oauth2/mfa").wants(v.t, http.StatusOK)
	if !formOfCode.MatchString(page.Text) {
		v.t.Fatalf("no form for the code of an enrolment:\n%s", page.Text)
	}
	return v.shownKey(page)
}

// shownKey reads the key of an app from a page that shows it as text and as a
// picture.
func (v *visitor) shownKey(page reply) *authenticator {
	v.t.Helper()
	key := setUpKey.FindStringSubmatch(page.Text)
	if key == nil || !strings.Contains(page.Text, `src="data:image/`) {
		v.t.Fatalf("no key as text and as a picture:\n%s", page.Text)
	}
	return &authenticator{secret: markup.ReplaceAllString(key[1], "")}
}

// enrol signs a local account in for the first time and returns its new
// authenticator app.
func (v *visitor) enrol(g *servers.Gateway, name string) *authenticator {
	v.t.Helper()
	v.challenged(g, name, "/")
	app := v.offered(g)
	v.code(g, app.code(v.t)).wants(v.t, http.StatusSeeOther)
	v.signedIn(g)
	return app
}

// signInLocal signs an enrolled account in.
func (v *visitor) signInLocal(g *servers.Gateway, name string, app *authenticator) {
	v.t.Helper()
	v.challenged(g, name, "/")
	v.code(g, app.code(v.t)).wants(v.t, http.StatusSeeOther)
	v.signedIn(g)
}

// signOutLocal leaves by the form that the pages of the gateway have.
func (v *visitor) signOutLocal(g *servers.Gateway) {
	v.t.Helper()
	v.post(g.URL+"/oauth2/sign_out", url.Values{}).wants(v.t, http.StatusOK)
	v.signedOut(g)
}
