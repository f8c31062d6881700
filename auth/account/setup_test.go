package account_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/account"
	"gatehouse/internal/seal"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/web"
)

// house is the account page with everything around it: sessions by the value of
// the cookie "s", and what was done.
type house struct {
	usernameSource string // who gave people their names
	t              testing.TB
	page           *account.Account
	mux            *http.ServeMux
	now            time.Time
	log            bytes.Buffer

	mu        sync.Mutex
	sessions  map[string]*auth.Session
	passwords map[string]string // by account
	changed   time.Time         // a password, last
	factors   map[string][]auth.Authenticator
	demanded  map[string]bool
	codes     map[string][]string
	unable    error // says that no app can be added
	links     []auth.LinkedIdentity
	lastWay   bool
	ends      int // the store goes at this end of others' sessions; 0: it does not
	turn      sync.Mutex
	between   func() // runs once a factor was found to be there, and before it is removed
	events    []string
}

// open builds a house. Its people: alice and bob, who have passwords; carol,
// who came by acme and has none; and a guest, who passes through.
func open(t testing.TB) *house {
	t.Helper()
	h := &house{
		t: t, now: time.Unix(1_800_000_000, 0), sessions: map[string]*auth.Session{},
		passwords: map[string]string{"alice": "old", "bob": "old"},
		factors:   map[string][]auth.Authenticator{}, demanded: map[string]bool{}, codes: map[string][]string{},
		links: []auth.LinkedIdentity{{Connection: "acme", Issuer: "https://id.acme.example", Subject: "a1", Time: time.Unix(1_700_000_000, 0)}},
	}
	keys, err := seal.NewKeyring([]string{"a key for tests that is long enough"})
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.New()
	mem.Now = func() time.Time { return h.now }
	index, err := seal.LoadIndexKey(t.Context(), mem, keys)
	if err != nil {
		t.Fatal(err)
	}
	h.page = &account.Account{
		Origin: "https://gate.example", Prefix: "/oauth2",
		Connections: []account.Connection{{ID: "acme", Name: "Acme SSO", Linkable: true}, {ID: "guests", Name: "Guests"}},
		Headers: func(p *auth.Person) []web.Header {
			return []web.Header{{Name: "X-Forwarded-User", Value: p.User}}
		},
		Sessions: h, Profiles: h, Links: h, Passwords: h, Factors: h, Turns: h, Demands: h, Recovery: h,
		Enrollers: []auth.Enroller{enroller{h}, passkeys{enroller{h}}}, Events: h,
		Store: mem, Index: index, Keys: keys,
		Pages: &web.Pages{Prefix: "/oauth2"},
		QR:    func(string) (string, error) { return "data:image/png;base64,QR", nil },
		Log:   slog.New(slog.NewTextHandler(&h.log, nil)),
		Now:   func() time.Time { return h.now },
	}
	h.mux = http.NewServeMux()
	if err := h.page.Mount(h.mux); err != nil {
		t.Fatal(err)
	}
	local := func(id, account string, proved time.Time) {
		h.sessions[id] = &auth.Session{
			ID: id, Account: account, Identity: auth.Identity{Connection: auth.Local, Subject: account},
			Created: h.now.Add(-time.Hour), Seen: h.now, Proved: proved, ProvedFactor: auth.KindTOTP,
			Client: auth.Client{Address: "192.0.2.7", Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		}
	}
	local("alice", "alice", h.now)
	local("alice-stale", "alice", h.now.Add(-10*time.Minute-time.Second))
	local("alice-unproved", "alice", time.Time{})
	local("bob", "bob", h.now)
	acme := auth.Identity{Connection: "acme", Issuer: "https://id.acme.example", Subject: "a1"}
	h.sessions["carol"] = &auth.Session{ID: "carol", Account: "carol", Identity: acme, Created: h.now, Seen: h.now}
	h.sessions["carol-stale"] = &auth.Session{ID: "carol-stale", Account: "carol", Identity: acme, Created: h.now.Add(-time.Hour), Seen: h.now}
	h.sessions["alice-acme"] = &auth.Session{ID: "alice-acme", Account: "alice", Identity: acme, Created: h.now, Seen: h.now}
	h.sessions["guest"] = &auth.Session{
		ID: "guest", Created: h.now, Seen: h.now, Proved: h.now,
		Identity: auth.Identity{Connection: "guests", Issuer: "https://id.guests.example", Subject: "g1"},
	}
	return h
}

// do sends a request as a browser with that session does.
func (h *house) do(method, session, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, "https://gate.example/oauth2/account"+path, body)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if session != "" {
		r.Header.Set("Cookie", "s="+session)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	return w
}

func (h *house) get(session, path string) *httptest.ResponseRecorder {
	return h.do(http.MethodGet, session, path, nil)
}

func (h *house) post(session, path string, pairs ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return h.do(http.MethodPost, session, path, form)
}

// expect fails unless an answer has the status and leads there.
func expect(t testing.TB, w *httptest.ResponseRecorder, status int, location string) {
	t.Helper()
	if got := w.Header().Get("Location"); w.Code != status || got != location {
		t.Errorf("%d to %q, want %d to %q", w.Code, got, status, location)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

func shows(t testing.TB, w *httptest.ResponseRecorder, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("the page does not show %q", text)
		}
	}
}

func (h *house) Authenticate(r *http.Request) (*auth.Session, *auth.Person, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, err := r.Cookie("s")
	if err != nil || h.sessions[c.Value] == nil {
		return nil, nil, auth.ErrUnauthenticated
	}
	s := h.sessions[c.Value]
	return s, &auth.Person{User: "user-of-" + s.ID, Account: s.Account, Connection: s.Identity.Connection}, nil
}

func (h *house) Open(_ context.Context, account string, f func(*auth.Session) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sessions {
		if s.Account == account {
			if err := f(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *house) Renew(w http.ResponseWriter, _ *http.Request, n auth.Session) (*auth.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, n.ID)
	n.ID += "-renewed"
	h.sessions[n.ID] = &n
	http.SetCookie(w, &http.Cookie{Name: "s", Value: n.ID})
	return &n, nil
}

func (h *house) EndID(_ context.Context, id string) error {
	if h.sessions[id] == nil {
		return auth.ErrNotFound
	}
	delete(h.sessions, id)
	return nil
}

func (h *house) EndOthers(_ context.Context, account, keep string) (int, error) {
	if h.ends--; h.ends == 0 {
		return 0, auth.ErrStoreDown
	}
	n := 0
	for id, s := range h.sessions {
		if s.Account == account && id != keep {
			delete(h.sessions, id)
			n++
		}
	}
	return n, nil
}

func (h *house) Profile(_ context.Context, account string) (auth.Profile, error) {
	return auth.Profile{
		ID: account, Username: account, UsernameSource: h.usernameSource, UsernameTime: h.now, Links: h.links, Created: h.now,
		Email: auth.Value{Values: []string{account + "@acme.example"}, Source: "acme", Time: h.now}, Verified: true,
	}, nil
}

func (h *house) Activity(context.Context, string) ([]auth.Activity, error) {
	return []auth.Activity{{Time: h.now, Event: "linked", By: "acme", Detail: "links"}}, nil
}

func (h *house) UnlinkOwn(_ context.Context, _ string, l auth.LinkedIdentity) error {
	if h.lastWay {
		return auth.ErrLastWay
	}
	n := len(h.links)
	h.links = slices.DeleteFunc(h.links, func(has auth.LinkedIdentity) bool {
		return has.Connection == l.Connection && has.Issuer == l.Issuer && has.Subject == l.Subject
	})
	if len(h.links) == n {
		return auth.ErrNotFound
	}
	return nil
}

func (h *house) Since(context.Context, string) (time.Time, error) { return h.now, nil }

func (h *house) HasPassword(_ context.Context, account string) (bool, error) {
	_, has := h.passwords[account]
	return has, nil
}

func (h *house) Refuses(password string, names ...string) string {
	if len(password) < 12 || slices.Contains(names, password) {
		return "It is too easy to guess."
	}
	return ""
}

func (h *house) Change(_ context.Context, account, password string, proved time.Time, _ ...string) error {
	if h.changed.After(proved) {
		return auth.ErrInvalidState
	}
	h.passwords[account], h.changed = password, h.now.Add(time.Second)
	return nil
}

func (h *house) All(_ context.Context, account string) ([]auth.Authenticator, error) {
	all := h.factors[account]
	if n := len(h.codes[account]); n > 0 {
		all = append(slices.Clone(all), auth.Authenticator{ID: "codes", Kind: h.Kind(), Left: n})
	}
	return all, nil
}

func (h *house) Alone(ctx context.Context, _ string, change func(context.Context) error) error {
	if !h.turn.TryLock() {
		return fmt.Errorf("%w: %w", auth.ErrBusy, &auth.Throttled{RetryAfter: time.Second})
	}
	defer h.turn.Unlock()
	return change(ctx)
}

func (h *house) Met(_ context.Context, account string) error {
	delete(h.demanded, account)
	return nil
}

func (h *house) Remove(_ context.Context, account, kind, id string) error {
	if between := h.between; between != nil {
		h.between = nil
		between()
	}
	h.factors[account] = slices.DeleteFunc(h.factors[account], func(f auth.Authenticator) bool { return f.Kind == kind && f.ID == id })
	return nil
}

func (h *house) Rename(_ context.Context, account, kind, id, name string) error {
	if name == "" {
		return auth.ErrMalformed
	}
	for i, f := range h.factors[account] {
		if f.Kind == kind && f.ID == id {
			h.factors[account][i].Name = name
			return nil
		}
	}
	return auth.ErrNotFound
}

func (h *house) Kind() string       { return "recovery_code" }
func (h *house) Generate() []string { return []string{"aaaa-bbbb-cccc", "dddd-eeee-ffff"} }

func (h *house) Keep(_ context.Context, account string, codes []string) error {
	h.codes[account] = codes
	return nil
}

func (h *house) Happened(_ context.Context, account string, e auth.Event, detail string) {
	h.events = append(h.events, strings.TrimSpace(account+" "+string(e)+" "+detail))
}

// enroller is an authenticator app whose code is 123456.
type enroller struct{ h *house }

func (enroller) Kind() string { return "totp" }

func (enroller) Enrolled(context.Context, string) ([]auth.Authenticator, error) { return nil, nil }

func (enroller) Challenge(context.Context, auth.Claimant) (auth.Challenge, error) {
	return auth.Challenge{}, auth.ErrNotFound
}

func (enroller) Verify(context.Context, auth.Claimant, auth.Challenge, string) error {
	return auth.ErrWrongCode
}

func (e enroller) Enrollable(context.Context, string) error { return e.h.unable }

func (enroller) Offer(_ context.Context, c auth.Claimant) (auth.Enrolment, error) {
	if c.Purpose != auth.PurposeEnrol || c.Binding == "" {
		return auth.Enrolment{}, auth.ErrInvalidState
	}
	return auth.Enrolment{Kind: "totp", Secret: "SECRETOF" + strings.ToUpper(c.Label), URL: "otpauth://totp/x?secret=SECRET"}, nil
}

func (e enroller) Confirm(_ context.Context, c auth.Claimant, offered auth.Enrolment, answer string) error {
	switch {
	case answer == "slow":
		return &auth.Throttled{RetryAfter: 59*time.Second + time.Millisecond}
	case answer != "123456":
		return auth.ErrWrongCode
	case len(e.h.factors[c.Account]) > 0:
		return auth.ErrInvalidState
	}
	e.h.factors[c.Account] = append(e.h.factors[c.Account], auth.Authenticator{ID: "new", Kind: offered.Kind, Name: offered.Name})
	return nil
}

// passkeys are made by a browser, which answers 123456.
type passkeys struct{ enroller }

func (passkeys) Kind() string { return "passkey" }

func (passkeys) Enrollable(context.Context, string) error { return nil }

func (passkeys) Offer(context.Context, auth.Claimant) (auth.Enrolment, error) {
	return auth.Enrolment{Kind: "passkey", Options: []byte(`{"challenge":"c1"}`)}, nil
}
