package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// OIDCOptions is who may sign in at an OIDCProvider, and where.
type OIDCOptions struct {
	Clients []OIDCClient
	// Accounts are claims by subject. Known are email, email_verified, name,
	// preferred_username, department and groups.
	Accounts map[string]map[string]any
	// ClaimsInIDToken puts the claims of the scopes into the ID token;
	// otherwise only userinfo has them, as OpenID Connect Core 1.0, section
	// 5.4, says.
	ClaimsInIDToken bool
	IDTokenTTL      time.Duration // 0: an hour
	// Levels are how accounts sign in, by subject, that are asked for that level
	// (acr_values); whoever is asked for another signs in as ever.
	Levels map[string]OIDCLevel
}

// OIDCLevel is what a provider vouches for (OpenID Connect Core 1.0, section 2).
type OIDCLevel struct {
	ACR string   `json:"acr"`
	AMR []string `json:"amr,omitempty"`
}

// OIDCClient is a client's metadata (OpenID Connect Dynamic Client
// Registration 1.0, section 2).
type OIDCClient struct {
	ID                     string   `json:"client_id"`
	Secret                 string   `json:"client_secret,omitempty"`
	RedirectURIs           []string `json:"redirect_uris"`
	AuthMethod             string   `json:"token_endpoint_auth_method,omitempty"`
	IDTokenAlg             string   `json:"id_token_signed_response_alg,omitempty"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string   `json:"backchannel_logout_uri,omitempty"`
	// BackchannelLogoutSession wants the sid claim in tokens.
	BackchannelLogoutSession bool `json:"backchannel_logout_session_required,omitempty"`
}

// OIDCProvider is a real, certified OpenID provider: the npm package
// oidc-provider, as locked in test/idp.
type OIDCProvider struct {
	*Process
	Issuer string

	addr string
	opts OIDCOptions
}

// StartOIDCProvider starts a provider and waits until it answers.
func StartOIDCProvider(t testing.TB, opts OIDCOptions) *OIDCProvider {
	t.Helper()
	p := &OIDCProvider{addr: FreeAddr(t), opts: opts}
	p.Issuer = "http://" + p.addr
	p.Start(t)
	return p
}

// Start starts the provider at its address, anew after Stop or Kill. It has
// then forgotten all sessions and has new keys.
func (p *OIDCProvider) Start(t testing.TB) {
	t.Helper()
	settings, err := json.Marshal(map[string]any{
		"address":         p.addr,
		"clients":         p.opts.Clients,
		"accounts":        p.opts.Accounts,
		"claimsInIDToken": p.opts.ClaimsInIDToken,
		"idTokenTTL":      int(p.opts.IDTokenTTL.Seconds()),
		"levels":          p.opts.Levels,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "server.js")
	cmd.Dir = installIDP(t)
	cmd.Env = append(os.Environ(), "IDP_OPTIONS="+string(settings))
	p.Process = StartProcess(t, cmd)
	WaitFor(t, "the identity provider to answer", func(ctx context.Context) bool {
		select {
		case <-p.Done():
			t.Fatalf("the identity provider ended:\n%s", p.Output())
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Issuer+"/.well-known/openid-configuration", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// installIDP returns the folder of the provider, with its packages installed
// as the lock file says. Test programs that run at the same time take turns.
func installIDP(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "..", "idp")
	lock, err := os.Open(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatalf("install the identity provider: %v", err)
	}
	defer lock.Close() // also unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("install the identity provider: %v", err)
	}
	locked, err := io.ReadAll(lock)
	if err != nil {
		t.Fatalf("install the identity provider: %v", err)
	}
	sum := sha256.Sum256(locked)
	want := []byte(hex.EncodeToString(sum[:]))
	mark := filepath.Join(dir, "node_modules", ".installed")
	if got, err := os.ReadFile(mark); err == nil && bytes.Equal(got, want) {
		return dir
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install the identity provider: npm ci: %v\n%s", err, out)
	}
	if err := os.WriteFile(mark, want, 0o644); err != nil {
		t.Fatalf("install the identity provider: %v", err)
	}
	return dir
}

var formAction = regexp.MustCompile(`<form method="post" action="(/interaction/[^"]+)"`)

// SignIn opens startURL and walks through the provider's pages as that
// account, without a browser. It returns the last answer, which is the first
// one that is neither a redirect nor a page of the provider; an empty account
// presses "Nobody". The client needs a cookie jar. Redirects to a host for
// which stop, if not nil, says true are not followed: their answer is
// returned.
func (p *OIDCProvider) SignIn(t testing.TB, client *http.Client, startURL, account string, stop func(*url.URL) bool) *http.Response {
	t.Helper()
	walker := *client
	walker.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if stop != nil && stop(req.URL) {
			return http.ErrUseLastResponse
		}
		if len(via) > 20 {
			return fmt.Errorf("redirected more than 20 times")
		}
		return nil
	}
	resp, err := walker.Get(startURL)
	if err != nil {
		t.Fatalf("sign in as %s: %v", account, err)
	}
	if resp.Request.URL.Host != p.addr || resp.StatusCode != http.StatusOK {
		return resp // signed in there already, or refused
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatalf("sign in as %s: %v", account, err)
	}
	form := formAction.FindSubmatch(body)
	if form == nil {
		t.Fatalf("sign in as %s: the provider shows another page:\n%s", account, body)
	}
	answer := url.Values{"account": {account}}
	if account == "" {
		answer = url.Values{"deny": {"yes"}}
	} else if !strings.Contains(html.UnescapeString(string(body)), `value="`+account+`"`) {
		t.Fatalf("sign in as %s: no such person", account)
	}
	resp, err = walker.PostForm(p.Issuer+string(form[1]), answer)
	if err != nil {
		t.Fatalf("sign in as %s: %v", account, err)
	}
	return resp
}

// SignOut ends the client's session at the provider, which then tells each
// gateway that wants to know by a logout token.
func (p *OIDCProvider) SignOut(t testing.TB, client *http.Client) {
	t.Helper()
	resp, err := client.Get(p.Issuer + "/session/end")
	if err != nil {
		t.Fatalf("sign out: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatalf("sign out: %v", err)
	}
	secret := logoutSecret.FindSubmatch(body)
	if secret == nil {
		t.Fatalf("sign out: the provider shows another page:\n%s", body)
	}
	resp, err = client.PostForm(p.Issuer+"/session/end/confirm", url.Values{"xsrf": {string(secret[1])}, "logout": {"yes"}})
	if err != nil {
		t.Fatalf("sign out: %v", err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("sign out: %s", resp.Status)
	}
}

var logoutSecret = regexp.MustCompile(`name="xsrf" value="([^"]+)"`)
