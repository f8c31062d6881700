package test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// enrolWithPaper is enrol of somebody who keeps the recovery codes that the page
// shows.
func (v *visitor) enrolWithPaper(g *servers.Gateway, name string) (*authenticator, []string) {
	v.t.Helper()
	v.challenged(g, name, "/")
	app := v.offered(g)
	codes := paperCodes(v.step(g))
	if len(codes) != 10 {
		v.t.Fatalf("%d recovery codes are shown", len(codes))
	}
	v.code(g, app.code(v.t)).wants(v.t, http.StatusSeeOther)
	v.signedIn(g)
	return app, codes
}

// signInByPaper signs an account in that has lost everything but a recovery code.
func (v *visitor) signInByPaper(g *servers.Gateway, name, code string) {
	v.t.Helper()
	v.challenged(g, name, "/")
	v.answers(g, "recovery_code", code).wants(v.t, http.StatusSeeOther)
	v.signedIn(g)
}

// TestRecoveryCodes: whoever enrols is shown ten codes, once, each of which
// stands in for a lost phone once; in time they are told that few are left.
func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "ada")

	// A code counts once the enrolment is done, and not before.
	v := newVisitor(t, "")
	v.challenged(g, "ada", "/")
	app := v.offered(g)
	shown := paperCodes(v.step(g))
	if again := paperCodes(v.step(g)); len(shown) != 10 || !cmp.Equal(shown, again) {
		t.Fatalf("codes %q, and after the page was loaded again %q", shown, again)
	}
	v.answers(g, "recovery_code", shown[0]).wants(t, http.StatusBadRequest)
	v.signedOut(g)
	v.code(g, app.code(t)).wants(t, http.StatusSeeOther)
	if left := authenticatorsOf(t, g, "ada").left(); left != 10 {
		t.Errorf("%d codes are left at first", left)
	}
	overview := func() string { return v.look(g.URL+"/oauth2/account").wants(t, http.StatusOK).Text }
	if page := overview(); !strings.Contains(page, "You have 10 left of ten") || strings.Contains(page, "Only a few are left") || strings.Contains(page, shown[0]) {
		t.Errorf("the account page of who has ten codes:\n%s", page)
	}

	// Another way, beside the app, which comes first.
	lost := newVisitor(t, "")
	lost.challenged(g, "ada", "/")
	if page := lost.step(g).shows(t, http.StatusOK, "Enter your code"); !strings.Contains(page.Text, `name="challenge" value="recovery_code"`) || paperCodes(page) != nil {
		t.Errorf("not a challenge with another way:\n%s", page.Text)
	}
	lost.takes(g, "challenge", "recovery_code").wants(t, http.StatusSeeOther)
	lost.step(g).shows(t, http.StatusOK, "Enter a recovery code")
	lost.answers(g, "recovery_code", "0000-0000-0000").wants(t, http.StatusUnauthorized)
	typed := strings.ToUpper(strings.ReplaceAll(shown[0], "-", " ")) // as people type
	lost.answers(g, "recovery_code", typed).wants(t, http.StatusSeeOther)
	if got := lost.signedIn(g)["user"]; got != "ada" {
		t.Errorf("%v is signed in", got)
	}

	// Attack: look over a shoulder, and use the code again.
	thief := newVisitor(t, "")
	thief.challenged(g, "ada", "/")
	thief.answers(g, "recovery_code", shown[0]).wants(t, http.StatusUnauthorized)
	thief.signedOut(g)
	for _, code := range shown[1:7] {
		newVisitor(t, "").signInByPaper(g, "ada", code)
	}
	if left := authenticatorsOf(t, g, "ada").left(); left != 3 {
		t.Errorf("%d codes are left", left)
	}
	if page := overview(); !strings.Contains(page, "Only a few are left") {
		t.Errorf("the account page does not warn:\n%s", page)
	}
	if history := run(t, g, "user", "history", "ada"); !strings.Contains(history, "3 left") {
		t.Errorf("history:\n%s", history)
	}
	noSecrets(t, g, append(shown, typed)...)
}

// TestOneRecoveryCodeInParallel: however often a recovery code is sent at once,
// from however many sign-ins and to whichever replica, it passes once.
func TestOneRecoveryCodeInParallel(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	text := localOnly(application.URL, redisStore(servers.Redis(t, servers.RedisOptions{}), "paper:"))
	replicas := []*servers.Gateway{servers.StartGateway(t, binary, text), servers.StartGateway(t, binary, text)}
	addUser(t, replicas[0], "ada")
	_, codes := newVisitor(t, "").enrolWithPaper(replicas[0], "ada")

	const browsers, sends = 5, 10 // sends from each
	var visitors []*visitor
	for i := range browsers {
		v := newVisitor(t, "")
		v.challenged(replicas[i%2], "ada", "/")
		visitors = append(visitors, v)
	}
	if passed := atOnce(t, visitors, sends, "recovery_code", codes[0], replicas...); passed != 1 {
		t.Errorf("one code passed %d times", passed)
	}
	if left := authenticatorsOf(t, replicas[1], "ada").left(); left != 9 {
		t.Errorf("%d codes are left", left)
	}
	if n := len(sessionsOf(t, replicas[0], "ada")); n != 2 { // of the enrolment, and this one
		t.Errorf("%d sessions", n)
	}
}
