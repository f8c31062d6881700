package test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

var removeForm = regexp.MustCompile(`(?s)Remove<span class="unseen"> ([^<]*)</span></summary>\s*<form method="post" action="/oauth2/account/factors/remove">\s*<input type="hidden" name="kind" value="([^"]+)">\s*<input type="hidden" name="id" value="([^"]*)">`)

// shownFactor is a second factor as the account page shows it.
type shownFactor struct{ kind, id, name string }

// factors are the second factors that the account page shows.
func (v *visitor) factors(g *servers.Gateway) (all []shownFactor) {
	v.t.Helper()
	for _, m := range removeForm.FindAllStringSubmatch(v.account(g, "").wants(v.t, http.StatusOK).Text, -1) {
		all = append(all, shownFactor{m[2], m[3], m[1]})
	}
	return all
}

// names are the kinds and names of factors.
func names(all []shownFactor) (list []string) {
	for _, f := range all {
		list = append(list, f.kind+" "+f.name)
	}
	return list
}

// mailAbout waits for a mail that says a text and returns it.
func mailAbout(t *testing.T, s *servers.SMTP, text string) (found servers.Mail) {
	t.Helper()
	servers.WaitFor(t, "a mail about "+text, func(context.Context) bool {
		for _, m := range s.Mails() {
			if strings.Contains(m.Text, text) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// TestFactorsOfOnesOwn: somebody adds an authenticator app and codes by mail to
// the app that they had, names them, and removes all but one, which stays
// because their organisation asks for one.
func TestFactorsOfOnesOwn(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	g := mailing(t, s, "")
	g.Start(t)
	addUser(t, g, "ada", "--email", "ada@corp.example")
	desk := newVisitor(t, "")
	desk.enrol(g, "ada") // a password and a factor, just now: proof enough

	// Another app.
	desk.change(g, "/factors/add", "kind", "totp").wants(t, http.StatusSeeOther).leads(t, "/oauth2/account/factors/confirm")
	tablet := desk.shownKey(desk.account(g, "/factors/confirm?kind=totp").shows(t, http.StatusOK, "Add an authenticator app"))
	again := desk.change(g, "/factors/confirm", "kind", "totp", "code", tablet.wrongCode(t), "name", " My \u202e tablet").
		says(t, http.StatusUnauthorized, "did not match", `aria-describedby="problem"`)
	if desk.shownKey(again).secret != tablet.secret {
		t.Error("after a wrong code another key is offered")
	}
	desk.change(g, "/factors/confirm", "kind", "totp", "code", tablet.code(t), "name", " My \u202e tablet").wants(t, http.StatusSeeOther).leads(t, "/oauth2/account")
	desk.change(g, "/factors/confirm", "kind", "totp", "code", tablet.code(t)).wants(t, http.StatusConflict) // sent twice
	if got := mailAbout(t, s, "second factor was added"); got.To != "ada@corp.example" {
		t.Errorf("mail to %s", got.To)
	}

	// Codes by mail.
	desk.change(g, "/factors/add", "kind", "email_code").wants(t, http.StatusSeeOther)
	sent := mailedCode.FindStringSubmatch(mailAbout(t, s, "Type this code").Text)
	page := desk.account(g, "/factors/confirm?kind=email_code").shows(t, http.StatusOK, "Add codes by e-mail")
	if sent == nil || strings.Contains(page.Text, sent[1]) {
		t.Fatalf("the code %v is not in the mail alone:\n%s", sent, page.Text)
	}
	desk.change(g, "/factors/confirm", "kind", "email_code", "code", "00000000").says(t, http.StatusUnauthorized, "did not match")
	desk.change(g, "/factors/confirm", "kind", "email_code", "code", sent[1]).wants(t, http.StatusSeeOther)
	all := desk.factors(g)
	if diff := cmp.Diff([]string{"totp Authenticator app", "totp My tablet", "email_code a…@corp.example"}, names(all)); diff != "" {
		t.Fatalf("factors (-want +got):\n%s", diff)
	}

	// Their names. An address has none but itself.
	if n := strings.Count(desk.account(g, "").Text, `action="/oauth2/account/factors/rename"`); n != 2 {
		t.Errorf("%d factors can be renamed", n)
	}
	rename := func(f shownFactor, name string) reply {
		return desk.change(g, "/factors/rename", "kind", f.kind, "id", f.id, "name", name)
	}
	rename(all[1], "Tablet <b>").wants(t, http.StatusSeeOther)
	for _, name := range []string{"", " \u200b"} {
		rename(all[1], name).says(t, http.StatusUnprocessableEntity, "cannot be the name")
	}
	if text := desk.account(g, "").Text; strings.Contains(text, "<b>") || !strings.Contains(text, "Tablet &lt;b&gt;") {
		t.Errorf("the name is not shown as it is:\n%s", text)
	}

	// All but one of them go, with the recovery codes left as they are.
	remove := func(f shownFactor) reply { return desk.change(g, "/factors/remove", "kind", f.kind, "id", f.id) }
	remove(all[2]).wants(t, http.StatusSeeOther)
	remove(all[0]).wants(t, http.StatusSeeOther)
	remove(all[0]).wants(t, http.StatusSeeOther) // gone already
	remove(all[1]).says(t, http.StatusConflict, "your only second factor")
	remove(shownFactor{kind: "recovery_code"}).wants(t, http.StatusSeeOther)
	desk.account(g, "").says(t, http.StatusOK, "You have 10 left of ten", "Second factor removed", "Second factor added")
	if got := mailAbout(t, s, "second factor was removed"); !strings.Contains(got.Text, "127.0.0.1") {
		t.Errorf("the mail does not say from where:\n%s", got.Text)
	}
	v := newVisitor(t, "")
	v.signInLocal(g, "ada", tablet)
	noSecrets(t, g, tablet.secret, sent[1])

	// Where none is asked for the last one may go too, and its codes with it.
	restart(t, g, localOnly(servers.StartApp(t).URL, "mfa: {enforce: off}"))
	remove(all[1]).wants(t, http.StatusSeeOther)
	desk.account(g, "").says(t, http.StatusOK, "whoever learns your password can sign in as you")
	desk.change(g, "/recovery").says(t, http.StatusConflict, "you have none")
	if got := showAccount(t, g, "ada").Factors; len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}

// TestRecoveryCodesOfOnesOwn: new codes are shown once, and with them the old
// ones are worth nothing: somebody may have found the paper.
func TestRecoveryCodesOfOnesOwn(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	g := mailing(t, s, "")
	g.Start(t)
	addUser(t, g, "ada", "--email", "ada@corp.example")
	desk := newVisitor(t, "")
	desk.challenged(g, "ada", "/")
	old := paperCodes(desk.look(g.URL + "/oauth2/mfa"))
	desk.code(g, desk.offered(g).code(t)).wants(t, http.StatusSeeOther)

	page := desk.change(g, "/recovery").shows(t, http.StatusOK, "Your recovery codes")
	fresh := paperCodes(page)
	if len(old) != 10 || len(fresh) != 10 || page.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d codes were shown, and %d, to be stored %q", len(old), len(fresh), page.Header.Get("Cache-Control"))
	}
	desk.account(g, "/recovery").wants(t, http.StatusMethodNotAllowed) // there is no way to see them again
	if text := desk.account(g, "").says(t, http.StatusOK, "You have 10 left of ten", "New recovery codes made").Text; strings.Contains(text, fresh[0]) {
		t.Error("the account page shows them again")
	}
	mailAbout(t, s, "ecovery codes")

	use := func(code string) reply {
		v := newVisitor(t, "")
		v.challenged(g, "ada", "/")
		v.post(g.URL+"/oauth2/mfa", url.Values{"challenge": {"recovery_code"}}).wants(t, http.StatusSeeOther)
		return v.post(g.URL+"/oauth2/mfa", url.Values{"method": {"recovery_code"}, "code": {code}})
	}
	use(old[0]).wants(t, http.StatusUnauthorized)
	use(fresh[0]).wants(t, http.StatusSeeOther).leads(t, "/")
	use(fresh[0]).wants(t, http.StatusUnauthorized)
	desk.account(g, "").says(t, http.StatusOK, "You have 9 left of ten", "Recovery code used")
	noSecrets(t, g, append(old, fresh...)...)
}
