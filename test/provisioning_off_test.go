package test

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// userStore are the kinds of records that say who has an account. Sessions,
// sign-ins under way and what Gatehouse keeps for itself are not among them.
var userStore = []string{"account:", "link:", "email:", "username:", "signin:", "password:", "totp:"}

func ofUserStore(key string) bool {
	return slices.ContainsFunc(userStore, func(kind string) bool { return strings.HasPrefix(key, kind) })
}

// redisRecords returns the user store of a Redis as Redis itself serializes
// it, and when each record expires.
func redisRecords(t *testing.T, s *servers.RedisServer, prefix string) map[string]string {
	t.Helper()
	client, ctx, all := s.Client(t), t.Context(), map[string]string{}
	keys := client.Scan(ctx, 0, prefix+"*", 100).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		if !ofUserStore(strings.TrimPrefix(key, prefix)) {
			continue
		}
		value, err := client.Dump(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		all[key] = value + " expires " + client.ExpireTime(ctx, key).Val().String()
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// embeddedRecords returns the user store in the file of a gateway that has
// ended.
func embeddedRecords(t *testing.T, g *servers.Gateway) map[string]string {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(g.Dir, "data", "gatehouse.db"), 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string]string{}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(key, value []byte) error {
				if ofUserStore(string(key)) {
					all[string(key)] = string(value)
				}
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPassThroughLeavesTheUserStoreAlone: before and after sign-ins through a
// connection whose JIT is off, the user store is byte for byte the same; also
// where the person is somebody who has an account, by e-mail and by subject.
func TestPassThroughLeavesTheUserStoreAlone(t *testing.T) {
	t.Parallel()
	redis := servers.Redis(t, servers.RedisOptions{})
	for _, store := range []struct {
		name, text string
		records    func(*testing.T, *servers.Gateway) map[string]string
	}{
		{"redis", redisStore(redis, "gatehouse:"), func(t *testing.T, _ *servers.Gateway) map[string]string {
			return redisRecords(t, redis, "gatehouse:")
		}},
		{"embedded", "", func(t *testing.T, g *servers.Gateway) map[string]string {
			g.Stop()
			defer g.Start(t)
			return embeddedRecords(t, g)
		}},
	} {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			app, idp := servers.StartApp(t), badidp.Start(t)
			g := servers.StartGateway(t, binary, configText(app.URL, []string{
				connectionText("acme", idp.URL()), connectionText("partner", idp.URL(), "jit: {enabled: false}"),
			}, store.text))
			run(t, g, "user", "add", "lee", "--email", "lee@corp.example", "--group", "admins")
			for _, name := range []string{"pat", "lee", "new"} {
				idp.SetPersona(name, person(name, nil), nil)
			}
			comes(t, g, "pat", "acme")
			before := store.records(t, g)
			if len(before) < 7 { // two accounts, two names each, a link, a sign-in
				t.Fatalf("only %d records of two accounts: %v", len(before), slices.Sorted(maps.Keys(before)))
			}

			for _, name := range []string{"pat", "lee", "new", "new"} {
				v := comes(t, g, name, "partner")
				if got := v.signedIn(g)["user"]; got != "partner:"+name+"-1" {
					t.Errorf("%s is %q", name, got)
				}
				v.get(g.URL+"/again").wants(t, http.StatusOK)
				if got := app.Last(t).Header.Get("X-Forwarded-Groups"); got != "staff" {
					t.Errorf("%s has the groups %q, want only what the provider said", name, got)
				}
				v.post(g.URL+"/oauth2/sign_out", nil, "Origin", g.URL)
				v.signedOut(g)
			}
			idp.SetFault("nonce: another")
			newVisitor(t, "new").start(g, "partner", "/").wants(t, http.StatusBadGateway)
			if diff := cmp.Diff(before, store.records(t, g)); diff != "" {
				t.Errorf("the user store (-before +after):\n%s", diff)
			}
			if n := len(accounts(t, g)); n != 2 {
				t.Errorf("%d accounts, want 2", n)
			}
		})
	}
}

// TestSameHeadersWithAndWithoutAccount: an application need not care whether
// there is an account: the names are the same, and so is what the provider
// said. Only the user is another, so that nobody can pass for an account.
func TestSameHeadersWithAndWithoutAccount(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	mapped := "attributes: {department: department, cost-centre: cost, phones: phones}"
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL(), mapped), connectionText("partner", idp.URL(), mapped, "jit: {enabled: false}"),
	}))
	idp.SetPersona("pat", person("pat", map[string]any{
		"groups": []any{"staff", "a,b"}, "department": "Forschung & Füße", "cost": 4711, "phones": []any{"1", "2,3"},
	}), nil)
	identity := func() map[string][]string {
		got := map[string][]string{}
		for name, values := range app.Last(t).Header {
			if strings.HasPrefix(name, "X-Forwarded-Attr-") || slices.Contains([]string{
				"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
			}, name) {
				got[name] = values
			}
		}
		return got
	}
	comes(t, g, "pat", "acme")
	account := identity()
	comes(t, g, "pat", "partner")
	passed := identity()
	want := map[string][]string{
		"X-Forwarded-User": {"pat"}, "X-Forwarded-Email": {"pat@corp.example"}, "X-Forwarded-Preferred-Username": {"pat"},
		"X-Forwarded-Groups": {"staff,a%2Cb"}, "X-Forwarded-Attr-Name": {"The pat"},
		"X-Forwarded-Attr-Department": {"Forschung & F%C3%BC%C3%9Fe"}, "X-Forwarded-Attr-Cost-Centre": {"4711"},
		"X-Forwarded-Attr-Phones": {"1,2%2C3"},
	}
	if diff := cmp.Diff(want, account); diff != "" {
		t.Errorf("with an account (-want +got):\n%s", diff)
	}
	want["X-Forwarded-User"] = []string{"partner:pat-1"}
	if diff := cmp.Diff(want, passed); diff != "" {
		t.Errorf("without one (-want +got):\n%s", diff)
	}
}

// TestPassThroughUser: the user header of people without an account is what
// the connection's template makes of them, and never somebody else.
func TestPassThroughUser(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	templates := map[string]string{"default": "", "username": "{username}", "email": "{email}", "prefixed": "ext-{subject}"}
	var connections []string
	for _, id := range slices.Sorted(maps.Keys(templates)) {
		connections = append(connections, connectionText(id, idp.URL(), "jit: {enabled: false}", `user: "`+templates[id]+`"`))
	}
	g := servers.StartGateway(t, binary, configText(app.URL, connections))
	tests := []struct {
		connection, persona string
		claims              map[string]any
		want                string
	}{
		{"default", "pat", nil, "default:pat-1"},
		{"default", "odd", map[string]any{"sub": "a:b,c"}, "default:a:b,c"},
		{"username", "pat", nil, "pat"},
		{"username", "none", map[string]any{"preferred_username": nil}, "username:none-1"},
		{"username", "colon", map[string]any{"preferred_username": "email:pat-1"}, "username:colon-1"}, // would be another connection's
		{"email", "pat", nil, "pat@corp.example"},
		{"email", "unverified", map[string]any{"email_verified": false}, "email:unverified-1"},
		{"prefixed", "pat", nil, "ext-pat-1"},
	}
	for _, tt := range tests {
		t.Run(tt.connection+" "+tt.persona, func(t *testing.T) {
			idp.SetPersona(tt.persona, person(tt.persona, tt.claims), nil)
			if got := comes(t, g, tt.persona, tt.connection).signedIn(g)["user"]; got != tt.want {
				t.Errorf("userinfo says %q, want %q", got, tt.want)
			}
			if got := app.Last(t).Header.Get("X-Forwarded-User"); got != tt.want {
				t.Errorf("X-Forwarded-User %q, want %q", got, tt.want)
			}
		})
	}
}

// TestSessionOfAnotherJITSetting: once jit.enabled is another, sessions that
// were made before end: they say who somebody is by rules that no longer hold.
// Those of other connections go on.
func TestSessionOfAnotherJITSetting(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	const on, off = "jit: {enabled: true}", "jit: {enabled: false}"
	text := func(turned, back, kept, keptOff string) string {
		return configText(app.URL, []string{
			connectionText("turned", idp.URL(), turned), connectionText("back", idp.URL(), back),
			connectionText("kept", idp.URL(), kept), connectionText("kept-off", idp.URL(), keptOff),
		})
	}
	g := servers.StartGateway(t, binary, text(on, off, on, off))
	visitors := map[string]*visitor{}
	for _, connection := range []string{"turned", "back", "kept", "kept-off"} {
		idp.SetPersona(connection, person(connection, nil), nil)
		visitors[connection] = comes(t, g, connection, connection)
	}
	restart(t, g, text(off, on, on, off))
	visitors["turned"].signedOut(g)
	visitors["back"].signedOut(g)
	visitors["kept"].signedIn(g)
	visitors["kept-off"].signedIn(g)
	// The next sign-in is by today's rules.
	if got := comes(t, g, "turned", "turned").signedIn(g)["user"]; got != "turned:turned-1" {
		t.Errorf("with JIT turned off they are %q", got)
	}
	if got := comes(t, g, "back", "back").signedIn(g)["user"]; got != "back" {
		t.Errorf("with JIT turned on they are %q", got)
	}
}

// TestNarrowedConnection: attack: somebody whom a narrower connection shuts
// out, or leaves fewer groups or no e-mail, goes on with the session that they
// had; or keeps the groups by coming in another way. Who is judged anew comes
// in by today's rules or not at all; connections that are as they were end
// nobody's session.
func TestNarrowedConnection(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	narrower := map[string]string{
		"groups": "groups_allowed: []", "domain": "email_domains: [other.example]",
		"require": "require: {groups: [board]}", "trust": "trust_email: never",
	}
	kinds := map[string]string{"-on": "jit: {enabled: true}", "-off": "jit: {enabled: false}"}
	text := func(narrow bool) string {
		connections := []string{connectionText("kept-on", idp.URL(), "groups_allowed: [staff]"), connectionText("kept-off", idp.URL(), kinds["-off"])}
		for _, name := range slices.Sorted(maps.Keys(narrower)) {
			for kind, jit := range kinds {
				entries := []string{jit}
				if narrow {
					entries = append(entries, narrower[name])
				}
				connections = append(connections, connectionText(name+kind, idp.URL(), entries...))
			}
		}
		return configText(app.URL, connections)
	}
	g := servers.StartGateway(t, binary, text(false))
	visitors := map[string]*visitor{}
	for name := range narrower {
		for kind := range kinds {
			id := name + kind
			idp.SetPersona(id, person(id, nil), nil)
			visitors[id] = comes(t, g, id, id)
		}
	}
	idp.SetPersona("lee", person("lee", map[string]any{"groups": []any{"staff", "leads"}}), nil)
	comes(t, g, "lee", "groups-on")
	lee, passed := comes(t, g, "lee", "kept-on"), comes(t, g, "lee", "kept-off")
	if got := lee.signedIn(g)["groups"]; !cmp.Equal(got, []any{"staff", "leads"}) {
		t.Errorf("with both connections lee has the groups %v", got)
	}

	restart(t, g, text(true))
	for id, v := range visitors {
		if info := v.userinfo(g); info != nil {
			t.Errorf("through %s somebody is still in: %v", id, info)
		}
	}
	passed.signedIn(g)
	if got := lee.signedIn(g)["groups"]; !cmp.Equal(got, []any{"staff"}) {
		t.Errorf("lee still has the groups %v", got)
	}
	for kind := range kinds {
		for _, name := range []string{"domain", "require"} {
			newVisitor(t, name+kind).start(g, name+kind, "/").wants(t, http.StatusForbidden)
		}
		if got := comes(t, g, "groups"+kind, "groups"+kind).signedIn(g)["groups"]; !cmp.Equal(got, []any{}) {
			t.Errorf("through groups%s come the groups %v", kind, got)
		}
		if got := comes(t, g, "trust"+kind, "trust"+kind).signedIn(g)["email"]; got != "" {
			t.Errorf("through trust%s comes the e-mail %q", kind, got)
		}
	}
}

// TestPreferredUsernameWithoutAccount: attack: somebody at a provider where
// people choose their username takes another person's address for it, as it is
// or in disguise. Applications that know people by it would sign them in.
func TestPreferredUsernameWithoutAccount(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("partner", idp.URL(), "jit: {enabled: false}")}))
	for i, tt := range []struct {
		claims map[string]any
		want   string
	}{
		{map[string]any{"preferred_username": "victim@corp.example"}, ""},
		{map[string]any{"preferred_username": "victim@corp.example", "email": nil}, ""},
		{map[string]any{"preferred_username": "eve@corp.example", "email": "eve@corp.example", "email_verified": false}, ""},
		{map[string]any{"preferred_username": "eve@corp.example.", "email": "eve@corp.example"}, ""},
		{map[string]any{"preferred_username": "eve\u200b@corp.example", "email": "eve@corp.example"}, ""},
		{map[string]any{"preferred_username": "victim\uff20corp.example"}, ""},
		{map[string]any{"preferred_username": "partner:1"}, ""},
		{map[string]any{"preferred_username": "eve@corp.example", "email": "eve@corp.example"}, "eve@corp.example"},
		{map[string]any{"preferred_username": "root"}, "root"}, // a plain name is nobody's
	} {
		name := row(i)
		idp.SetPersona(name, person(name, tt.claims), nil)
		told := comes(t, g, name, "partner").signedIn(g)["preferredUsername"]
		if got := app.Last(t).Header.Get("X-Forwarded-Preferred-Username"); got != tt.want || told != tt.want {
			t.Errorf("%v: the application is told %q and userinfo says %q, want %q", tt.claims, got, told, tt.want)
		}
	}
}
