package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gatehouse/auth"
	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// running is a server in this process, and its configuration file.
type running struct {
	*app // the first
	path string
	url  string
	log  *lockedBuffer
	stop func() error // once
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// runServer serves as gatehouse serve does. Text is what the file has beside the
// addresses; reload takes another.
func runServer(t *testing.T, text string) *running {
	t.Helper()
	addr := servers.FreeAddr(t)
	r := &running{url: "http://" + addr, log: &lockedBuffer{}}
	head := fmt.Sprintf("server: {listen: %q, public_url: %q, admin_listen: %q}\n", addr, r.url, servers.FreeAddr(t))
	r.path = writeConfig(t, head+text)
	watch := &config.Watch{Path: r.path}
	cfg, _, err := watch.Load()
	if err != nil {
		t.Fatal(err)
	}
	logs := &logs{to: r.log}
	logs.set(cfg.Log)
	if r.app, err = openApp(t.Context(), cfg, logs.logger(), ""); err != nil {
		t.Fatal(err)
	}
	r.reloader = newReloader(r.process, watch, logs, nil)
	ctx, cancel := context.WithCancel(context.Background())
	listens, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- r.serve(ctx, func(context.Context) error { close(listens); return nil }) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-listens:
	case err := <-done:
		t.Fatal(err)
	}
	return r
}

// rewrite replaces a part of the file, and reloads it.
func (r *running) rewrite(t *testing.T, old, new string) error {
	t.Helper()
	text, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%q is not in the file", old)
	}
	if err := os.WriteFile(r.path, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return r.reloader.ask(t.Context())
}

// TestReloadStorm: whatever is asked while the configuration is replaced again and
// again is answered, and nothing of the configurations before is left.
func TestReloadStorm(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	before := descriptors(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Header.Get("X-Forwarded-User"), body)
	}))
	const text = "routes:\n  - {path: /, upstream: %q}\n  - {path: /files/, strip_prefix: true, upstream: \"file:.\"}\nlocal: {enabled: true}\nmail: {address: \"127.0.0.1:9\", from: gate@acme.example, tls: starttls}\n"
	r := runServer(t, fmt.Sprintf(text, upstream.URL))
	if err := os.WriteFile(filepath.Join(filepath.Dir(r.path), "hello.txt"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	cookie := sessionCookie(t, r.app)
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	client := &http.Client{Transport: transport}
	ask := func(method, path, body string) (int, string) {
		req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		req.AddCookie(cookie)
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp.StatusCode, string(got)
	}

	var over atomic.Bool
	var asked atomic.Int64
	var people sync.WaitGroup
	for i := range 4 {
		people.Go(func() {
			for n := 0; !over.Load() && !t.Failed(); n++ {
				asked.Add(1)
				body := fmt.Sprintf("%d %d", i, n)
				if status, got := ask("POST", "/x", body); status != 200 || got != "ada "+body {
					t.Errorf("an answer of %d: %.200q", status, got)
				}
				if status, got := ask("GET", "/files/hello.txt", ""); status != 200 || got != "hello" {
					t.Errorf("a file: %d: %.200q", status, got)
				}
				if status, _ := ask("GET", "/oauth2/userinfo", ""); status != 200 {
					t.Errorf("who it is: %d", status)
				}
			}
		})
	}
	const reloads = 200
	working := runtime.NumGoroutine()
	for range reloads / 2 {
		if err := r.rewrite(t, "{path: /, ", "{path: /, timeout: 20s, "); err != nil {
			t.Fatal(err)
		}
		if err := r.rewrite(t, "timeout: 20s, ", ""); err != nil {
			t.Fatal(err)
		}
	}
	over.Store(true)
	people.Wait()
	if asked.Load() < reloads/10 {
		t.Errorf("only %d rounds were asked: it was no storm", asked.Load())
	}
	t.Logf("%d rounds during %d reloads", asked.Load(), reloads)

	transport.CloseIdleConnections()
	upstream.CloseClientConnections()
	servers.WaitFor(t, "the workers of the configurations before to end", func(context.Context) bool {
		return runtime.NumGoroutine() <= working
	})
	servers.WaitFor(t, "the descriptors of the configurations before to be closed", func(context.Context) bool {
		return descriptors(t) <= before+16 // listeners, store, what is being closed; 200 reloads with two each would be far more
	})
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	upstream.Close()
	goleak.VerifyNone(t, leaks)
}

// descriptors is how many files this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// sessionCookie is that of a session of a new account, ada.
func sessionCookie(t *testing.T, a *app) *http.Cookie {
	t.Helper()
	account := add(t, a, "ada")
	w := httptest.NewRecorder()
	_, err := a.sessions.Start(w, httptest.NewRequest("GET", "/", nil), auth.Session{
		Account: account, Identity: auth.Identity{Connection: auth.Local, Subject: account, AMR: []string{auth.MethodPassword}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()[0]
}

// TestReloadRefusesWhatCannotChange: every key that only another process can follow
// is named at once, and nothing else of the file is taken either.
func TestReloadRefusesWhatCannotChange(t *testing.T) {
	t.Parallel()
	r := runServer(t, "routes: [{path: /, upstream: \"static:202\", access: public}]\n")
	status := func() int {
		resp, err := http.Get(r.url + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for _, tt := range []struct{ old, new, keys string }{
		{"admin_listen: ", "admin_socket: /nowhere/s, admin_listen: ", "server.admin_socket"},
		{"listen: \"127.0.0.1:", "listen: \"127.0.0.2:", "server.listen"},
		{"admin_listen: \"127.0.0.1:", "admin_listen: \"127.0.0.2:", "server.admin_listen"},
		{"routes:", "store: {embedded: {path: other.db}}\nroutes:", "store.embedded"},
		{"routes:", "store: {redis: {}}\nsecrets: {keys: [\"0123456789abcdef0123456789abcdef0123456789a=\"]}\nroutes:", "store.redis"},
		{"server: {", "store: {embedded: {path: other.db}}\nserver: {admin_socket: /nowhere/s, ", "server.admin_socket, store.embedded"},
	} {
		if err := r.rewrite(t, "static:202", "static:204"); err != nil {
			t.Fatal(err)
		}
		if got := status(); got != 204 {
			t.Fatalf("%s: %d before", tt.keys, got)
		}
		text, err := os.ReadFile(r.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(r.path, []byte(strings.Replace(string(text), "static:204", "static:202", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		err = r.rewrite(t, tt.old, tt.new)
		want := r.path + ": " + tt.keys + ": a running gateway cannot change that; restart it, or take the change back"
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if got := status(); got != 204 {
			t.Errorf("%s: half of the file was taken", tt.keys)
		}
		if err := r.rewrite(t, tt.new, tt.old); err != nil {
			t.Errorf("%s, taken back: %v", tt.keys, err)
		}
	}
}

func TestUnchangeable(t *testing.T) {
	t.Parallel()
	redis := func(change func(*config.Redis)) config.Config {
		r := &config.Redis{Addresses: []string{"a:6379"}, Password: config.NewSecret("one")}
		change(r)
		return config.Config{Store: config.Store{Redis: r}}
	}
	same := func(*config.Redis) {}
	for _, tt := range []struct {
		name      string
		old, next config.Config
		want      []string
	}{
		{"nothing", redis(same), redis(same), nil},
		{"a path that nobody uses", redis(same), func() config.Config { c := redis(same); c.Store.Embedded.Path = "x"; return c }(), nil},
		{"another server", redis(same), redis(func(r *config.Redis) { r.Addresses[0] = "b:6379" }), []string{"store.redis"}},
		{"another prefix", redis(same), redis(func(r *config.Redis) { r.KeyPrefix = "x:" }), []string{"store.redis"}},
		{"from one to the other", redis(same), config.Config{}, []string{"store.redis"}},
		{"TLS on", config.Config{}, config.Config{Server: config.Server{TLS: config.TLSFiles{CertFile: "c", KeyFile: "k"}}}, []string{"server.tls"}},
		{
			"another certificate",
			config.Config{Server: config.Server{TLS: config.TLSFiles{CertFile: "c", KeyFile: "k"}}},
			config.Config{Server: config.Server{TLS: config.TLSFiles{CertFile: "d", KeyFile: "e"}}},
			nil,
		},
		{"what is named, and was the default", config.Config{}, config.Config{Server: config.Server{AdminListenSet: true, AdminSocketSet: true}}, nil},
	} {
		if d := cmp.Diff(tt.want, unchangeable(&tt.old, &tt.next)); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}

// TestReloadKeepsProviders: what is known of a provider is not asked for again as
// long as its connection is what it was; a provider that is down at that moment
// would otherwise keep everybody out.
func TestReloadKeepsProviders(t *testing.T) {
	t.Parallel()
	idp := badidp.Start(t)
	text := "connections:\n"
	for _, id := range []string{"acme", "partner"} {
		text += fmt.Sprintf("  - {id: %s, issuer: %q, client_id: %s, client_secret: %s}\n", id, idp.URL(), badidp.ClientID, badidp.ClientSecret)
	}
	r := runServer(t, text+"routes: [{path: /, upstream: \"static:202\"}]\n")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	start := func(id string) int {
		resp, err := client.Get(r.url + "/oauth2/start?connection=" + id)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if a, b := start("acme"), start("partner"); a != 302 || b != 302 {
		t.Fatalf("%d and %d before, want 302", a, b)
	}
	idp.SetFault("discovery: down")
	if err := r.rewrite(t, "connections:", "# other lines\nconnections:"); err != nil {
		t.Fatal(err)
	}
	if err := r.rewrite(t, "{id: partner, ", "{id: partner, scopes: [openid, email], "); err != nil {
		t.Fatal(err)
	}
	if got := start("acme"); got != 302 {
		t.Errorf("a connection that has not changed: %d, want 302", got)
	}
	if got := start("partner"); got == 302 {
		t.Error("a connection that has changed goes on with what it knew")
	}
}

// TestReloadOfTheLog: another level and format hold for every logger at once, also
// for one that was made before.
func TestReloadOfTheLog(t *testing.T) {
	t.Parallel()
	var out lockedBuffer
	l := &logs{to: &out}
	l.set(config.Log{Level: "warn", Format: "json"})
	log := l.logger()
	with := log.With("a", 1).WithGroup("g").With("b", 2)
	log.Info("too quiet")
	with.Warn("one")
	l.set(config.Log{Level: "debug", Format: "text"})
	with.Debug("two")
	log.Debug("three")
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{`"msg":"one","a":1,"g":{"b":2}}`, `level=DEBUG msg=two a=1 g.b=2`, `level=DEBUG msg=three`}
	if len(got) != len(want) {
		t.Fatalf("logged:\n%s", out.String())
	}
	for i := range want {
		if !strings.HasSuffix(got[i], want[i]) {
			t.Errorf("line %d: %s, want ...%s", i, got[i], want[i])
		}
	}
	if log.Enabled(t.Context(), slog.LevelDebug-1) {
		t.Error("everything is logged")
	}
}

// TestReloadOfKeys: a rotation needs no restart, and keys that would not open the
// store are refused by the server that runs, as they would be by one that starts.
func TestReloadOfKeys(t *testing.T) {
	t.Parallel()
	r := runServer(t, "secrets: {keys: []}\nroutes: [{path: /, upstream: \"static:202\"}]\n")
	cookie := sessionCookie(t, r.app)
	works := func() {
		t.Helper()
		req, err := http.NewRequest("GET", r.url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.AddCookie(cookie)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 202 {
			t.Errorf("the session: %d, want 202", resp.StatusCode)
		}
	}
	list := func(keys ...string) string {
		for i, k := range keys {
			keys[i] = strings.Repeat(k, 32)
		}
		return "keys: [" + strings.Join(keys, ", ") + "]"
	}
	works()
	now := "keys: []"
	for i, step := range []struct {
		keys    string
		refused string
	}{
		{keys: list("a")}, // those that were generated go on opening
		{keys: list("b", "a")},
		{keys: list("b")},
		{keys: list("c"), refused: "secrets.keys: open the index key"},
		{keys: list("c", "a"), refused: "secrets.keys: open the index key"},
		{keys: list("c", "b")},
	} {
		before := r.process.current.Load()
		err := r.rewrite(t, now, step.keys)
		now = step.keys
		if refused := err != nil; refused != (step.refused != "") || refused && !strings.Contains(err.Error(), step.refused) {
			t.Errorf("step %d: %v, want one of %q", i, err, step.refused)
		}
		if kept := before == r.process.current.Load(); kept != (step.refused != "") {
			t.Errorf("step %d: the configuration before is kept: %v", i, kept)
		}
		works()
	}
	if strings.Contains(r.log.String(), strings.Repeat("c", 32)) {
		t.Error("a key is in the log")
	}
}

// TestReloadWaitsForTheStore: whether other keys open it cannot be known while it is
// down. The file is refused, and taken by itself when the store is back.
func TestReloadWaitsForTheStore(t *testing.T) {
	t.Parallel()
	redis := servers.Redis(t, servers.RedisOptions{})
	one, two := strings.Repeat("a", 32), strings.Repeat("b", 32)
	r := runServer(t, fmt.Sprintf("store: {redis: {addresses: [%q], timeout: 500ms}}\nsecrets: {keys: [%s]}\n", redis.Addr, one)+routesText)
	redis.Pause()
	before := r.process.current.Load()
	if err := r.rewrite(t, one, two+", "+one); !errors.Is(err, store.ErrDown) {
		t.Errorf("%v, want one of a store that is down", err)
	}
	if r.reloader.last.Load().OK || r.process.current.Load() != before {
		t.Error("it was taken all the same")
	}
	redis.Resume()
	servers.WaitFor(t, "the file to be taken", func(context.Context) bool { return r.reloader.last.Load().OK })
	if r.process.current.Load() == before {
		t.Error("it was not taken")
	}
	if n := strings.Count(r.log.String(), "configuration not reloaded"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// A handler that outlives the end finds nobody, and does not look for ever.
func TestNobodyEntersAProcessThatHasEnded(t *testing.T) {
	p := &process{}
	p.current.Store(&app{})
	w := httptest.NewRecorder()
	p.serveFront(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("answered %d", w.Code)
	}
	var stderr strings.Builder
	if code := p.command(t.Context(), adminsock.Command{Args: []string{"user", "list"}}, io.Discard, &stderr); code != exitFailed || stderr.String() == "" {
		t.Errorf("ends with %d: %s", code, stderr.String())
	}
}
