package signin_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
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
	"gatehouse/internal/returnurl"
	"gatehouse/internal/seal"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/web"
)

// house is one gateway with its parts.
type house struct {
	t                testing.TB
	flow             *signin.Flow
	url              string
	store            *shaky
	acme, partner    *provider
	passwords        *passwords
	factor           *factor
	sessions         *sessions
	events           *events
	links            *links
	resets           *resets
	linker           *linker
	log              *lockedBuffer
	offset           atomic.Int64
	client           atomic.Pointer[netip.Addr]
	trustEverybody   atomic.Bool
	jarlessTransport http.RoundTripper
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (h *house) now() time.Time          { return time.Unix(1_800_000_000, h.offset.Load()) }
func (h *house) advance(d time.Duration) { h.offset.Add(int64(d)) }

// open builds a gateway with the connections "acme" (JIT on) and "partner"
// (JIT off) and local accounts; change alters it before it is mounted.
func open(t testing.TB, change func(*signin.Flow)) *house {
	t.Helper()
	mem := memory.New()
	h := &house{
		t: t, store: &shaky{Store: mem},
		acme: &provider{id: "acme"}, partner: &provider{id: "partner"},
		passwords: &passwords{}, factor: &factor{enrolled: map[string]string{}, used: map[string]bool{}},
		events: &events{}, linker: &linker{}, links: &links{live: map[string]auth.PasswordLink{}}, resets: &resets{}, sessions: &sessions{live: map[string]auth.Session{}, ended: map[string]time.Time{}}, log: &lockedBuffer{},
	}
	mem.Now = h.now
	keys, err := seal.NewKeyring([]string{"a key for tests that is long enough"})
	if err != nil {
		t.Fatal(err)
	}
	index, err := seal.LoadIndexKey(t.Context(), h.store, keys)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	h.url = "http://" + server.Listener.Addr().String()
	site, err := returnurl.New(h.url, "/oauth2", []string{".b.example"})
	if err != nil {
		t.Fatal(err)
	}
	h.flow = &signin.Flow{
		Site: site, Prefix: "/oauth2",
		Connections: []signin.Connection{
			{Name: "Acme SSO", EmailDomains: []string{"acme.example"}, Provider: notifying{h.acme}},
			{Name: "Partner", Provider: h.partner},
		},
		Passwords: h.passwords, Factors: []auth.Factor{h.factor}, Methods: []string{"totp", "email_code", "passkey", "recovery_code"}, Enforce: config.EnforceLocal,
		Linker: h.linker, Turns: &turns{}, Passkeys: &entries{}, Links: h.links, Resets: h.resets, Accounts: profiles{},
		Resolver: directory{}, Sessions: h.sessions, Events: h.events,
		Store: h.store, Index: index, Keys: keys,
		Cookies: cookie.Policy{Name: "g", SameSite: http.SameSiteLaxMode},
		Pages:   &web.Pages{Prefix: "/oauth2"},
		QR:      func(string) (string, error) { return "data:image/png;base64,eA==", nil },
		Trusted: func(*http.Request) bool { return h.trustEverybody.Load() },
		Log:     slog.New(slog.NewJSONHandler(h.log, nil)),
		Now:     h.now,
	}
	h.flow.Client = func(*http.Request) netip.Addr {
		if a := h.client.Load(); a != nil {
			return *a
		}
		return netip.MustParseAddr("192.0.2.1")
	}
	if change != nil {
		change(h.flow)
	}
	if err := h.flow.Mount(mux); err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "application "+r.RequestURI) })
	server.Start()
	t.Cleanup(server.Close)
	h.jarlessTransport = server.Client().Transport
	return h
}

// person is somebody with a browser, which never follows a redirect by itself.
type person struct {
	h      *house
	client *http.Client
}

func (h *house) person() *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &person{h: h, client: &http.Client{
		Jar: jar, Transport: h.jarlessTransport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a response that was read.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (p *person) do(r *http.Request) answer {
	p.h.t.Helper()
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/html")
	}
	res, err := p.client.Do(r)
	if err != nil {
		p.h.t.Error(err)
		return answer{}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.h.t.Error(err)
	}
	return answer{res.StatusCode, res.Header.Get("Location"), res.Header, string(body)}
}

func (p *person) request(method, path string, form url.Values, headers ...string) *http.Request {
	p.h.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = p.h.url + path
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, target, body)
	if err != nil {
		p.h.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (p *person) get(path string, headers ...string) answer {
	p.h.t.Helper()
	return p.do(p.request(http.MethodGet, path, nil, headers...))
}

func (p *person) post(path string, form url.Values, headers ...string) answer {
	p.h.t.Helper()
	return p.do(p.request(http.MethodPost, path, form, headers...))
}

// begin goes to a connection and returns the state that the provider saw.
func (p *person) begin(connection, rd string) (state string) {
	p.h.t.Helper()
	a := p.get("/oauth2/start?" + url.Values{"connection": {connection}, "rd": {rd}}.Encode())
	if a.status != http.StatusFound {
		p.h.t.Fatalf("start: %d %s", a.status, a.body)
	}
	return stateOf(p.h.t, a)
}

func stateOf(t testing.TB, a answer) string {
	t.Helper()
	u, err := url.Parse(a.location)
	if err != nil || u.Host != "idp.example" || u.Query().Get("state") == "" {
		t.Fatalf("not at the provider: %d %q", a.status, a.location)
	}
	return u.Query().Get("state")
}

func (p *person) back(state, code string) answer {
	p.h.t.Helper()
	return p.get("/oauth2/callback?" + url.Values{"state": {state}, "code": {code}}.Encode())
}

// password signs in as far as the first step goes.
func (p *person) password(login, rd string) answer {
	p.h.t.Helper()
	return p.post("/oauth2/sign_in", url.Values{"username": {login}, "password": {"right"}, "rd": {rd}})
}

func (p *person) signedIn() bool {
	p.h.t.Helper()
	return p.get("/oauth2/userinfo").status == http.StatusOK
}

func (p *person) cookies() map[string]string {
	u, _ := url.Parse(p.h.url)
	all := map[string]string{}
	for _, c := range p.client.Jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}

// expect fails unless the answer has that status and leads there.
func (a answer) expect(t testing.TB, status int, location string) {
	t.Helper()
	if a.status != status || a.location != location {
		t.Errorf("answer %d to %q, want %d to %q\n%s", a.status, a.location, status, location, a.body)
	}
}

// flowTake counts one unfinished sign-in without making it.
func (h *house) flowTake() bool {
	return h.flow.TakeQuota(httptest.NewRequest(http.MethodGet, "/", nil))
}
