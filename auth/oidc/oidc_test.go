package oidc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/seal"
	"gatehouse/internal/store/memory"
	"gatehouse/test/badidp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ auth.Provider = (*Provider)(nil)
	_ auth.Notified = (*Provider)(nil)
)

const redirectURI = "http://gateway.example/oauth2/callback"

// usual are the mappings that internal/config fills in, and a free one.
var usual = []config.Attribute{
	{Name: config.AttrUsername, From: []string{"preferred_username"}},
	{Name: config.AttrEmail, From: []string{"email"}},
	{Name: config.AttrName, From: []string{"name"}},
	{Name: config.AttrGroups, From: []string{"groups"}},
}

// log collects what is logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// connect returns a connection to a provider, and its log.
func connect(t testing.TB, issuer string) (*Provider, *log) {
	t.Helper()
	st := memory.New()
	ring, err := seal.NewKeyring([]string{strings.Repeat("k", 43) + "="})
	if err != nil {
		t.Fatal(err)
	}
	index, err := seal.LoadIndexKey(t.Context(), st, ring)
	if err != nil {
		t.Fatal(err)
	}
	out := &log{}
	p := &Provider{
		Connection: config.Connection{
			ID: "acme", Issuer: issuer, ClientID: badidp.ClientID, ClientSecret: config.NewSecret(badidp.ClientSecret),
			Scopes: []string{"openid", "profile", "email"}, Attributes: usual,
		},
		RedirectURI: redirectURI, Store: st, Index: index,
		Log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	t.Cleanup(func() {
		if p.client != nil {
			p.client.CloseIdleConnections()
		}
	})
	return p, out
}

var pending = auth.Pending{
	State: "state-0123456789abcdef", Nonce: "nonce-0123456789abcdef",
	Verifier: "verifier-0123456789abcdefghijklmnopqrstuvwxyz-0123", Connection: "acme",
}

// browse goes where Begin sends the browser, and returns the query with which
// it comes back.
func browse(t testing.TB, address string) url.Values {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("the provider does not send the browser back: %s", resp.Status)
	}
	return back.Query()
}

// signIn is a whole sign-in. A refusal at Begin counts too.
func signIn(t testing.TB, p *Provider, pending auth.Pending) (auth.Identity, auth.Tokens, error) {
	t.Helper()
	address, err := p.Begin(t.Context(), pending)
	if err != nil {
		return auth.Identity{}, auth.Tokens{}, err
	}
	return p.Finish(t.Context(), pending, browse(t, address))
}

func TestSignIn(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	p.Connection.Attributes = append(slices.Clone(usual), config.Attribute{Name: "department", From: []string{"org.unit"}})
	at := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	idp.SetClaims(map[string]any{
		"sub": "subject-1", "preferred_username": "pat", "name": "Pat", "email": "pat@corp.example", "email_verified": true,
		"groups": []any{"staff", "ops", "staff"}, "org": map[string]any{"unit": 4711},
		"auth_time": at.Unix(), "amr": []any{"pwd", "otp"}, "acr": "2", "sid": "session-1",
	})
	id, tokens, err := signIn(t, p, pending)
	if err != nil {
		t.Fatal(err)
	}
	want := auth.Identity{
		Connection: "acme", Issuer: idp.URL(), Subject: "subject-1",
		Email: "pat@corp.example", EmailVerified: true, Username: "pat",
		Groups:     []string{"staff", "ops"},
		Attributes: map[string][]string{"name": {"Pat"}, "department": {"4711"}},
		AMR:        []string{"pwd", "otp"}, ACR: "2", AuthTime: at,
	}
	if id.Claims["sub"] != any("subject-1") {
		t.Error("the raw claims are missing")
	}
	id.Claims = nil
	if diff := cmp.Diff(want, id); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if want := (auth.Tokens{IdPSession: "session-1"}); tokens != want {
		t.Errorf("tokens: got %+v, want %+v", tokens, want)
	}
	if n := idp.Count(badidp.PathUserinfo); n != 0 {
		t.Errorf("userinfo was asked %d times though the ID token had everything", n)
	}
}

// TestBegin: what goes to the provider is the configuration and the pending
// sign-in, each parameter once.
func TestBegin(t *testing.T) {
	idp := badidp.Start(t)
	idp.SetFault("quirk: endpoint with a query")
	p, _ := connect(t, idp.URL())
	p.Connection.Scopes = []string{"email"}
	address, err := p.Begin(t.Context(), pending)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"tenant": {"1"}, "response_type": {"code"}, "client_id": {badidp.ClientID}, "redirect_uri": {redirectURI},
		"scope": {"openid email"}, "state": {pending.State}, "nonce": {pending.Nonce}, "code_challenge_method": {"S256"},
		"code_challenge": u.Query()["code_challenge"],
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if strings.Contains(address, pending.Verifier) {
		t.Error("the verifier goes through the browser")
	}
	for name, broken := range map[string]auth.Pending{
		"no state":    {Nonce: "n", Verifier: "v"},
		"no nonce":    {State: "s", Verifier: "v"},
		"no verifier": {State: "s", Nonce: "n"},
	} {
		if _, err := p.Begin(t.Context(), broken); !errors.Is(err, auth.ErrInvalidState) {
			t.Errorf("%s: got %v, want ErrInvalidState", name, err)
		}
		if _, _, err := p.Finish(t.Context(), broken, url.Values{"state": {broken.State}, "code": {"c"}}); !errors.Is(err, auth.ErrInvalidState) {
			t.Errorf("finish, %s: got %v, want ErrInvalidState", name, err)
		}
	}
}

// TestFaults: everything that a provider can do wrong is refused, for the
// right reason, without a visit to anywhere that the provider pointed at, and
// without a secret in the log or in the error.
func TestFaults(t *testing.T) {
	down, refused, invalid := auth.ErrProviderDown, auth.ErrProviderRefused, auth.ErrInvalidAnswer
	other := map[badidp.Fault]error{
		"callback: error":              refused,
		"callback: error and code":     refused,
		"callback: empty error":        refused,
		"callback: unknown code":       refused,
		"callback: code twice":         auth.ErrMalformed,
		"callback: code twice alike":   auth.ErrMalformed,
		"callback: state twice":        auth.ErrMalformed,
		"callback: iss twice":          auth.ErrMalformed,
		"callback: no state":           auth.ErrInvalidState,
		"callback: another state":      auth.ErrInvalidState,
		"token: error":                 refused,
		"token: error with status 200": refused,
		"token: client refused":        refused,
		"userinfo: refused":            refused,
		"discovery: slow":              down,
		"discovery: trickles":          down,
		"discovery: down":              down,
		"discovery: too many":          down,
		"discovery: connection breaks": down,
		"keys: slow":                   down,
		"keys: trickles":               down,
		"keys: down":                   down,
		"keys: too many":               down,
		"keys: connection breaks":      down,
		"token: slow":                  down,
		"token: trickles":              down,
		"token: down":                  down,
		"token: too many":              down,
		"token: connection breaks":     down,
		"userinfo: slow":               down,
		"userinfo: trickles":           down,
		"userinfo: down":               down,
		"userinfo: too many":           down,
		"userinfo: connection breaks":  down,
	}
	faults := badidp.Faults()
	for f := range other {
		if !slices.Contains(faults, f) {
			t.Errorf("no fault is called %q", f)
		}
	}
	for _, fault := range faults {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			want, known := other[fault]
			if !known {
				want = invalid
			}
			idp := badidp.Start(t)
			idp.SetFault(fault)
			p, out := connect(t, idp.URL())
			p.Timeout = 2 * time.Second
			if want == down {
				p.Timeout = 300 * time.Millisecond
			}
			if strings.HasPrefix(string(fault), "discovery:") {
				// Nobody is sent to a provider that says something wrong about itself.
				if address, err := p.Begin(t.Context(), pending); err == nil {
					t.Fatalf("the browser is sent to %s", address)
				}
			}
			id, _, err := signIn(t, p, pending)
			if !errors.Is(err, want) {
				t.Fatalf("got %+v, %v, want %v", id, err, want)
			}
			for _, kind := range []error{down, refused, invalid, auth.ErrMalformed, auth.ErrInvalidState} {
				if kind != want && errors.Is(err, kind) {
					t.Errorf("the error is also %q: %v", kind, err)
				}
			}
			if !cmp.Equal(id, auth.Identity{}) {
				t.Errorf("an identity came with the error: %+v", id)
			}
			if n := idp.Astray(); n != 0 {
				t.Errorf("%d requests went where the provider pointed", n)
			}
			noSecrets(t, idp, out.String()+err.Error())
		})
	}
}

// noSecrets fails when a text holds something that only the provider and we
// may know.
func noSecrets(t *testing.T, idp *badidp.IdP, text string) {
	t.Helper()
	secrets := []string{badidp.ClientSecret, pending.Verifier, pending.Nonce, pending.State, "access-", "secret-in-description", "eyJ"}
	secrets = append(secrets, idp.Last(badidp.PathToken).Form["code"]...)
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			t.Errorf("%q is in a log or an error:\n%s", s, text)
		}
	}
}

// TestQuirks: what is unusual but allowed works.
func TestQuirks(t *testing.T) {
	for _, quirk := range badidp.Quirks() {
		t.Run(string(quirk), func(t *testing.T) {
			t.Parallel()
			idp := badidp.Start(t)
			idp.SetFault(quirk)
			p, _ := connect(t, idp.URL())
			id, _, err := signIn(t, p, pending)
			if err != nil {
				t.Fatal(err)
			}
			if id.Subject == "" || id.Email != "pat@corp.example" {
				t.Errorf("got %+v", id)
			}
			if n := idp.Astray(); n != 0 {
				t.Errorf("%d requests went where the provider pointed", n)
			}
		})
	}
}

func TestAlgorithms(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			idp := badidp.Start(t)
			idp.SetAlgorithm(alg)
			p, _ := connect(t, idp.URL())
			if _, _, err := signIn(t, p, pending); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestClientAuthentication: the client proves itself as the provider's
// metadata says, and a secret goes to one place only.
func TestClientAuthentication(t *testing.T) {
	tests := []struct {
		name        string
		methods     any
		secret      string
		basic, post bool
	}{
		{"basic", []any{"client_secret_basic"}, badidp.ClientSecret, true, false},
		{"post", []any{"client_secret_post"}, badidp.ClientSecret, false, true},
		{"both", []any{"client_secret_post", "client_secret_basic"}, badidp.ClientSecret, true, false},
		{"not said", nil, badidp.ClientSecret, true, false},
		{"public client", []any{"none"}, "", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			idp := badidp.Start(t)
			idp.SetMetadata(map[string]any{"token_endpoint_auth_methods_supported": tt.methods})
			p, _ := connect(t, idp.URL())
			p.Connection.ClientSecret = config.NewSecret(tt.secret)
			if _, _, err := signIn(t, p, pending); err != nil {
				t.Fatal(err)
			}
			sent := idp.Last(badidp.PathToken)
			if got := sent.Header.Get("Authorization") != ""; got != tt.basic {
				t.Errorf("basic: got %t, want %t", got, tt.basic)
			}
			if got := sent.Form.Get("client_secret") != ""; got != tt.post {
				t.Errorf("post: got %t, want %t", got, tt.post)
			}
			if sent.Form.Get("code_verifier") != pending.Verifier {
				t.Error("no PKCE verifier")
			}
		})
	}
}

// A secret in the body of a request must not be sent on by a redirect either.
func TestSecretInBodyIsNotRedirected(t *testing.T) {
	idp := badidp.Start(t)
	idp.SetMetadata(map[string]any{"token_endpoint_auth_methods_supported": []any{"client_secret_post"}})
	idp.SetFault("token: moved within the host")
	p, _ := connect(t, idp.URL())
	if _, _, err := signIn(t, p, pending); !errors.Is(err, auth.ErrInvalidAnswer) {
		t.Errorf("got %v, want ErrInvalidAnswer", err)
	}
	if n := idp.Count(badidp.PathToken); n != 1 {
		t.Errorf("the secret was sent %d times", n)
	}
}

// TestCallerGoesAway: one caller that gives up does not fail the others who
// wait for the same document.
func TestCallerGoesAway(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Begin(gone, pending); err != nil && !errors.Is(err, auth.ErrProviderDown) {
		t.Errorf("got %v, want ErrProviderDown", err)
	}
	if _, err := p.Begin(t.Context(), pending); err != nil {
		t.Error(err)
	}
}
