package test

import (
	"net/http"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestLocalAccountsOnReplicas: what is counted and used up for an account is
// so on every replica. Attack: take turns between the replicas, to get as many
// guesses from each, or a second sign-in out of one code.
func TestLocalAccountsOnReplicas(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	text := localOnly(application.URL, redisStore(servers.Redis(t, servers.RedisOptions{}), "local:"))
	one, two := servers.StartGateway(t, binary, text), servers.StartGateway(t, binary, text)

	// A code that passed at one replica is used up at the other, where the same
	// person's second sign-in waits for it.
	addUser(t, one, "ada")
	app := newVisitor(t, "").enrol(one, "ada")
	first, second := newVisitor(t, ""), newVisitor(t, "")
	first.challenged(one, "ada", "/")
	second.challenged(two, "ada", "/")
	code := app.code(t)
	first.code(one, code).wants(t, http.StatusSeeOther)
	second.code(two, code).wants(t, http.StatusUnauthorized)
	second.signedOut(one)
	first.signedIn(two)
	// Half a sign-in may go on at the other replica, and only there is it one.
	second.look(one.URL+"/oauth2/mfa").wants(t, http.StatusOK)

	// A sign-out here is one there.
	first.signOutLocal(two)
	first.signedOut(one)

	// Guesses at both count together.
	addUser(t, one, "eve")
	judged := 0
	for ; judged < 20; judged++ {
		at := []*servers.Gateway{one, two}[judged%2]
		if newVisitor(t, "").password(at, "eve", "not the password").StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	if judged < 3 || judged > 8 {
		t.Errorf("%d guesses are judged on two replicas", judged)
	}
	newVisitor(t, "").password(one, "eve", goodPassword).wants(t, http.StatusTooManyRequests)
	newVisitor(t, "").password(two, "eve", goodPassword).wants(t, http.StatusTooManyRequests)
}

// TestNoLocalSignIn: where local sign-in is off, a right password is worth
// nothing, and there is no form for one.
func TestNoLocalSignIn(t *testing.T) {
	t.Parallel()
	application, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{
		connectionText("acme", idp.URL()), connectionText("other", idp.URL()),
	}))
	addUser(t, g, "ada")
	v := newVisitor(t, "")
	if page := v.look(g.URL+"/oauth2/sign_in").wants(t, http.StatusOK); formOfPassword.MatchString(page.Text) {
		t.Errorf("there is a form for a password:\n%s", page.Text)
	}
	v.password(g, "ada", goodPassword).wants(t, http.StatusUnauthorized)
	v.look(g.URL+"/oauth2/mfa").wants(t, http.StatusFound)
	v.signedOut(g)
}
