package oidc

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestCertifiedProvider signs in at a real provider, end to end: claims from
// userinfo and from the ID token, a person who says no, and a logout token.
func TestCertifiedProvider(t *testing.T) {
	logoutTokens := make(chan string, 1)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("logout_token") != "" {
			logoutTokens <- r.FormValue("logout_token")
		}
	}))
	t.Cleanup(gateway.Close)
	callback := gateway.URL + "/callback"

	tests := []struct {
		name   string
		client servers.OIDCClient
		inID   bool
	}{
		{"claims from userinfo, basic", servers.OIDCClient{Secret: badidp.ClientSecret}, false},
		{"claims from the ID token, post, ES256", servers.OIDCClient{
			Secret: badidp.ClientSecret, AuthMethod: "client_secret_post", IDTokenAlg: "ES256",
		}, true},
		{"public client", servers.OIDCClient{AuthMethod: "none"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.client.ID, tt.client.RedirectURIs = badidp.ClientID, []string{callback}
			tt.client.BackchannelLogoutURI, tt.client.BackchannelLogoutSession = gateway.URL+"/logout", true
			idp := servers.StartOIDCProvider(t, servers.OIDCOptions{
				Clients: []servers.OIDCClient{tt.client},
				Accounts: map[string]map[string]any{"alice": {
					"email": "alice@corp.example", "email_verified": true, "preferred_username": "alice", "name": "Alice",
					"groups": []string{"staff", "ops"}, "department": "R&D",
				}},
				ClaimsInIDToken: tt.inID,
			})
			p, _ := connect(t, idp.Issuer)
			p.RedirectURI = callback
			p.Connection.ClientSecret = config.NewSecret(tt.client.Secret)
			p.Connection.Scopes = []string{"openid", "profile", "email", "groups"}
			p.Connection.Attributes = append(usual[:4:4], config.Attribute{Name: "department", From: []string{"department"}})
			browser := newBrowser(t)
			id, tokens, err := p.Finish(t.Context(), pending, walk(t, idp, browser, p, "alice"))
			if err != nil {
				t.Fatal(err)
			}
			id.Claims = nil
			want := auth.Identity{
				Connection: "acme", Issuer: idp.Issuer, Subject: "alice", Email: "alice@corp.example", EmailVerified: true,
				Username: "alice", Groups: []string{"staff", "ops"},
				Attributes: map[string][]string{"name": {"Alice"}, "department": {"R&D"}},
			}
			if diff := cmp.Diff(want, id); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			if tokens.IdPSession == "" {
				t.Error("no sid")
			}

			idp.SignOut(t, browser)
			token := <-logoutTokens
			notice, err := told(t.Context(), p, token)
			if err != nil {
				t.Fatal(err)
			}
			if want := (auth.LogoutNotice{Connection: "acme", Issuer: idp.Issuer, Subject: "alice", IdPSession: tokens.IdPSession}); notice != want {
				t.Errorf("logout: got %+v, want %+v", notice, want)
			}

			if _, _, err := p.Finish(t.Context(), pending, walk(t, idp, newBrowser(t), p, "")); !errors.Is(err, auth.ErrProviderRefused) {
				t.Errorf("a person who says no: got %v, want ErrProviderRefused", err)
			}
		})
	}
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
}

// walk leads a browser through the provider's pages and returns the query
// with which it comes back.
func walk(t *testing.T, idp *servers.OIDCProvider, browser *http.Client, p *Provider, account string) url.Values {
	t.Helper()
	address, err := p.Begin(t.Context(), pending)
	if err != nil {
		t.Fatal(err)
	}
	resp := idp.SignIn(t, browser, address, account, func(u *url.URL) bool { return u.Path == "/callback" })
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("the provider does not send the browser back: %s", resp.Status)
	}
	return back.Query()
}

// TestProviderComesBack: while the provider is away, callers are told at
// once; when it is back, that is noticed soon, and start-up waited for
// nothing.
func TestProviderComesBack(t *testing.T) {
	idp := badidp.Start(t)
	idp.SetFault("discovery: down")
	p, _ := connect(t, idp.URL())
	now := time.Now()
	p.Now = func() time.Time { return now }
	for range 20 {
		if _, err := p.Begin(t.Context(), pending); !errors.Is(err, auth.ErrProviderDown) {
			t.Fatalf("got %v, want ErrProviderDown", err)
		}
	}
	if n := idp.Count(badidp.PathDiscovery); n != 1 {
		t.Errorf("20 callers in one moment caused %d requests, want 1", n)
	}
	idp.SetFault("")
	now = now.Add(firstRetry)
	if _, err := p.Begin(t.Context(), pending); err != nil {
		t.Errorf("the provider is back: %v", err)
	}
}
