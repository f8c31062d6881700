package signin_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/signin"
	"gatehouse/internal/config"
	"gatehouse/internal/cookie"
)

func TestCallbackRefuses(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	good := func() string { return p.begin("acme", "/app") }
	used := good()
	p.back(used, "alice")
	h.sessions.started = nil
	expired := good()
	h.advance(10*time.Minute + time.Second)
	for _, c := range []struct {
		name, query string
		status      int
	}{
		{"nothing", "", http.StatusBadRequest},
		{"no state", "code=alice", http.StatusBadRequest},
		{"empty state", "state=&code=alice", http.StatusBadRequest},
		{"unknown state", "state=" + cookie.NewID() + "&code=alice", http.StatusBadRequest},
		{"malformed state", "state=pending:x&code=alice", http.StatusBadRequest},
		{"huge state", "state=" + strings.Repeat("A", 100_000) + "&code=alice", http.StatusBadRequest},
		{"used state", "state=" + used + "&code=alice", http.StatusBadRequest},
		{"expired state", "state=" + expired + "&code=alice", http.StatusBadRequest},
		// One parser takes the first of two values, another the last.
		{"state twice", "state=" + good() + "&state=" + good() + "&code=alice", http.StatusBadRequest},
		{"code twice", "state=" + good() + "&code=alice&code=mallory", http.StatusBadRequest},
		{"broken query", "state=" + good() + "&code=%zz", http.StatusBadRequest},
		{"no code", "state=" + good(), http.StatusBadGateway},
		{"error", "error=access_denied&state=" + good(), http.StatusForbidden},
		{"provider down", "code=down&state=" + good(), http.StatusBadGateway},
		{"provider that speaks for local accounts", "code=impostor&state=" + good(), http.StatusBadGateway},
		{"denied", "code=mallory&state=" + good(), http.StatusForbidden},
		{"neither account nor pass-through", "code=nobody&state=" + good(), http.StatusInternalServerError},
		{"store down", "code=store-down&state=" + good(), http.StatusServiceUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			stranger := &person{h, p.client}
			a := stranger.get("/oauth2/callback?" + c.query)
			if a.status != c.status || a.location != "" {
				t.Errorf("%d to %q, want %d", a.status, a.location, c.status)
			}
			if len(h.sessions.started) > 0 {
				t.Errorf("a session came of it: %+v", h.sessions.started)
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Error("the answer may be cached")
			}
		})
	}
}

// A state is worth something only in the browser that began. A stranger who
// saw it must neither get in with it, nor sign its owner in as himself, nor
// burn it.
func TestStateIsBoundToTheBrowser(t *testing.T) {
	h := open(t, nil)
	owner, stranger := h.person(), h.person()
	state := owner.begin("acme", "/app")
	if a := stranger.back(state, "alice"); a.status != http.StatusBadRequest {
		t.Errorf("without any binding: %d", a.status)
	}
	stranger.begin("acme", "/")
	if a := stranger.back(state, "alice"); a.status != http.StatusBadRequest {
		t.Errorf("with a binding of his own: %d", a.status)
	}
	if stranger.signedIn() {
		t.Error("the stranger is signed in")
	}
	if len(h.acme.finished) != 0 {
		t.Error("the code was redeemed")
	}
	owner.back(state, "alice").expect(t, http.StatusFound, "/app")
}

func TestSeveralTabs(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	states := []string{p.begin("acme", "/1"), p.begin("partner", "/2"), p.begin("acme", "/3")}
	for _, i := range []int{2, 0, 1} {
		p.back(states[i], "alice").expect(t, http.StatusFound, fmt.Sprintf("/%d", i+1))
	}
	if len(p.cookies()) > 3 {
		t.Errorf("cookies pile up: %v", p.cookies())
	}

	// A browser that opens ten tabs at once has no binding in any of them.
	p = h.person()
	found := make([]string, 10)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			a := p.get("/oauth2/start?connection=acme&rd=/" + fmt.Sprint(i))
			u, err := url.Parse(a.location)
			if err != nil {
				t.Error(err)
				return
			}
			found[i] = u.Query().Get("state")
		})
	}
	wg.Wait()
	for i, state := range found {
		p.back(state, "alice").expect(t, http.StatusFound, "/"+fmt.Sprint(i))
	}
}

func TestOneStateUsedInParallel(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	state := p.begin("acme", "/app")
	var passed, refused atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch a := p.back(state, "alice"); a.status {
			case http.StatusFound:
				passed.Add(1)
			case http.StatusBadRequest:
				refused.Add(1)
			default:
				t.Errorf("status %d", a.status)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 || refused.Load() != 49 || len(h.sessions.started) != 1 || len(h.acme.finished) != 1 {
		t.Errorf("%d passed, %d refused, %d sessions, %d redeemed", passed.Load(), refused.Load(), len(h.sessions.started), len(h.acme.finished))
	}
}

// The handle of one step opens nothing at another.
func TestHandlesDoNotFitOtherSteps(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	state := p.begin("acme", "/app")
	a := h.person().get("/oauth2/mfa", "Cookie", "g_mfa="+state)
	a.expect(t, http.StatusFound, "/oauth2/sign_in")
	p.password("alice", "/app")
	handle := p.cookies()["g_mfa"]
	if a := p.back(handle, "alice"); a.status != http.StatusBadRequest {
		t.Errorf("a factor's handle as a state: %d", a.status)
	}
	// Nor is any of them a session.
	for _, value := range []string{state, handle} {
		if a := h.person().get("/oauth2/userinfo", "Cookie", "session="+value+"; g="+value); a.status != http.StatusUnauthorized {
			t.Errorf("a handle as a session: %d", a.status)
		}
	}
}

// Who reads the store must find neither states nor verifiers nor secrets.
func TestPendingSignInsAreSealed(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	state := p.begin("acme", "/wanted")
	p.password("alice", "/wanted")
	p.get("/oauth2/mfa")
	records := 0
	err := h.store.Scan(t.Context(), "pending:", func(key string, value []byte) error {
		records++
		for _, secret := range []string{state, p.cookies()["g_mfa"], "SECRET1", "verifier", "/wanted", "alice"} {
			if strings.Contains(key+string(value), secret) {
				t.Errorf("%s rests in the store", secret)
			}
		}
		return nil
	})
	if err != nil || records != 2 {
		t.Fatalf("%d records, %v", records, err)
	}
	// Exchanged for another's, or damaged, a record is a sign-in to begin again.
	var sealed [][]byte
	var keys []string
	_ = h.store.Scan(t.Context(), "pending:", func(key string, value []byte) error {
		keys, sealed = append(keys, key), append(sealed, value)
		return nil
	})
	for i, key := range keys {
		err := h.store.Update(t.Context(), key, func([]byte) ([]byte, time.Duration, error) {
			return sealed[1-i], time.Minute, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if a := p.back(state, "alice"); a.status != http.StatusBadRequest {
		t.Errorf("an exchanged record: %d", a.status)
	}
	p.get("/oauth2/mfa").expect(t, http.StatusFound, "/oauth2/sign_in")
}

// Attack: one visitor behind a proxy that is not trusted begins ten thousand
// sign-ins, so that nobody else behind it gets in with a password and a code.
func TestFullQuotaLeavesLocalSignIn(t *testing.T) {
	h := open(t, nil)
	for h.flowTake() {
	}
	p := h.person()
	h.factor.enrolled["alice"] = "S"
	p.password("alice", "/app").expect(t, http.StatusSeeOther, "/oauth2/mfa")
	p.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/app")

	ask := func(headers ...string) answer { return h.person().get("/oauth2/start?connection=acme", headers...) }
	warnings := func() int { return strings.Count(h.log.String(), "server.trusted_proxies") }
	// The time to wait is the true one.
	if a := ask(); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "600" {
		t.Errorf("%d, Retry-After %q, want 429 and 600", a.status, a.header.Get("Retry-After"))
	}
	h.advance(9 * time.Minute)
	if a := ask(); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "60" {
		t.Errorf("%d, Retry-After %q, want 429 and 60", a.status, a.header.Get("Retry-After"))
	}
	if n := warnings(); n != 0 {
		t.Errorf("%d warnings about a client that is no proxy", n)
	}
	// The administrator is told how to tell the visitors apart, now and then.
	for range 3 {
		ask("X-Forwarded-For", "198.51.100.7")
	}
	if n := warnings(); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
	h.trustEverybody.Store(true)
	h.advance(2 * time.Hour)
	for h.flowTake() {
	}
	ask("X-Forwarded-For", "198.51.100.7")
	if n := warnings(); n != 1 {
		t.Errorf("a trusted proxy is warned about (%d)", n)
	}
	h.trustEverybody.Store(false)
	ask("X-Forwarded-For", "198.51.100.7")
	if n := warnings(); n != 2 {
		t.Errorf("%d warnings after hours, want 2", n)
	}
}

func TestUnfinishedSignInsAreBounded(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	from := func(addr string) {
		a := netip.MustParseAddr(addr)
		h.client.Store(&a)
	}
	fill := func(n int) (refused int) {
		for range n {
			if h.flowTake() {
				continue
			}
			refused++
		}
		return refused
	}
	if refused := fill(9_999); refused != 0 {
		t.Fatalf("%d of 9,999 were refused", refused)
	}
	for range 3 {
		p.back(p.begin("acme", "/app"), "alice") // one that goes on is given back
	}
	h.acme.down.Store(true) // one that never began does not count
	if a := p.get("/oauth2/start?connection=acme"); a.status != http.StatusBadGateway {
		t.Errorf("provider down: %d", a.status)
	}
	h.acme.down.Store(false)
	if refused := fill(1); refused != 0 {
		t.Error("what was given back is still counted")
	}
	a := p.get("/oauth2/start?connection=acme")
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("from the same address: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	from("198.51.100.1")
	p.begin("acme", "/app")
	from("192.0.2.1")
	h.advance(10 * time.Minute)
	p.begin("acme", "/app")
}

// A store may be late in dropping what has expired.
func TestExpiryIsJudgedByTheClockToo(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	state := p.begin("acme", "/app")
	p.password("alice", "/app")
	err := h.store.Scan(t.Context(), "pending:", func(key string, value []byte) error {
		return h.store.Update(t.Context(), key, func([]byte) ([]byte, time.Duration, error) { return value, 0, nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	h.advance(10*time.Minute + time.Second)
	if a := p.back(state, "alice"); a.status != http.StatusBadRequest {
		t.Errorf("callback: %d", a.status)
	}
	p.get("/oauth2/mfa").expect(t, http.StatusFound, "/oauth2/sign_in")
}

func TestTrouble(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	h.acme.down.Store(true)
	if a := p.get("/oauth2/start?connection=acme"); a.status != http.StatusBadGateway || a.location != "" {
		t.Errorf("provider down: %d to %q", a.status, a.location)
	}
	h.acme.down.Store(false)
	state := p.begin("acme", "/app")
	h.store.down.Store(true)
	for _, path := range []string{"/oauth2/start?connection=acme", "/oauth2/callback?code=alice&state=" + state} {
		if a := p.get(path); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("store down, %s: %d", path, a.status)
		}
	}
	h.store.down.Store(false)
	// The state was not used up by the trouble.
	p.back(state, "alice").expect(t, http.StatusFound, "/app")
	h.sessions.down.Store(true)
	for _, path := range []string{"/oauth2/sign_in", "/oauth2/userinfo"} {
		a := p.get(path)
		if a.status != http.StatusServiceUnavailable || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("sessions down, %s: %d, cookies %v", path, a.status, a.header["Set-Cookie"])
		}
	}
	a := p.post("/oauth2/sign_out", url.Values{})
	if a.status != http.StatusServiceUnavailable || len(a.header["Set-Cookie"]) > 0 {
		t.Errorf("sessions down, sign_out: %d, cookies %v", a.status, a.header["Set-Cookie"])
	}
	h.sessions.down.Store(false)
	if !p.signedIn() {
		t.Error("the trouble signed the person out")
	}
}

func TestConnectionThatIsGone(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	state := p.begin("partner", "/app")
	h.flow.Connections = h.flow.Connections[:1]
	if a := p.back(state, "alice"); a.status != http.StatusBadRequest {
		t.Errorf("status %d", a.status)
	}
}

func TestMountRefuses(t *testing.T) {
	h := open(t, nil)
	for name, change := range map[string]func(*signin.Flow){
		// Would owe nobody a factor.
		"unknown enforce": func(f *signin.Flow) { f.Enforce = "Local" },
		"no enforce":      func(f *signin.Flow) { f.Enforce = "" },
		"no factor":       func(f *signin.Flow) { f.Factors = nil },
		"no factor for all": func(f *signin.Flow) {
			f.Factors, f.Passwords, f.Enforce = nil, nil, config.EnforceAll
		},
	} {
		f := &signin.Flow{
			Site: h.flow.Site, Prefix: "/oauth2", Passwords: h.passwords,
			Factors: []auth.Factor{h.factor}, Enforce: config.EnforceLocal,
		}
		change(f)
		if err := f.Mount(http.NewServeMux()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Whoever tries again after a failure still arrives where they wanted to go.
func TestTryAgainKeepsTheWayBack(t *testing.T) {
	h := open(t, nil)
	for name, fail := range map[string]func(*person) answer{
		"provider down at start": func(p *person) answer {
			h.acme.down.Store(true)
			defer h.acme.down.Store(false)
			return p.get("/oauth2/start?connection=acme&rd=%2Freports")
		},
		"provider down at the end": func(p *person) answer { return p.back(p.begin("acme", "/reports"), "down") },
		"provider refuses":         func(p *person) answer { return p.back(p.begin("acme", "/reports"), "") },
		"denied":                   func(p *person) answer { return p.back(p.begin("acme", "/reports"), "mallory") },
		"denied, with a password":  func(p *person) answer { return p.password("mallory", "/reports") },
		"store down": func(p *person) answer {
			state := p.begin("acme", "/reports")
			h.sessions.down.Store(true)
			defer h.sessions.down.Store(false)
			return p.back(state, "alice")
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := fail(h.person())
			if a.status < 400 || !strings.Contains(a.body, `/oauth2/sign_in?rd=%2Freports"`) {
				t.Errorf("%d without the way back:\n%s", a.status, a.body)
			}
		})
	}
}

// With one way in, the sign-in page leads straight to the provider that is
// down: another way is offered only where there is one.
func TestProviderDownOffersAnotherWay(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*signin.Flow)
		want   bool
	}{
		"another connection":        {func(f *signin.Flow) { f.Passwords = nil }, true},
		"one connection, passwords": {func(f *signin.Flow) { f.Connections = f.Connections[:1] }, true},
		"one way in":                {func(f *signin.Flow) { f.Connections, f.Passwords = f.Connections[:1], nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, c.change)
			h.acme.down.Store(true)
			a := h.person().get("/oauth2/start?connection=acme&rd=%2Freports")
			if got := strings.Contains(a.body, "Sign in another way"); a.status != http.StatusBadGateway || got != c.want {
				t.Errorf("%d, another way: %v, want %v", a.status, got, c.want)
			}
		})
	}
}

// Behind a Unix socket there may be no address; the log says so in words.
func TestClientWithoutAnAddress(t *testing.T) {
	h := open(t, nil)
	h.client.Store(&netip.Addr{})
	p := h.person()
	p.back(p.begin("acme", "/"), "alice")
	if log := h.log.String(); !strings.Contains(log, `"client":"unix"`) {
		t.Errorf("log: %s", log)
	}
}
