package test

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// TestWrongPassword: who does not get in learns nothing of why, nor of who
// has an account. Attack: try a list of names and look at the answers.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "known")
	addUser(t, g, "close")
	run(t, g, "user", "disable", "close")
	run(t, g, "user", "add", "empty") // without a password
	addUser(t, g, "asked")
	newVisitor(t, "").enrol(g, "asked")

	// What the answers to two names of one length have in common.
	type answer struct {
		Status  int
		Headers http.Header
		Page    string
	}
	ask := func(name, password string) answer {
		r := newVisitor(t, "").password(g, name, password)
		headers := r.Header.Clone()
		for _, differs := range []string{"X-Request-Id", "Date"} {
			headers.Del(differs)
		}
		page := requestID.ReplaceAllString(r.Text, "")
		return answer{r.StatusCode, headers, strings.ReplaceAll(page, `value="`+name+`"`, "")}
	}
	want := ask("ghost", "not the password")
	if want.Status != http.StatusUnauthorized || !strings.Contains(want.Page, "The username or the password is not right.") {
		t.Fatalf("an unknown name gets %+v", want)
	}
	for _, c := range []struct{ name, password string }{
		{"known", "not the password"},
		{"asked", "not the password"},
		{"close", "not the password"},
		{"close", goodPassword},
		{"empty", "not the password"},
		{"ghost", goodPassword},
		{"known", strings.Repeat("x", 5000)}, // must not reach the hash
		{"known", ""},
	} {
		if diff := cmp.Diff(want, ask(c.name, c.password)); diff != "" {
			t.Errorf("%s with %.20q is told apart (-unknown +%s):\n%s", c.name, c.password, c.name, diff)
		}
	}
	// Attack: tell who has an account by the clock. A name that is unknown costs
	// the same work; without it the answer would come a hundred times as fast.
	addUser(t, g, "clock")
	quickest := func(name string) time.Duration {
		best := time.Hour
		for range 4 {
			began := time.Now()
			ask(name, "not the password")
			best = min(best, time.Since(began))
		}
		return best
	}
	if known, unknown := quickest("clock"), quickest("tower"); unknown < known/4 {
		t.Errorf("an unknown name is answered in %s, a known one in %s", unknown, known)
	}
	// The query is no place for a password: it ends up in logs.
	query := url.Values{"username": {"known"}, "password": {goodPassword}}.Encode()
	newVisitor(t, "").post(g.URL+"/oauth2/sign_in?"+query, url.Values{}).wants(t, http.StatusUnauthorized)
	newVisitor(t, "").post(g.URL+"/oauth2/sign_in", url.Values{"username": {"ghost", "known"}, "password": {goodPassword}}).wants(t, http.StatusBadRequest)
	noSecrets(t, g, "not the password", goodPassword)
}

// shutOut tries wrong passwords until attempts are no longer judged, under
// each of the names in turn, and returns how many were.
func shutOut(t *testing.T, g *servers.Gateway, names ...string) int {
	t.Helper()
	const enough = 20
	for judged := range enough {
		r := newVisitor(t, "").password(g, names[judged%len(names)], "not the password")
		if r.StatusCode == http.StatusUnauthorized {
			continue
		}
		r.wants(t, http.StatusTooManyRequests)
		if wait, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 900 {
			t.Errorf("Retry-After: %q", r.Header.Get("Retry-After"))
		}
		if !strings.Contains(r.Text, "too many attempts") || !strings.Contains(r.Text, "Try again in") {
			t.Errorf("the page does not say what to do:\n%s", r.Text)
		}
		return judged
	}
	t.Fatalf("%d attempts at %v were all judged", enough, names)
	return 0
}

// TestTooManyAttempts: passwords are guessed slowly, counted in the store,
// for all spellings of one account, and for names of nobody alike. The owner
// is not locked out of a browser on which the account was used before.
func TestTooManyAttempts(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "ada", "--email", "ada@corp.example")
	owner := newVisitor(t, "")
	app := owner.enrol(g, "ada")
	owner.signOutLocal(g)

	if judged := shutOut(t, g, "ada", "ADA", "ada@corp.example", " Ada@Corp.Example"); judged < 3 {
		t.Errorf("only %d slips of the finger are allowed", judged)
	}
	// A guess that is right while one has to wait is not told from a wrong one.
	r := newVisitor(t, "").password(g, "ada", goodPassword).wants(t, http.StatusTooManyRequests)
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// Attack: keep somebody out by guessing at their account all day.
	owner.challenged(g, "ada", "/")
	owner.code(g, app.code(t)).wants(t, http.StatusSeeOther)
	owner.signedIn(g)
	// Nor from what is judged on their own page.
	owner.change(g, "/factors/add", "kind", "totp").wants(t, http.StatusSeeOther)
	tablet := owner.shownKey(owner.account(g, "/factors/confirm?kind=totp"))
	shutOut(t, g, "ada")
	owner.change(g, "/factors/confirm", "kind", "totp", "code", tablet.code(t)).wants(t, http.StatusSeeOther)

	// Attack: tell accounts from air by which of them are limited.
	if judged := shutOut(t, g, "ghost", "GHOST"); judged < 3 {
		t.Errorf("only %d attempts at nobody are judged", judged)
	}
	// Counted in the store: a new process knows of them.
	g.Stop()
	g.Start(t)
	stranger := newVisitor(t, "")
	if r := stranger.password(g, "ada", "not the password"); r.StatusCode == http.StatusUnauthorized {
		// It took longer than the wait to come back; the next waits longer.
		stranger.password(g, "ada", "not the password").wants(t, http.StatusTooManyRequests)
	}
	// Nor for ever: who waits and is right comes in.
	servers.WaitFor(t, "the right password to pass again", func(context.Context) bool {
		return stranger.password(g, "ada", goodPassword).StatusCode == http.StatusSeeOther
	})
}

// TestAttemptsDoNotTellWhose: attempts are limited per account, and who makes
// them is told only of those under the login that was typed. Attack: too many
// wrong passwords for a name, then one for each address that it may have; "too
// many" would say whose address it is, also of people who never had a password.
func TestAttemptsDoNotTellWhose(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "ada", "--email", "ada@corp.example")
	run(t, g, "user", "add", "bare", "--email", "bare@corp.example") // without a password
	owner := newVisitor(t, "")
	app := owner.enrol(g, "ada")
	owner.signOutLocal(g)
	for _, name := range []string{"ada", "bare", "ghost"} {
		alone := shutOut(t, g, name)
		for range alone {
			newVisitor(t, "").password(g, name+"@corp.example", "not the password").wants(t, http.StatusUnauthorized)
		}
		newVisitor(t, "").password(g, name+"@corp.example", goodPassword).wants(t, http.StatusTooManyRequests)
	}
	// The owner comes in on a known device, under either login.
	owner.challenged(g, "ada@corp.example", "/")
	owner.code(g, app.code(t)).wants(t, http.StatusSeeOther)
	owner.signedIn(g)
}

// TestTooManyCodes: codes are guessed as slowly as passwords, and with them.
// Attack: the password is known; a million codes are not many.
func TestTooManyCodes(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "ada")
	app := newVisitor(t, "").enrol(g, "ada")

	thief := newVisitor(t, "")
	thief.challenged(g, "ada", "/")
	wrong, judged := app.wrongCode(t), 0
	for ; judged < 20; judged++ {
		r := thief.code(g, wrong)
		if r.StatusCode == http.StatusTooManyRequests {
			if r.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			break
		}
		r.wants(t, http.StatusUnauthorized)
	}
	if judged == 20 {
		t.Fatal("20 wrong codes were all judged")
	}
	thief.code(g, app.at(t, app.last+1)).wants(t, http.StatusTooManyRequests)
	// The password again, in a new browser, does not wipe the slate. It is not
	// even told to be right: nobody made attempts under this login.
	newVisitor(t, "").password(g, "ada", goodPassword).wants(t, http.StatusUnauthorized)
	thief.signedOut(g)
}
