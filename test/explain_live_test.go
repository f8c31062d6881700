package test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// explained is what gatehouse explain --json says, as far as the stories look.
type explained struct {
	Admitted   bool   `json:"admitted"`
	Verdict    string `json:"verdict"`
	Reason     string `json:"reason"`
	Candidates []struct {
		By, Asked, Result, Why string
		Account                *struct{ ID, Username string }
	} `json:"candidates"`
	Confirmation *struct {
		Username     string
		Password     bool
		SecondFactor bool `json:"second_factor"`
	} `json:"confirmation"`
	Account *struct{ ID, Username string } `json:"account"`
	Groups  []string                       `json:"groups"`
	Changes []struct {
		Name, What, Why string
		Before, After   *accountDetail
	} `json:"attribute_changes"`
	Headers []struct{ Name, Value string } `json:"headers"`
}

// explainLive explains claims among the accounts of a gateway.
func explainLive(t testing.TB, g *servers.Gateway, connection string, claims map[string]any) (explained, int) {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	r := g.Run(t, string(text), "explain", "--live", "--connection", connection, "--claims", "-", "--json", "--config", g.Config)
	var e explained
	if r.Stdout == "" {
		t.Fatalf("explain ended with %d:\n%s", r.Code, r.Stderr)
	}
	decode(t, r.Stdout, &e)
	return e, r.Code
}

// TestExplainTellsTheFuture: what explain says of somebody is what becomes of
// them a moment later: their account, and every header that the application
// receives. Before that nothing has become of them.
func TestExplainTellsTheFuture(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"embedded", "redis"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			app, idp := servers.StartApp(t), badidp.Start(t)
			more := []string{"local: {enabled: true}"}
			dirty := func() string { return "" }
			if place == "redis" {
				redis := servers.Redis(t, servers.RedisOptions{})
				more = append(more, redisStore(redis, "explain:"))
				client := redis.Client(t)
				dirty = func() string {
					info, err := client.Info(t.Context(), "persistence").Result()
					if err != nil {
						t.Fatal(err)
					}
					_, after, _ := strings.Cut(info, "rdb_changes_since_last_save:")
					count, _, _ := strings.Cut(after, "\r")
					return count
				}
			}
			g := servers.StartGateway(t, binary, configText(app.URL, []string{
				connectionText("acme", idp.URL(), "groups_allowed: [staff, ops]", "attributes: {department: department, risk: {from: risk, mode: session_only}}"),
				connectionText("careful", idp.URL(), "attributes: {department: {from: department, mode: preserve}}", "jit: {attribute_sync: preserve_local, link_existing: always}"),
				connectionText("guests", idp.URL(), "jit: {enabled: false}", "attributes: {department: department}"),
			}, more...))
			run(t, g, "user", "add", "ada", "--email", "ada@corp.example", "--group", "founders", "--attr", "department=engines")

			ann := map[string]any{
				"sub": "a-1", "preferred_username": "ann", "name": "Änn, A.", "email": "ann@corp.example", "email_verified": true,
				"groups": []string{"staff", "admins"}, "department": []string{"R,D", "Köln"}, "risk": "low",
			}
			with := func(claims map[string]any, changes map[string]any) map[string]any {
				changed := maps.Clone(claims)
				maps.Copy(changed, changes)
				return changed
			}
			for _, step := range []struct {
				name, connection string
				claims           map[string]any
				verdict          string
			}{
				{"first", "acme", ann, "created"},
				{"again", "acme", ann, "unchanged"},
				{"moved", "acme", with(ann, map[string]any{"groups": []string{"ops"}, "department": "sales", "risk": "high"}), "updated"},
				{"the same person elsewhere", "careful", with(ann, map[string]any{"sub": "elsewhere", "department": "other"}), "linked"},
				{"known to an administrator", "careful", with(ann, map[string]any{"sub": "c-1", "email": "ada@corp.example", "department": "x"}), "linked"},
				{"a taken username", "acme", with(ann, map[string]any{"sub": "a-2", "email": "second@corp.example"}), "created"},
				{"an address that is not verified", "acme", with(ann, map[string]any{"sub": "a-3", "email": "ada@corp.example", "email_verified": false}), "created"},
				{"without an account", "guests", ann, "pass_through"},
			} {
				people, written := accounts(t, g), dirty()
				e, code := explainLive(t, g, step.connection, step.claims)
				if code != 0 || !e.Admitted || e.Verdict != step.verdict {
					t.Errorf("%s: exit code %d, verdict %s, want %s", step.name, code, e.Verdict, step.verdict)
				}
				if diff := cmp.Diff(people, accounts(t, g)); diff != "" || dirty() != written {
					t.Errorf("%s: to explain has changed something (%s to %s writes)\n%s", step.name, written, dirty(), diff)
				}
				idp.SetClaims(step.claims)
				v := newVisitor(t, "")
				v.start(g, step.connection, "/app").wants(t, http.StatusOK)
				received, foretold := map[string]string{}, map[string]string{}
				for name, values := range app.Last(t).Header {
					if strings.HasPrefix(name, "X-Forwarded-") && !strings.HasSuffix(name, "-For") && !strings.HasSuffix(name, "-Host") && !strings.HasSuffix(name, "-Proto") {
						received[name] = strings.Join(values, " AND ")
					}
				}
				for _, h := range e.Headers {
					foretold[h.Name] = h.Value
				}
				if diff := cmp.Diff(received, foretold); diff != "" {
					t.Errorf("%s: headers (-received +foretold):\n%s", step.name, diff)
				}
				if e.Account == nil {
					if step.verdict != "pass_through" {
						t.Errorf("%s: no account", step.name)
					}
					continue
				}
				became := showAccount(t, g, e.Account.Username)
				if e.Account.ID != "" && e.Account.ID != became.ID {
					t.Errorf("%s: became %+v, foretold %+v", step.name, became, e.Account)
				}
				for _, c := range e.Changes {
					now, has := became.Attributes[c.Name]
					if c.Name != "email" && (has != (c.After != nil) || has && (!cmp.Equal(now.Values, c.After.Values) || now.Source != c.After.Source)) {
						t.Errorf("%s: %s became %+v, foretold %+v", step.name, c.Name, now, c.After)
					}
				}
			}

			// Who would not come in, or not yet.
			for _, step := range []struct {
				name, verdict, reason string
				code                  int
				do                    func()
				claims                map[string]any
			}{
				{"disabled", "denied", "account_disabled", 1, func() { run(t, g, "user", "disable", "ann") }, ann},
				{"to confirm", "confirm", "", 3, func() {
					addUser(t, g, "boss")
					run(t, g, "user", "set", "boss", "--email", "boss@corp.example", "--groups", "admins")
				}, with(ann, map[string]any{"sub": "b-1", "email": "boss@corp.example"})},
				{"no subject", "denied", "invalid_answer", 1, func() {}, map[string]any{"email": "x@corp.example"}},
				{"groups kept elsewhere", "denied", "groups_withheld", 1, func() {}, map[string]any{"sub": "w", "_claim_names": map[string]any{"groups": "src1"}}},
			} {
				step.do()
				written := dirty()
				e, code := explainLive(t, g, "acme", step.claims)
				if code != step.code || e.Verdict != step.verdict || e.Reason != step.reason || e.Admitted || dirty() != written {
					t.Errorf("%s: exit code %d, %+v, %s to %s writes", step.name, code, e, written, dirty())
				}
				if step.verdict == "confirm" && (e.Confirmation == nil || e.Confirmation.Username != "boss" || !e.Confirmation.Password || len(e.Headers) == 0) {
					t.Errorf("%s: %+v", step.name, e)
				}
			}
			// The same without a server.
			there, _ := explainLive(t, g, "acme", with(ann, map[string]any{"sub": "b-1", "email": "boss@corp.example"}))
			g.Stop()
			written := dirty()
			if here, _ := explainLive(t, g, "acme", with(ann, map[string]any{"sub": "b-1", "email": "boss@corp.example"})); !cmp.Equal(here, there, timesMayDiffer()) || dirty() != written {
				t.Errorf("without a server (-there +here):\n%s", cmp.Diff(there, here))
			}
		})
	}
}

// timesMayDiffer compares attributes but for when they would be written.
func timesMayDiffer() cmp.Option {
	return cmp.Comparer(func(a, b accountDetail) bool { return cmp.Equal(a.Values, b.Values) && a.Source == b.Source })
}
