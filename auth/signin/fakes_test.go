package signin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
	"gatehouse/internal/store"
	"gatehouse/internal/throttle"
)

// provider is an identity provider whose codes are names of people. It
// remembers every pending sign-in that it was given.
type provider struct {
	id       string
	down     atomic.Bool
	mu       sync.Mutex
	finished []auth.Pending
}

func (p *provider) ID() string { return p.id }

func (p *provider) Begin(_ context.Context, pending auth.Pending) (string, error) {
	if p.down.Load() {
		return "", auth.ErrProviderDown
	}
	return "https://idp.example/" + p.id + "?" + url.Values{"state": {pending.State}, "nonce": {pending.Nonce}}.Encode(), nil
}

func (p *provider) Finish(_ context.Context, pending auth.Pending, answer url.Values) (auth.Identity, auth.Tokens, error) {
	p.mu.Lock()
	p.finished = append(p.finished, pending)
	p.mu.Unlock()
	if answer.Has("error") {
		return auth.Identity{}, auth.Tokens{}, auth.ErrProviderRefused
	}
	switch code := answer.Get("code"); code {
	case "":
		return auth.Identity{}, auth.Tokens{}, auth.ErrInvalidAnswer
	case "down":
		return auth.Identity{}, auth.Tokens{}, auth.ErrProviderDown
	case "impostor":
		return auth.Identity{Connection: "local", Subject: "root"}, auth.Tokens{}, nil
	default:
		return auth.Identity{
			Connection: p.id, Issuer: "https://idp.example/" + p.id, Subject: code, Username: code,
			Attributes: map[string][]string{"department": {"science"}},
			AMR:        []string{"idp"}, Claims: map[string]any{"secret": "claim"},
		}, auth.Tokens{IdPSession: "sid-" + code}, nil
	}
}

// notifying is a provider that also takes back-channel notices.
type notifying struct{ *provider }

func (p notifying) Logout(ctx context.Context, token string, act func(context.Context, auth.LogoutNotice) (int, error)) (int, error) {
	switch token {
	case "store-down":
		return 0, fmt.Errorf("jti: %w", auth.ErrStoreDown)
	case "foreign":
		return act(ctx, auth.LogoutNotice{Connection: "partner", Subject: "alice"})
	case "good":
		return act(ctx, auth.LogoutNotice{Connection: p.id, Subject: "alice"})
	}
	return 0, auth.ErrInvalidAnswer
}

// directory resolves: "partner" passes through, "mallory" is refused, who is
// called "of-" and a name must prove that account first, everybody else at a provider has an account of that name.
type directory struct {
	signedIn func(account string, made bool) error
} // nil: it says that all is well

func (d directory) SignedIn(_ context.Context, account string, made bool) error {
	if d.signedIn == nil {
		return nil
	}
	return d.signedIn(account, made)
}

func (directory) Resolve(_ context.Context, id auth.Identity) (auth.Outcome, error) {
	switch {
	case id.Subject == "mallory":
		return auth.Outcome{}, &auth.Denied{Reason: auth.DeniedDisabled, Connection: id.Connection}
	case id.Subject == "nobody":
		return auth.Outcome{}, nil // a resolver's slip
	case id.Subject == "store-down":
		return auth.Outcome{}, fmt.Errorf("resolve: %w", store.ErrDown)
	case id.Connection == "partner":
		return auth.Outcome{Verdict: auth.PassThrough, Identity: id}, nil
	case strings.HasPrefix(id.Subject, "of-"):
		name := strings.TrimPrefix(id.Subject, "of-")
		c := &auth.Confirmation{Account: name, Username: name, Email: name + "@acme.example", Why: "it is asked for"}
		switch name {
		case "elsewhere": // no password, and no way in that is open
			c.Connections = []string{"gone"}
		case "moved":
			c.Account, c.Username, c.Password = "alice", "alice", true
		default:
			c.Password, c.Connections = true, []string{"partner", "gone"}
		}
		return auth.Outcome{Verdict: auth.Confirm, Identity: id, Decision: "decision-1", Confirmation: c}, nil
	case id.Connection == auth.Local:
		return auth.Outcome{Verdict: auth.Unchanged, Account: id.Subject, Identity: id}, nil
	}
	return auth.Outcome{Verdict: auth.Updated, Account: "account-" + id.Subject, Identity: id}, nil
}

// ResolveConfirmed judges the claims again, as rules of a connection may name
// one, and links who has proved the account that is in question.
func (d directory) ResolveConfirmed(ctx context.Context, id auth.Identity, account string) (auth.Outcome, error) {
	outcome, err := d.Resolve(ctx, id)
	switch {
	case err != nil || outcome.Verdict != auth.Confirm:
		return outcome, err
	case id.Claims["secret"] != "claim":
		return auth.Outcome{}, &auth.Denied{Reason: auth.DeniedRequirement, Connection: id.Connection, Detail: "the claims are gone"}
	case id.Subject == "of-moved": // the e-mail has become that of another account
		outcome.Confirmation.Account, outcome.Confirmation.Username = "bob", "bob"
		return outcome, nil
	case outcome.Confirmation.Account != account:
		return outcome, nil
	}
	return auth.Outcome{Verdict: auth.Linked, Account: account, Identity: id, Decision: "decision-2"}, nil
}

// Proves: the accounts alice and bob have identities of their names at partner.
func (directory) Proves(_ context.Context, id auth.Identity, account string) error {
	if account != id.Subject || id.Connection != "partner" {
		return &auth.Denied{Reason: auth.DeniedProof, Connection: id.Connection, Decision: "decision-3"}
	}
	return nil
}

// passwords knows alice, bob and mallory, whose passwords are "right".
type passwords struct {
	mu      sync.Mutex
	devices []string            // that came with attempts
	as      map[string]string   // login: whose it has become
	known   map[string][]string // account: devices
	during  func()              // while one is judged
	gone    bool                // nobody has one any more
}

func (p *passwords) Authenticate(ctx context.Context, login, password string) (auth.Identity, error) {
	p.mu.Lock()
	p.devices = append(p.devices, throttle.Device(ctx))
	p.mu.Unlock()
	if p.during != nil {
		p.during()
	}
	if name, ok := p.as[login]; ok {
		login = name
	}
	switch {
	case login == "throttled":
		return auth.Identity{}, &auth.Throttled{RetryAfter: 90 * time.Second}
	case login == "store-down":
		return auth.Identity{}, auth.ErrStoreDown
	case password == "right" && (login == "alice" || login == "bob" || login == "mallory"):
		return auth.Identity{Connection: "something", Subject: login, Username: login, AMR: []string{"mfa"}}, nil
	}
	return auth.Identity{}, auth.ErrWrongPassword
}

// HasPassword: those of Authenticate have one, and nobody who came from a
// provider.
func (p *passwords) HasPassword(_ context.Context, account string) (bool, error) {
	return !p.gone && (account == "alice" || account == "bob" || account == "mallory"), nil
}

func (p *passwords) Remember(ctx context.Context, account string) (device string, isNew bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if device = throttle.Device(ctx); slices.Contains(p.known[account], device) {
		return device, false, nil
	}
	if p.known == nil {
		p.known = map[string][]string{}
	}
	device, isNew = cookie.NewID(), len(p.known[account]) > 0
	p.known[account] = append(p.known[account], device)
	return device, isNew, nil
}

// factor passes the code "123456" once per account and time.
type factor struct {
	mu       sync.Mutex
	enrolled map[string]string // account: secret
	used     map[string]bool   // account and code
	offers   int
}

func (f *factor) Kind() string { return "totp" }

func (f *factor) Enrolled(_ context.Context, account string) ([]auth.Authenticator, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.enrolled[account] == "" {
		return nil, nil
	}
	return []auth.Authenticator{{Kind: "totp"}}, nil
}

func (f *factor) Challenge(context.Context, auth.Claimant) (auth.Challenge, error) {
	return auth.Challenge{Kind: "totp"}, nil
}

func (f *factor) Verify(_ context.Context, c auth.Claimant, _ auth.Challenge, answer string) error {
	account := c.Account
	f.mu.Lock()
	defer f.mu.Unlock()
	if answer == "throttle" {
		return &auth.Throttled{RetryAfter: 1500 * time.Millisecond}
	}
	// Any six digits that begin with 12 are right, each once: parallel answers
	// may then differ and all be right.
	if f.enrolled[account] == "" || len(answer) != 6 || answer[:2] != "12" || f.used[account+answer] {
		return auth.ErrWrongCode
	}
	f.used[account+answer] = true
	return nil
}

func (f *factor) Enrollable(context.Context, string) error { return nil }

func (f *factor) Offer(_ context.Context, c auth.Claimant) (auth.Enrolment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offers++
	secret := fmt.Sprintf("SECRET%d", f.offers)
	return auth.Enrolment{Kind: "totp", Secret: secret, URL: "otpauth://totp/" + c.Label + "?secret=" + secret}, nil
}

func (f *factor) Confirm(_ context.Context, c auth.Claimant, e auth.Enrolment, answer string) error {
	account := c.Account
	f.mu.Lock()
	defer f.mu.Unlock()
	if answer != "123456" {
		return auth.ErrWrongCode
	}
	if f.enrolled[account] != "" {
		return auth.ErrInvalidState
	}
	f.enrolled[account] = e.Secret
	return nil
}

// turns are taken one at a time, whatever the account.
type turns struct{ mu sync.Mutex }

func (t *turns) Alone(ctx context.Context, _ string, change func(context.Context) error) error {
	if !t.mu.TryLock() {
		return fmt.Errorf("%w: %w", auth.ErrBusy, &auth.Throttled{RetryAfter: time.Second})
	}
	defer t.mu.Unlock()
	return change(ctx)
}

// events remembers what it has heard.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) Happened(_ context.Context, account string, what auth.Event, detail string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, account+" "+string(what)+" "+detail)
}

// sessions keeps sessions in a map, under the cookie "session".
type sessions struct {
	mu       sync.Mutex
	live     map[string]auth.Session
	started  []auth.Session
	notified []auth.LogoutNotice
	renewed  []auth.Session
	closed   []string // accounts whose sessions were ended
	ended    map[string]time.Time
	down     atomic.Bool
}

func (s *sessions) EndedSince(_ context.Context, account string, t time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !t.After(s.ended[account]), nil
}

func (s *sessions) Start(w http.ResponseWriter, r *http.Request, n auth.Session) (*auth.Session, error) {
	if s.down.Load() {
		return nil, auth.ErrStoreDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !n.Created.After(s.ended[n.Account]) {
		return nil, auth.ErrUnauthenticated
	}
	delete(s.live, cookie.ID(r, "session"))
	n.ID = cookie.NewID()
	s.live[n.ID] = n
	n.Created = time.Time{}
	s.started = append(s.started, n)
	http.SetCookie(w, &http.Cookie{Name: "session", Value: n.ID, Path: "/"})
	return &n, nil
}

func (s *sessions) Renew(w http.ResponseWriter, r *http.Request, n auth.Session) (*auth.Session, error) {
	if s.down.Load() {
		return nil, auth.ErrStoreDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.live[n.ID]; !ok || !n.Proved.After(s.ended[n.Account]) {
		return nil, auth.ErrUnauthenticated
	}
	delete(s.live, n.ID)
	n.ID = cookie.NewID()
	s.live[n.ID] = n
	s.renewed = append(s.renewed, n)
	http.SetCookie(w, &http.Cookie{Name: "session", Value: n.ID, Path: "/"})
	return &n, nil
}

func (s *sessions) Authenticate(r *http.Request) (*auth.Session, *auth.Person, error) {
	if s.down.Load() {
		return nil, nil, auth.ErrStoreDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sess, ok := s.live[cookie.ID(r, "session")]
	if !ok {
		return nil, nil, auth.ErrUnauthenticated
	}
	return &sess, &auth.Person{
		User: sess.Identity.Subject, Email: "a@acme.example", PreferredUsername: "al",
		Attributes: map[string][]string{"department": {"science"}, "site": {"a", "b"}, "user": {"root"}, "empty": {}},
	}, nil
}

func (s *sessions) End(w http.ResponseWriter, r *http.Request) (*auth.Session, error) {
	if s.down.Load() {
		return nil, auth.ErrStoreDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := cookie.ID(r, "session")
	sess, ok := s.live[id]
	delete(s.live, id)
	http.SetCookie(w, &http.Cookie{Name: "session", Path: "/", MaxAge: -1})
	if !ok {
		return nil, nil
	}
	return &sess, nil
}

func (s *sessions) EndNotified(_ context.Context, n auth.LogoutNotice) (int, error) {
	if s.down.Load() {
		return 0, auth.ErrStoreDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notified = append(s.notified, n)
	return 1, nil
}

func (s *sessions) EndAccount(_ context.Context, account string) (ended int, err error) {
	if s.down.Load() {
		return 0, auth.ErrStoreDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, sess := range s.live {
		if sess.Account == account {
			delete(s.live, id)
			ended++
		}
	}
	s.closed = append(s.closed, account)
	return ended, nil
}

// entries are the passkeys of alice and of somebody whose account is closed.
type entries struct {
	asked  int
	during func() // while an answer is judged
}

func (e *entries) Discover(context.Context) (auth.Challenge, error) {
	e.asked++
	return auth.Challenge{
		Kind: "passkey", State: []byte(fmt.Sprint(e.asked)), Options: []byte(fmt.Sprintf(`{"challenge":"c%d"}`, e.asked)),
	}, nil
}

// Identify takes the name of an account and the number of the challenge.
func (e *entries) Identify(_ context.Context, asked auth.Challenge, answer string) (string, error) {
	account, of, _ := strings.Cut(answer, " ")
	if e.during != nil {
		e.during()
	}
	switch {
	case account == "store-down":
		return "", auth.ErrStoreDown
	case of != string(asked.State) || account == "unknown":
		return "", auth.ErrWrongCode
	}
	return account, nil
}

// links knows the links of alice, whose passwords must be long.
type links struct {
	mu   sync.Mutex
	live map[string]auth.PasswordLink
	set  []string // account, password, names
}

func (l *links) LookAtLink(_ context.Context, token string) (auth.PasswordLink, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	link, ok := l.live[token]
	switch {
	case token == "store-down":
		return link, auth.ErrStoreDown
	case !ok:
		return link, auth.ErrInvalidState
	}
	return link, nil
}

func (l *links) SetByLink(ctx context.Context, token, password string, names ...string) (auth.PasswordLink, error) {
	link, err := l.LookAtLink(ctx, token)
	switch {
	case err != nil:
		return link, err
	case len(password) < 12:
		return link, &auth.Unsuitable{Reason: "the password is too short"}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, token)
	l.set = append(l.set, strings.Join(append([]string{link.Account, password}, names...), " "))
	return link, nil
}

// resets remembers who has forgotten a password.
type resets struct {
	mu  sync.Mutex
	all []string
}

func (r *resets) Ask(_ context.Context, login string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, login)
}

// profiles knows everybody; who is called "closed" is disabled.
type profiles struct{}

func (profiles) Profile(_ context.Context, account string) (auth.Profile, error) {
	if account == "gone" {
		return auth.Profile{}, auth.ErrNotFound
	}
	return auth.Profile{
		ID: account, Username: account, Name: "Name of " + account, Active: account != "closed",
		Email: auth.Value{Values: []string{account + "@acme.example"}}, Verified: true,
	}, nil
}

// shaky is a store that fails on demand.
type shaky struct {
	store.Store
	down atomic.Bool
}

func (s *shaky) Get(ctx context.Context, key string) ([]byte, error) {
	if s.down.Load() {
		return nil, store.ErrDown
	}
	return s.Store.Get(ctx, key)
}

func (s *shaky) Create(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if s.down.Load() {
		return store.ErrDown
	}
	return s.Store.Create(ctx, key, value, ttl)
}
