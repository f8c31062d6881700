package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// scrape returns the samples of /metrics by their name and labels, without
// the namespace.
func scrape(t testing.TB, g *servers.Gateway) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + g.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v:\n%s", resp.Status, err, text)
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		name, ours := strings.CutPrefix(line[:max(at, 0)], "gatehouse_")
		if !ours {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[name] = value
	}
	return all
}

// counts are how often what happened, by sample.
type counts map[string]float64

// counted returns what has been counted since before, of the counters that say
// what was decided.
func counted(before, now map[string]float64) counts {
	all := counts{}
	for name, value := range now {
		family, _, _ := strings.Cut(name, "{")
		switch family {
		case "http_requests_total", "forward_auth_verdicts_total", "sign_ins_total", "provisioning_decisions_total", "sessions_ended_total":
			if value != before[name] {
				all[name] = value - before[name]
			}
		}
	}
	return all
}

func (c counts) total() (sum float64) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// requested is a sample of requests by route, verdict and class of status.
func requested(route, verdict, code string) string {
	return fmt.Sprintf("http_requests_total{code=%q,route=%q,verdict=%q}", code, route, verdict)
}

func signIns(connection, outcome string) string {
	return fmt.Sprintf("sign_ins_total{connection=%q,outcome=%q}", connection, outcome)
}

func provisioned(connection, verdict string) string {
	return fmt.Sprintf("provisioning_decisions_total{connection=%q,verdict=%q}", connection, verdict)
}

func verdicts(route, verdict string) string {
	return fmt.Sprintf("forward_auth_verdicts_total{route=%q,verdict=%q}", route, verdict)
}

// unwell fails the test unless /ready of the admin listener has that status and
// these are the components with which something is wrong, each with a reason
// and what to do.
func unwell(t testing.TB, g *servers.Gateway, status int, want ...string) {
	t.Helper()
	r := newVisitor(t, "").look("http://"+g.Admin+"/ready").wants(t, status)
	var answer struct {
		Ready      bool
		Components []struct {
			Component, Reason, Do string
			OK                    bool
		}
	}
	decode(t, r.Text, &answer)
	var got []string
	for _, c := range answer.Components {
		if c.OK == (c.Reason != "") || c.OK == (c.Do != "") {
			t.Errorf("%s: reason %q, to do %q", c.Component, c.Reason, c.Do)
		}
		if !c.OK {
			got = append(got, c.Component)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || answer.Ready != (status == http.StatusOK) || len(answer.Components) < 3 {
		t.Errorf("unwell components (-want +got):\n%s%s", diff, r.Text)
	}
}

// TestMetrics: what happens is counted, each thing once and by what it was,
// and nothing else; a stranger adds no series.
func TestMetrics(t *testing.T) {
	t.Parallel()
	const proxy, host = "127.0.0.2", "127.0.0.1"
	redis := servers.Redis(t, servers.RedisOptions{})
	app, idp := servers.StartApp(t), badidp.Start(t)
	for _, name := range []string{"new", "pat", "stranger"} {
		idp.SetPersona(name, map[string]any{
			"sub": name, "preferred_username": name, "email": name + "@corp.example", "email_verified": true, "name": name,
		}, nil)
	}
	to := func(path, upstream, more string) string {
		return fmt.Sprintf("host: %s, path: %s, upstream: %q%s", host, path, upstream, more)
	}
	g := servers.StartGateway(t, binary, proxyText("trusted_proxies: ["+proxy+"]",
		[]string{
			to("/", app.URL, ""), to("/public/", app.URL, ", access: public"),
			to("/staff/", app.URL, ", access: {groups: [staff]}"), to("/dead/", "http://127.0.0.1:1", ", access: public"),
		},
		"connections:", connectionText("acme", idp.URL(), "jit: {link_existing: confirm}"),
		connectionText("visitors", idp.URL(), "jit: {enabled: false}"), connectionText("closed", idp.URL(), "jit: {create: false}"),
		"session: {cache_ttl: 0s}", redisStore(redis, "gatehouse:")))
	addUser(t, g, "pat", "--email", "pat@corp.example")
	const own, all = "/oauth2/", host + "/"

	newcomer, guest, outsider, pat, nobody := newVisitor(t, "new"), newVisitor(t, "new"), newVisitor(t, "stranger"), newVisitor(t, ""), newVisitor(t, "")
	ask := func(path, line string) {
		lines := []string{"X-Forwarded-Method: GET", "X-Forwarded-Host: " + host, "X-Forwarded-Uri: " + path}
		if line != "" {
			lines = append(lines, line)
		}
		servers.Raw(t, proxy, g.Addr, servers.Head("GET /oauth2/auth", host, lines...))
	}
	steps := []struct {
		name string
		do   func()
		want counts
	}{
		{"nothing", func() {}, counts{}},
		{"a public page", func() { nobody.look(g.URL+"/public/x").wants(t, 200) }, counts{requested(host+"/public/", "public", "2xx"): 1}},
		{"a page, by nobody", func() { nobody.look(g.URL+"/x").wants(t, 302) }, counts{requested(all, "unauthenticated", "3xx"): 1}},
		{"a program, by nobody", func() { nobody.look(g.URL+"/x", api...).wants(t, 401) }, counts{requested(all, "unauthenticated", "4xx"): 1}},
		{"an application that is down", func() { nobody.look(g.URL+"/dead/x").wants(t, 502) }, counts{requested(host+"/dead/", "upstream_error", "5xx"): 1}},
		{"a malformed path", func() { nobody.look(g.URL+"/x%00").wants(t, 400) }, counts{requested("none", "malformed", "4xx"): 1}},
		{"a federated sign-in", func() { newcomer.start(g, "acme", "/").wants(t, 200) }, counts{
			requested(own, "own", "3xx"): 2, requested(all, "allowed", "2xx"): 1,
			signIns("acme", "success"): 1, provisioned("acme", "created"): 1,
		}},
		{"another one", func() { newcomer.start(g, "acme", "/").wants(t, 200) }, counts{
			requested(own, "own", "3xx"): 2, requested(all, "allowed", "2xx"): 1,
			signIns("acme", "success"): 1, provisioned("acme", "unchanged"): 1, "sessions_ended_total": 1, // the one before
		}},
		{"without JIT", func() { guest.start(g, "visitors", "/").wants(t, 200) }, counts{
			requested(own, "own", "3xx"): 2, requested(all, "allowed", "2xx"): 1,
			signIns("visitors", "success"): 1, provisioned("visitors", "pass_through"): 1,
		}},
		{"a refused one", func() { outsider.start(g, "closed", "/").wants(t, 403) }, counts{
			requested(own, "own", "3xx"): 1, requested(own, "own", "4xx"): 1,
			signIns("closed", "no_account"): 1, provisioned("closed", "denied"): 1,
		}},
		{"one that has to be confirmed", func() { newVisitor(t, "pat").start(g, "acme", "/").wants(t, 200) }, counts{
			requested(own, "own", "3xx"): 2, requested(own, "own", "2xx"): 1, provisioned("acme", "confirm"): 1,
		}},
		{"a provider that is down", func() {
			idp.SetFault("token: down")
			defer idp.SetFault("")
			newVisitor(t, "new").start(g, "acme", "/").wants(t, 502)
		}, counts{requested(own, "own", "3xx"): 1, requested(own, "own", "5xx"): 1, signIns("acme", "provider_down"): 1}},
		{"its component", func() {
			unwell(t, g, http.StatusOK, "connection acme") // others still serve: it is ready
		}, counts{}},
		{"the provider is back", func() { newVisitor(t, "new").start(g, "acme", "/").wants(t, 200) }, counts{
			requested(own, "own", "3xx"): 2, requested(all, "allowed", "2xx"): 1, signIns("acme", "success"): 1, provisioned("acme", "unchanged"): 1,
		}},
		{"its component again", func() { unwell(t, g, http.StatusOK) }, counts{}},
		{"a wrong password", func() { pat.password(g, "pat", "hush").wants(t, 401) }, counts{
			requested(own, "own", "4xx"): 1, signIns("local", "wrong_password"): 1,
		}},
		{"a local sign-in", func() { pat.password(g, "pat", goodPassword).wants(t, 303) }, counts{
			requested(own, "own", "3xx"): 1, signIns("local", "success"): 1,
		}},
		{"a page for others", func() { pat.look(g.URL+"/staff/x").wants(t, 403) }, counts{requested(host+"/staff/", "forbidden", "4xx"): 1}},
		{"verdicts for another proxy", func() {
			pat.look(g.URL+"/oauth2/auth").wants(t, 202)
			ask("/x", "")
			ask("/x", pat.session(g))
			ask("/staff/x", pat.session(g))
			ask("/public/x", "")
		}, counts{
			requested("/oauth2/auth", "allowed", "2xx"): 2, requested("/oauth2/auth", "public", "2xx"): 1,
			requested("/oauth2/auth", "unauthenticated", "4xx"): 1, requested("/oauth2/auth", "forbidden", "4xx"): 1,
			verdicts("none", "allowed"): 1, verdicts(all, "unauthenticated"): 1, verdicts(all, "allowed"): 1,
			verdicts(host+"/staff/", "forbidden"): 1, verdicts(host+"/public/", "public"): 1,
		}},
		{"a sign-out", func() { pat.post(g.URL+"/oauth2/sign_out", url.Values{}).wants(t, 200) }, counts{
			requested(own, "own", "2xx"): 1, "sessions_ended_total": 1,
		}},
		{"sessions that an administrator ends", func() {
			if r := g.Run(t, "", "session", "end", "--user", "new", "--config", g.Config); r.Code != 0 {
				t.Fatal(r.Stderr)
			}
		}, counts{}}, // by the command's own process
	}
	for _, step := range steps {
		before := scrape(t, g)
		step.do()
		var got counts
		servers.WaitFor(t, step.name+" to be counted", func(context.Context) bool {
			got = counted(before, scrape(t, g))
			return got.total() >= step.want.total() // an answer is there before it is counted
		})
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	checkLog(t, g.Output())
	nobody.look("http://"+g.Admin+"/debug/pprof/").wants(t, http.StatusNotFound) // nobody has asked for it
	if strings.Contains(g.Output(), "hush") {
		t.Error("the log holds a password")
	}
}

// TestStrangersAddNoSeries: whatever is made up, it is counted under what is
// configured. Attack: hosts, paths, methods, usernames and connections without
// end, until the process or its monitoring is out of memory.
func TestStrangersAddNoSeries(t *testing.T) {
	t.Parallel()
	g := servers.StartGateway(t, binary, proxyText("trusted_proxies: [127.0.0.2]", []string{
		`host: 127.0.0.1, path: /, upstream: "static:204"`, `host: 127.0.0.1, path: /public/, access: public, upstream: "static:418"`,
	}))
	storm := func(name string) {
		for i := range 40 {
			word := fmt.Sprintf("%s%d", name, i)
			for _, request := range []string{
				servers.Head("GET /"+word, word+".example"),
				servers.Head("GET /"+word, "127.0.0.1"),
				servers.Head("GET /public/"+word, "127.0.0.1", "X-Request-Id: "+word, "User-Agent: "+word),
				servers.Head(strings.ToUpper(name)+"-"+strconv.Itoa(i)+" /public/", "127.0.0.1"),
				servers.Head("GET /oauth2/"+word, "127.0.0.1"),
				servers.Head("GET /oauth2/start?connection="+word, "127.0.0.1"),
				servers.Head("GET /oauth2/callback?state="+word+"&code="+word, "127.0.0.1"),
				servers.Head("POST /oauth2/backchannel-logout/"+word, "127.0.0.1", "Content-Length: 0"),
				servers.Head("GET /oauth2/auth?allowed_groups="+word, "127.0.0.1", "X-Forwarded-Uri: /"+word, "X-Forwarded-Method: GET", "X-Forwarded-Host: "+word+".example"),
				servers.Head("GET /%00"+word, "127.0.0.1"),
			} {
				servers.Raw(t, "127.0.0.2", g.Addr, request)
			}
			if i < 5 {
				newVisitor(t, "").password(g, word, word)
			}
		}
	}
	names := func() map[string]bool {
		all := map[string]bool{}
		for name := range scrape(t, g) {
			if strings.Contains(name, "storm") {
				t.Errorf("%s names what a stranger sent", name)
			}
			all[name] = true
		}
		return all
	}
	storm("stormy")
	servers.WaitFor(t, "the last request to be counted", func(context.Context) bool { return scrape(t, g)[requested("none", "malformed", "4xx")] == 40 })
	before := names()
	storm("weather-storm")
	servers.WaitFor(t, "the last request to be counted", func(context.Context) bool { return scrape(t, g)[requested("none", "malformed", "4xx")] == 80 })
	if diff := cmp.Diff(before, names()); diff != "" {
		t.Errorf("series before and after (-before +after):\n%s", diff)
	}
}

// TestMetricsOfAStoreThatIsDown: the alarm is about the store, and the verdict
// says that nobody was refused.
func TestMetricsOfAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	redis := servers.Redis(t, servers.RedisOptions{})
	g := servers.StartGateway(t, binary, proxyText("", []string{`path: /, upstream: "static:418"`}, "session: {cache_ttl: 0s}", redisStore(redis, "gatehouse:")))
	pat := newLocal(t, g, "pat")
	pat.look(g.URL+"/").wants(t, http.StatusTeapot)
	before := scrape(t, g)
	for name, value := range before {
		if strings.HasPrefix(name, "store_errors_total{") && value != 0 {
			t.Errorf("%s is %v before there is trouble", name, value)
		}
	}
	for _, operation := range []string{"get", "create", "update"} { // to sign in takes them
		if name := fmt.Sprintf("store_operation_duration_seconds_count{operation=%q}", operation); before[name] == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	unwell(t, g, http.StatusOK)
	redis.Kill()
	pat.look(g.URL+"/").wants(t, http.StatusServiceUnavailable)
	want := counts{requested("/", "store_down", "5xx"): 1}
	var now map[string]float64
	servers.WaitFor(t, "the request to be counted", func(context.Context) bool {
		now = scrape(t, g)
		return len(counted(before, now)) > 0
	})
	if diff := cmp.Diff(want, counted(before, now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if name := `store_errors_total{operation="get",reason="down"}`; now[name] == 0 {
		t.Errorf("%s is 0", name)
	}
	servers.WaitFor(t, "readiness to be looked at again", func(context.Context) bool {
		return pat.look(g.URL+"/ready").StatusCode == http.StatusServiceUnavailable
	})
	unwell(t, g, http.StatusServiceUnavailable, "store")
	if name := `store_errors_total{operation="get",reason="contention"}`; now[name] != 0 {
		t.Errorf("%s is %v", name, now[name])
	}
}

// TestAdminListenerIsApart: what is for those who run the gateway is not on the
// public listener, whoever asks: there these paths are the application's.
func TestAdminListenerIsApart(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("pprof: true", []string{fmt.Sprintf("path: /, upstream: %q", app.URL)}))
	pat := newLocal(t, g, "pat")
	asked := map[string]bool{}
	for path, is := range map[string]string{
		"/metrics":              "gatehouse_build_info{",
		"/debug/pprof/":         "goroutine",
		"/debug/pprof/heap":     "",
		"/debug/pprof/cmdline":  "serve",
		"/debug/pprof/symbol":   "num_symbols",
		"/debug/pprof/trace":    "",
		"/debug/pprof/profile?": "",
	} {
		ask := path
		asked["GET "+strings.TrimSuffix(path, "?")] = true
		if strings.HasSuffix(path, "?") || strings.HasSuffix(path, "trace") {
			ask = strings.TrimSuffix(path, "?") + "?seconds=0.1"
		}
		if !strings.Contains(path, "profile?") { // takes a second at least
			if r := pat.look("http://"+g.Admin+ask).wants(t, http.StatusOK); !strings.Contains(r.Text, is) {
				t.Errorf("the admin listener answers %s with\n%.200s", path, r.Text)
			}
		}
		if r := pat.look(g.URL+ask).wants(t, http.StatusOK); !strings.Contains(r.Text, "the application") {
			t.Errorf("%s on the public listener is not the application's:\n%.200s", path, r.Text)
		}
		newVisitor(t, "").look(g.URL+ask, api...).wants(t, http.StatusUnauthorized)
	}
	for _, e := range surface {
		if e.by == byOperator && !asked[e.name()] {
			t.Errorf("%s is not asked for", e.name())
		}
	}
	if r := pat.look(g.URL+"/ready").wants(t, http.StatusOK); strings.TrimSpace(r.Text) != "ready" {
		t.Errorf("/ready tells strangers %q", r.Text)
	}
}

// audited are the events of the decisions that a gateway has logged.
func audited(t testing.TB, g *servers.Gateway) (events []string) {
	t.Helper()
	for line := range strings.Lines(g.Output()) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var got struct {
			Msg, Verdict, Reason, Change string
			Audit                        bool
		}
		decode(t, line, &got)
		if got.Audit {
			events = append(events, strings.Join(strings.Fields(got.Msg+" "+got.Verdict+" "+got.Reason+" "+got.Change), " "))
		}
	}
	return events
}

// TestWhatHappensIsInTheLog: each decision has one line, which is marked, and a
// request is found by the trace that it is part of. The trace goes on to the
// application, and not to the identity provider, which is none of its parts.
func TestWhatHappensIsInTheLog(t *testing.T) {
	t.Parallel()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	const parent, state = "00-" + trace + "-b7ad6b7169203331-01", "vendor=1"
	app, idp := servers.StartApp(t), badidp.Start(t)
	config := func(more ...string) string {
		return proxyText("", []string{fmt.Sprintf("path: /, upstream: %q", app.URL)}, "connections:", connectionText("acme", idp.URL(), more...))
	}
	g := servers.StartGateway(t, binary, config())
	run := func(args ...string) {
		if r := g.Run(t, "", append(args, "--config", g.Config)...); r.Code != 0 {
			t.Fatalf("gatehouse %v ended with %d:\n%s", args, r.Code, r.Stderr)
		}
	}
	federated, kim := newVisitor(t, ""), newVisitor(t, "")
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"an account is added", func() { addUser(t, g, "kim") }, []string{"account changed by an administrator add"}},
		{"a federated sign-in", func() {
			federated.get(g.URL+"/oauth2/start?connection=acme&rd=/reports", "traceparent", parent, "tracestate", state).wants(t, http.StatusOK)
		}, []string{"provisioning created", "sign_in created"}},
		{"a wrong password", func() { kim.password(g, "kim", "hush").wants(t, http.StatusUnauthorized) }, []string{"sign_in_failed wrong_password"}},
		{"a local sign-in", func() { kim.password(g, "kim", goodPassword).wants(t, http.StatusSeeOther) }, []string{"sign_in unchanged"}},
		{"requests", func() { kim.look(g.URL+"/").wants(t, http.StatusOK) }, nil},
		{"a sign-out", func() { kim.post(g.URL+"/oauth2/sign_out", url.Values{}).wants(t, http.StatusOK) }, []string{"sign_out"}},
		{"an account is disabled", func() { run("user", "disable", "kim") }, []string{"account changed by an administrator disable"}},
		{"and refused", func() { kim.password(g, "kim", goodPassword) }, []string{"sign_in_failed wrong_password"}},
		{"sessions of nobody are ended", func() { run("session", "end", "--user", "kim") }, []string{"sessions ended by an administrator"}},
		{"a connection is switched off", func() {
			g.WriteConfig(t, config("enabled: false"))
			run("reload")
			federated.look(g.URL+"/", api...).wants(t, http.StatusUnauthorized)
			federated.look(g.URL+"/", api...).wants(t, http.StatusUnauthorized)
		}, []string{"session_revoked"}},
	} {
		before := len(audited(t, g))
		step.do()
		servers.WaitFor(t, step.name+" to be logged", func(context.Context) bool { return len(audited(t, g)) >= before+len(step.want) })
		if diff := cmp.Diff(step.want, audited(t, g)[before:], cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}

	for _, r := range app.Requests() {
		got := []string{r.Header.Get("Traceparent"), r.Header.Get("Tracestate")}
		want := []string{"", ""}
		if r.URL.Path == "/reports" {
			want = []string{parent, state}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: trace context at the application (-want +got):\n%s", r.URL.Path, diff)
		}
	}
	if sent := idp.Last(badidp.PathToken).Header; len(sent) == 0 || sent["Traceparent"] != nil || sent["Tracestate"] != nil {
		t.Errorf("the identity provider was sent %v", sent)
	}
	line := waitForLog(t, g, `"msg":"request"`, `"path":"/reports"`)
	for _, part := range []string{`"trace_id":"` + trace + `"`, `"verdict":"allowed"`, `"user":"pat"`, `"connection":"acme"`, `"upstream_duration":`} {
		if !strings.Contains(line, part) {
			t.Errorf("no %s in %s", part, line)
		}
	}
	checkLog(t, g.Output())
	if strings.Contains(g.Output(), "hush") {
		t.Error("the log holds a password")
	}
}
