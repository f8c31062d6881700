package test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestRenamed: an administrator renames the account of somebody who is there.
// Their open session has the new name, on every replica, and the person who
// comes next under the former one is not taken for them.
func TestRenamed(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	idp.SetPersona("ann", person("ann", nil), nil)
	idp.SetPersona("other", person("other", map[string]any{"preferred_username": "ann"}), nil)
	text := configText(app.URL, []string{connectionText("acme", idp.URL())}, redisStore(servers.Redis(t, servers.RedisOptions{}), "gatehouse:"))
	text = strings.Replace(text, "routes:\n", "routes:\n  - {path: /hers/, upstream: \""+app.URL+"\", access: {users: [ann.miller]}}\n", 1)
	here, there := startPair(t, text)
	ann := comes(t, here, "ann", "acme")
	for _, g := range []*servers.Gateway{here, there} {
		ann.look(g.URL+"/hers/").wants(t, http.StatusForbidden)
	}

	// The command speaks to the running server, over its socket.
	run(t, here, "user", "set", "ann", "--username", "ann.miller")
	ann.look(here.URL+"/hers/").wants(t, http.StatusOK)
	if got := app.Last(t).Header.Get("X-Forwarded-User"); got != "ann.miller" {
		t.Errorf("the application sees %q", got)
	}
	servers.WaitFor(t, "the other replica to know", func(context.Context) bool {
		return ann.look(there.URL+"/hers/").StatusCode == http.StatusOK
	})

	other := comes(t, there, "other", "acme")
	if user := other.signedIn(there)["user"]; user == "ann" || user == "ann.miller" {
		t.Errorf("another person is %q", user)
	}
	if r := here.Run(t, "", "user", "add", "ann", "--config", here.Config); r.Code != 1 || !strings.Contains(r.Stderr, "stays reserved") {
		t.Errorf("adding an account of the former name ended with %d: %s", r.Code, r.Stderr)
	}
	for _, want := range []string{"formerly", "ann.miller"} {
		if shown := run(t, here, "user", "show", "ann"); !strings.Contains(shown, want) {
			t.Errorf("shown without %q:\n%s", want, shown)
		}
	}
	if told := run(t, here, "user", "history", "ann.miller"); !strings.Contains(told, "ann -> ann.miller") {
		t.Errorf("history:\n%s", told)
	}
	run(t, here, "doctor")
}
