package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/test/servers"
)

// TestPasswordSpray: attempts are limited for the address that they come from,
// too. Attack: one usual password at every name of a company, once each, so that
// no account has seen more than one guess.
func TestPasswordSpray(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, strings.Replace(localOnly(application.URL), "server: {", `server: {trusted_proxies: ["127.0.0.0/8"], `, 1))
	addUser(t, g, "ada")
	const here, elsewhere = "203.0.113.9", "203.0.113.10"
	owner := newVisitor(t, "")
	app := owner.enrol(g, "ada")
	owner.signOutLocal(g)

	var judged, refused atomic.Int64
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			v := newVisitor(t, "")
			for i := range 20 {
				r := v.password(g, fmt.Sprintf("person-%d-%d", worker, i), "Winter2026!", "X-Forwarded-For", here)
				switch r.StatusCode {
				case http.StatusUnauthorized:
					judged.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
					if r.Header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				default:
					t.Errorf("status %d", r.StatusCode)
				}
			}
		})
	}
	wg.Wait()
	// While they go on, a wait may end and one more be judged.
	if judged.Load() < 90 || judged.Load() > 115 || refused.Load() == 0 {
		t.Errorf("of 160 attempts %d were judged and %d refused", judged.Load(), refused.Load())
	}
	newVisitor(t, "").password(g, "someone", "Winter2026!", "X-Forwarded-For", elsewhere).wants(t, http.StatusUnauthorized)
	newVisitor(t, "").password(g, "ada", goodPassword, "X-Forwarded-For", elsewhere).wants(t, http.StatusSeeOther)
	// Whoever shares the address and has been here before comes in.
	owner.password(g, "ada", goodPassword, "X-Forwarded-For", here).wants(t, http.StatusSeeOther)
	owner.code(g, app.code(t), "X-Forwarded-For", here).wants(t, http.StatusSeeOther)
	owner.signedIn(g)
}

// TestUnlock: an administrator lets somebody who mistyped try again at once.
func TestUnlock(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "ada")
	shutOut(t, g, "ada")
	newVisitor(t, "").password(g, "ada", goodPassword).wants(t, http.StatusTooManyRequests)
	run(t, g, "user", "unlock", "ada")
	newVisitor(t, "").password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	if history := run(t, g, "user", "history", "ada"); !strings.Contains(history, "attempts forgotten by administrator") {
		t.Errorf("history:\n%s", history)
	}
	if r := g.Run(t, "", "user", "unlock", "ghost", "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stderr, "no account") {
		t.Errorf("of nobody: %d %s", r.Code, r.Stderr)
	}
}
