package test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// streamed is a gateway's config for an application with streams behind it.
func streamed(app *servers.StreamApp, connections []string, more ...string) string {
	return configText(app.URL, connections, append(more, "secrets: {keys: [\"0123456789abcdef0123456789abcdef0123456789a=\"]}")...)
}

// knownEverywhere waits until a session is nobody's at every replica. That takes
// a second at most; without a message it would take cache_ttl, which is 1m here.
func knownEverywhere(t *testing.T, v *visitor, replicas ...*servers.Gateway) {
	t.Helper()
	began := time.Now()
	for _, g := range replicas {
		servers.WaitFor(t, "the replica to know", func(context.Context) bool { return v.userinfo(g) == nil })
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s until every replica knew", took)
	}
}

// TestDisabledEverywhere: who is disabled by one command is out at every
// replica at once, in open streams too, and no road leads back in: the attack
// is a former employee whose identity provider still knows them.
func TestDisabledEverywhere(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartStreamApp(t, nil), badidp.Start(t)
	text := streamed(app, []string{connectionText("acme", idp.URL()), connectionText("partner", idp.URL())},
		"session: {cache_ttl: 1m}", redisStore(servers.Redis(t, servers.RedisOptions{}), "disable:"))
	here, there := servers.StartGateway(t, binary, text), servers.StartGateway(t, binary, text)
	idp.SetPersona("pat", person("pat", nil), nil)
	atHere, atThere := newVisitor(t, "pat"), newVisitor(t, "pat")
	atHere.start(here, "acme", "/ok").wants(t, http.StatusOK)
	atThere.start(there, "acme", "/ok").wants(t, http.StatusOK)
	id := showAccount(t, here, "pat").ID
	for _, g := range []*servers.Gateway{here, there} { // it is cached at both
		atHere.signedIn(g)
		atThere.signedIn(g)
	}
	atHere.openSocket(there, "/ws")
	atThere.openEvents(here, app, "/events")

	run(t, here, "user", "disable", "pat")
	knownEverywhere(t, atHere, here, there)
	knownEverywhere(t, atThere, here, there)
	ended(t, app, 2)
	if got := run(t, here, "session", "list", "--user", "pat", "--json"); strings.TrimSpace(got) != "[]" {
		t.Errorf("sessions are left: %s", got)
	}
	idp.SetPersona("eve", person("eve", map[string]any{"email": "pat@corp.example"}), nil)
	for persona, connection := range map[string]string{"pat": "acme", "eve": "acme"} {
		refused(t, there, persona, connection, "Your account is disabled")
	}
	refused(t, here, "pat", "partner", "Your account is disabled")
	// Another set of claims and an administrator's other changes enable nobody.
	idp.SetPersona("pat", person("pat", map[string]any{"groups": []any{"admins"}, "name": "Other"}), nil)
	run(t, there, "user", "set", "pat", "--groups", "admins")
	run(t, there, "doctor", "--repair")
	refused(t, there, "pat", "acme", "Your account is disabled")
	if got := showAccount(t, there, id); got.Status != "disabled" {
		t.Errorf("the account is %s", got.Status)
	}

	run(t, there, "user", "enable", "pat")
	atHere.signedOut(here) // the session of before does not come back
	atThere.signedOut(there)
	comes(t, here, "pat", "acme")
	if got := showAccount(t, here, "pat"); got.ID != id || got.Status != "active" {
		t.Errorf("enabled, it is %+v", got)
	}
}

// TestDeletedEverywhere: a deleted account's sessions end at every replica, and
// nothing of the person is left. Under a quarantine its names are nobody
// else's, and its own person may come back as somebody new.
func TestDeletedEverywhere(t *testing.T) {
	t.Parallel()
	for _, stored := range []string{"redis", "cluster"} {
		t.Run(stored, func(t *testing.T) {
			t.Parallel()
			app, idp := servers.StartStreamApp(t, nil), badidp.Start(t)
			store := ""
			if stored == "redis" {
				store = redisStore(servers.Redis(t, servers.RedisOptions{}), "delete:")
			} else {
				store = clusterStore(servers.RedisCluster(t))
			}
			text := streamed(app, []string{connectionText("acme", idp.URL()), connectionText("partner", idp.URL(), "jit: {link_existing: always}")},
				"session: {cache_ttl: 1m}", "jit_provisioning: {quarantine: 30d}", store)
			here, there := servers.StartGateway(t, binary, text), servers.StartGateway(t, binary, text)
			idp.SetPersona("pat", person("pat", nil), nil)
			idp.SetPersona("eve", person("eve", map[string]any{"email": "pat@corp.example", "preferred_username": "pat"}), nil)
			idp.SetPersona("lee", person("lee", map[string]any{"preferred_username": "pat"}), nil)
			pat := comesTo(t, there, "pat", "acme")
			pat.signedIn(here)
			pat.openSocket(there, "/ws")
			former := showAccount(t, here, "pat").ID

			r := here.Run(t, "", "user", "delete", "pat", "--config", here.Config)
			if r.Code != 0 || !strings.Contains(r.Stderr, "Until "+time.Now().AddDate(0, 0, 30).UTC().Format("2006-01-02")) {
				t.Fatalf("delete: %+v", r)
			}
			knownEverywhere(t, pat, here, there)
			ended(t, app, 1)
			if r := here.Run(t, "", "user", "show", former, "--config", here.Config); r.Code != 1 {
				t.Errorf("it is still there: %s", r.Stdout)
			}
			const barred = "This e-mail address cannot be used yet"
			refused(t, there, "eve", "acme", barred)
			refused(t, here, "eve", "partner", barred)
			refused(t, here, "pat", "partner", barred)
			lee := comesTo(t, here, "lee", "acme")
			if user := lee.signedIn(here)["user"]; user == "pat" || !strings.HasPrefix(user.(string), "acme-") {
				t.Errorf("somebody else has the username: %v", user)
			}
			if out := run(t, here, "doctor", "--json"); !strings.Contains(out, `"findings":[]`) {
				t.Errorf("the doctor minds a quarantine: %s", out)
			}

			again := comesTo(t, there, "pat", "acme")
			got := showAccount(t, here, "pat")
			if got.ID == former || got.Email != "pat@corp.example" || len(got.Links) != 1 {
				t.Errorf("who comes back is %+v, and was %s", got, former)
			}
			again.signedIn(here)
			pat.signedOut(here) // the session of before is not theirs
		})
	}
}

// comesTo is comes where the application answers only some paths.
func comesTo(t *testing.T, g *servers.Gateway, persona, connection string) *visitor {
	t.Helper()
	v := newVisitor(t, persona)
	v.start(g, connection, "/ok").wants(t, http.StatusOK)
	v.signedIn(g)
	return v
}

// TestUnlinkedAtOnce: a cut tie takes with it the sessions that came through it
// and the groups that it brought, and an administrator is told what that means.
func TestUnlinkedAtOnce(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	text := configText(app.URL, []string{connectionText("acme", idp.URL()), connectionText("partner", idp.URL())},
		"session: {cache_ttl: 1m}", redisStore(servers.Redis(t, servers.RedisOptions{}), "unlink:"))
	here, there := servers.StartGateway(t, binary, text), servers.StartGateway(t, binary, text)
	idp.SetPersona("pat", person("pat", map[string]any{"groups": []any{"editors"}}), nil)
	byAcme := comes(t, here, "pat", "acme")
	idp.SetPersona("pat", person("pat", map[string]any{"groups": []any{"staff"}}), nil)
	byPartner := comes(t, there, "pat", "partner")
	byAcme.signedIn(there)
	if got := byPartner.signedIn(here)["groups"]; len(got.([]any)) != 2 {
		t.Errorf("groups of both: %v", got)
	}
	r := here.Run(t, "", "user", "unlink", "pat", "--connection", "acme", "--subject", "pat-1", "--config", here.Config)
	if r.Code != 0 || strings.Contains(r.Stderr, "last way in") || !strings.Contains(r.Stderr, "can be linked to the account again") {
		t.Errorf("unlink: %+v", r)
	}
	knownEverywhere(t, byAcme, here, there)
	for _, g := range []*servers.Gateway{here, there} {
		if got := byPartner.signedIn(g)["groups"].([]any); len(got) != 1 || got[0] != "staff" {
			t.Errorf("groups after the tie was cut: %v", got)
		}
	}
	r = here.Run(t, "", "user", "unlink", "pat", "--connection", "partner", "--config", here.Config)
	if r.Code != 0 || !strings.Contains(r.Stderr, "last way in") {
		t.Errorf("unlink of the last: %+v", r)
	}
	knownEverywhere(t, byPartner, here, there)
	for _, args := range [][]string{{"--connection", "acme"}, {"--connection", "nobody"}, {"--connection", "partner", "--subject", ""}} {
		if r := here.Run(t, "", append([]string{"user", "unlink", "pat", "--config", here.Config}, args...)...); r.Code != 1 || !strings.Contains(r.Stderr, "no such link") {
			t.Errorf("unlink %v: %+v", args, r)
		}
	}
}

// TestExportTellsEverything: what is kept about a person, as they may ask for
// it, and no value of their cookies.
func TestExportTellsEverything(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}, "local: {enabled: true}"))
	addUser(t, g, "pat", "--email", "pat@corp.example")
	newVisitor(t, "").enrol(g, "pat")
	idp.SetPersona("lee", person("lee", nil), nil)
	lee := comes(t, g, "lee", "acme")
	type export struct {
		Username    string `json:"username"`
		HasPassword bool   `json:"has_password"`
		Factors     []struct {
			Kind  string    `json:"kind"`
			Since time.Time `json:"since"`
		} `json:"factors"`
		Sessions []struct {
			Connection string `json:"connection"`
			Subject    string `json:"subject"`
		} `json:"sessions"`
		KnownDevices []any `json:"known_devices"`
		History      []struct {
			Event string `json:"event"`
		} `json:"history"`
	}
	var pat export
	text := run(t, g, "user", "export", "pat")
	decode(t, text, &pat)
	if !pat.HasPassword || len(pat.Factors) != 2 || pat.Factors[0].Kind != "totp" || pat.Factors[0].Since.IsZero() || len(pat.Sessions) != 1 || len(pat.KnownDevices) != 1 {
		t.Errorf("export: %s", text)
	}
	all := run(t, g, "user", "export", "--all")
	if strings.Contains(all+text, lee.cookie(g.URL, sessionCookie)) || strings.Contains(all+text, "argon2") {
		t.Errorf("a secret is in %s", all)
	}
	seen := map[string]export{}
	for line := range strings.SplitSeq(strings.TrimSpace(all), "\n") {
		var e export
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		seen[e.Username] = e
	}
	if got := seen["lee"]; len(seen) != 2 || len(got.Sessions) != 1 || got.Sessions[0].Subject != "lee-1" || len(got.History) == 0 || got.HasPassword {
		t.Errorf("all: %s", all)
	}
	if r := g.Run(t, "", "user", "export", "--config", g.Config); r.Code != 2 {
		t.Errorf("export of nobody: %+v", r)
	}
	if r := g.Run(t, "", "user", "inactive", "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stderr, "no rule") {
		t.Errorf("inactive without a rule: %+v", r)
	}
}
