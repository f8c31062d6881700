package test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// history is what gatehouse user history --json says.
type history struct {
	Account   string         `json:"account"`
	Entries   []historyEntry `json:"entries"`
	Truncated bool           `json:"truncated"`
}

type historyEntry struct {
	Decision string `json:"decision"`
	Time     string `json:"time"`
	Event    string `json:"event"`
	Why      string `json:"why"`
	Actor    struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"actor"`
	Changes []struct {
		Field string        `json:"field"`
		Name  string        `json:"name"`
		Old   *historyValue `json:"old"`
		New   *historyValue `json:"new"`
		Added *historyValue `json:"added"`
	} `json:"changes"`
}

type historyValue struct {
	Values []string `json:"values"`
	Source string   `json:"source"`
}

func historyOf(t testing.TB, g *servers.Gateway, who string) history {
	t.Helper()
	var h history
	decode(t, run(t, g, "user", "history", who, "--json"), &h)
	return h
}

// story is the events of a history, each with who did it.
func (h history) story() string {
	var words []string
	for _, e := range h.Entries {
		words = append(words, strings.TrimSpace(e.Event+" "+e.Actor.Kind+" "+e.Actor.Name))
	}
	return strings.Join(words, "; ")
}

var decisionLine = regexp.MustCompile(`(?m)^Decision (\S+)\.$`)

// TestHistory: what people and administrators did to an account can be looked
// up, under the ids that the log and the commands gave, on the embedded store
// with and without a server, and on Redis.
func TestHistory(t *testing.T) {
	t.Parallel()
	for _, place := range []struct{ name, store string }{{"embedded", ""}, {"redis", "redis"}} {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			application, idp := servers.StartApp(t), badidp.Start(t)
			more := []string{"local: {enabled: true}"}
			if place.store != "" {
				more = append(more, redisStore(servers.Redis(t, servers.RedisOptions{}), "history:"))
			}
			g := servers.StartGateway(t, binary, configText(application.URL,
				[]string{connectionText("acme", idp.URL(), "attributes: {department: department}")}, more...))
			claims := func(department string) map[string]any {
				return map[string]any{
					"sub": "subject-1", "email": "pat@people.example", "email_verified": true, "preferred_username": "pat", "department": department,
				}
			}
			idp.SetPersona("pat", claims("research"), nil)
			newVisitor(t, "pat").start(g, "acme", "/").wants(t, http.StatusOK)
			newVisitor(t, "pat").start(g, "acme", "/").wants(t, http.StatusOK) // nothing has changed
			idp.SetPersona("pat", claims("sales"), nil)
			newVisitor(t, "pat").start(g, "acme", "/").wants(t, http.StatusOK)

			me := strconv.Itoa(os.Geteuid())
			operator := "uid " + me
			if known, err := user.LookupId(me); err == nil {
				operator = known.Username
			}
			told := map[string]string{} // event -> decision that the command gave
			change := func(event, stdin string, args ...string) {
				t.Helper()
				r := g.Run(t, stdin, append([]string{"user", args[0], "pat", "--config", g.Config}, args[1:]...)...)
				found := decisionLine.FindStringSubmatch(r.Stderr)
				if r.Code != 0 || (found == nil) != (event == "") {
					t.Fatalf("gatehouse user %v ended with %d, decision %q:\n%s", args, r.Code, found, r.Stderr)
				}
				if event != "" {
					told[event] = found[1]
				}
			}
			change("changed", "", "set", "--groups", "ops")
			change("", "", "set", "--groups", "ops") // nothing has changed
			change("disabled", "", "disable")
			change("enabled", "", "enable")
			change("password_set", goodPassword+"\n", "set-password", "--password-stdin")
			change("second_factors_reset", "", "reset-mfa")

			// The first sign-in with the password owes a factor: pat enrols it.
			pat := newVisitor(t, "")
			pat.password(g, "pat", goodPassword).wants(t, http.StatusSeeOther)
			app := pat.offered(g)
			pat.code(g, app.code(t)).wants(t, http.StatusSeeOther)
			pat.signedIn(g)

			by := " administrator " + operator
			want := strings.Join([]string{
				"created connection acme", "changed connection acme", "changed" + by, "disabled" + by, "enabled" + by,
				"password_set" + by, "second_factors_reset" + by, "second_factor_enrolled person",
			}, "; ")
			h := historyOf(t, g, "pat")
			if h.story() != want || h.Truncated || h.Account != showAccount(t, g, "pat").ID {
				t.Fatalf("history of %s (truncated: %v):\n%s\nwant:\n%s", h.Account, h.Truncated, h.story(), want)
			}
			for _, e := range h.Entries[2:7] {
				if told[e.Event] != e.Decision {
					t.Errorf("%s: the command said %q, the history %q", e.Event, told[e.Event], e.Decision)
				}
			}
			sales := h.Entries[1].Changes
			if len(sales) != 1 || sales[0].Name != "department" || sales[0].Old.Values[0] != "research" || sales[0].New.Values[0] != "sales" || sales[0].New.Source != "acme" {
				t.Errorf("the change of department: %+v", sales)
			}
			if ops := h.Entries[2].Changes; len(ops) != 1 || ops[0].Added == nil || !slices.Equal(ops[0].Added.Values, []string{"ops"}) {
				t.Errorf("the change of groups: %+v", ops)
			}
			for _, e := range h.Entries[:2] {
				servers.WaitFor(t, "the decision in the log", func(context.Context) bool {
					return strings.Contains(g.Output(), `"decision_id":"`+e.Decision+`"`)
				})
			}
			if place.store == "" {
				// The socket's peer is who did it, in the server's own log too.
				servers.WaitFor(t, "the administrator in the log", func(context.Context) bool {
					return strings.Contains(g.Output(), `"administrator":"`+operator+`","decision_id":"`+told["disabled"]+`"`)
				})
			}
			text := run(t, g, "user", "history", "pat")
			for _, line := range []string{
				"department: research (from acme) -> sales (from acme)", "groups from local: added ops", "disabled by administrator " + operator,
				"status: active -> disabled", "password set by administrator " + operator, "second factor enrolled by the person: totp", "[" + told["disabled"] + "]",
			} {
				if !strings.Contains(text, line) || json.Valid([]byte(text)) {
					t.Errorf("for people, the history does not say %q:\n%s", line, text)
				}
			}
			secrets := run(t, g, "user", "history", "pat", "--json") + text + g.Output()
			for _, secret := range []string{goodPassword, app.secret, "argon2"} {
				if strings.Contains(secrets, secret) {
					t.Errorf("history or log has a secret: %q", secret)
				}
			}

			g.Stop()
			if again := historyOf(t, g, "pat@people.example"); again.story() != want {
				t.Errorf("without a server: %s", again.story())
			}
			if r := g.Run(t, "", "user", "history", "ghost", "--config", g.Config); r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, `no account "ghost"`) {
				t.Errorf("history of nobody: %d, %q, %q", r.Code, r.Stdout, r.Stderr)
			}
			if r := g.Run(t, "", "user", "history", "--config", g.Config); r.Code != 2 {
				t.Errorf("history without a name: exit code %d", r.Code)
			}
			run(t, g, "user", "delete", "pat")
			if r := g.Run(t, "", "user", "history", h.Account, "--config", g.Config); r.Code != 1 {
				t.Errorf("history of a deleted account: %d, %q", r.Code, r.Stdout)
			}
		})
	}
}
