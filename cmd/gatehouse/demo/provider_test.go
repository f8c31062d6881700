package demo

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

const callback = "http://localhost:4180/oauth2/callback"

// client is a relying party made of other people's libraries.
type client struct {
	t        *testing.T
	provider *provider
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	oidc     *oidc.Provider
	http     *http.Client
}

func newClient(t *testing.T, o organisation) *client {
	t.Helper()
	p, err := newProvider(o, callback)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p.handler())
	t.Cleanup(server.Close)
	p.issuer = server.URL
	found, err := oidc.NewProvider(t.Context(), p.issuer)
	if err != nil {
		t.Fatal(err)
	}
	return &client{
		t: t, provider: p, oidc: found,
		oauth: oauth2.Config{
			ClientID: p.clientID, ClientSecret: p.clientSecret, RedirectURL: callback,
			Endpoint: found.Endpoint(), Scopes: []string{"openid", "profile", "email"},
		},
		verifier: found.Verifier(&oidc.Config{ClientID: p.clientID}),
		http:     &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// request is a valid authorization request, changed as told.
func (c *client) request(verifier string, change func(url.Values)) string {
	u, err := url.Parse(c.oauth.AuthCodeURL("the-state", oidc.Nonce("the-nonce"), oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		c.t.Fatal(err)
	}
	q := u.Query()
	if change != nil {
		change(q)
	}
	return q.Encode()
}

// pick opens the page and picks a person; it returns the answer to the client.
func (c *client) pick(query, person string) url.Values {
	c.t.Helper()
	page, err := c.http.Get(c.oauth.Endpoint.AuthURL + "?" + query)
	if err != nil {
		c.t.Fatal(err)
	}
	body, _ := io.ReadAll(page.Body)
	page.Body.Close()
	if page.StatusCode != http.StatusOK || !strings.Contains(string(body), `value="`+person+`"`) {
		c.t.Fatalf("the page does not offer %s: %d\n%s", person, page.StatusCode, body)
	}
	return c.answer(c.http.PostForm(c.oauth.Endpoint.AuthURL, url.Values{"request": {query}, "person": {person}}))
}

// answer reads the redirect to the client.
func (c *client) answer(resp *http.Response, err error) url.Values {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		c.t.Fatalf("no redirect: %d", resp.StatusCode)
	}
	if !strings.HasPrefix(to.String(), callback+"?") {
		c.t.Fatalf("the answer goes to %s", to)
	}
	q := to.Query()
	if q.Get("state") != "the-state" || q.Get("iss") != c.provider.issuer {
		c.t.Errorf("state %q, iss %q", q.Get("state"), q.Get("iss"))
	}
	return q
}

func TestSignInWithALibrary(t *testing.T) {
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		for _, o := range []organisation{acme, partner} {
			c := newClient(t, o)
			c.oauth.Endpoint.AuthStyle = style
			for _, who := range o.people {
				t.Run(o.name+" "+who.role, func(t *testing.T) {
					verifier := oauth2.GenerateVerifier()
					answer := c.pick(c.request(verifier, nil), who.subject)
					token, err := c.oauth.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
					if err != nil {
						t.Fatal(err)
					}
					raw, _ := token.Extra("id_token").(string)
					idToken, err := c.verifier.Verify(t.Context(), raw)
					if err != nil {
						t.Fatal(err)
					}
					if idToken.Nonce != "the-nonce" || idToken.Subject != who.subject {
						t.Errorf("nonce %q, subject %q", idToken.Nonce, idToken.Subject)
					}
					type claims struct {
						Email         string   `json:"email"`
						EmailVerified bool     `json:"email_verified"`
						Username      string   `json:"preferred_username"`
						Groups        []string `json:"groups"`
					}
					want := claims{who.email, who.verified, who.username, who.groups}
					var got, again claims
					if err := idToken.Claims(&got); err != nil {
						t.Fatal(err)
					}
					info, err := c.oidc.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
					if err != nil {
						t.Fatal(err)
					}
					if err := info.Claims(&again); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("ID token (-want +got):\n%s", diff)
					}
					if diff := cmp.Diff(want, again); diff != "" || info.Subject != who.subject {
						t.Errorf("userinfo of %s (-want +got):\n%s", info.Subject, diff)
					}
				})
			}
		}
	}
}

// Who steals a code from a log or a history must find it spent, and when the
// thief comes first, the owner's attempt must close the door behind them.
func TestCodePassesOnce(t *testing.T) {
	c := newClient(t, acme)
	verifier := oauth2.GenerateVerifier()
	code := c.pick(c.request(verifier, nil), acme.people[0].subject).Get("code")
	token, err := c.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(verifier)); err == nil {
		t.Error("the code passed twice")
	}
	if _, err := c.oidc.UserInfo(t.Context(), oauth2.StaticTokenSource(token)); err == nil {
		t.Error("the token of a code that was used twice is still good")
	}
}

func TestTokenRefusals(t *testing.T) {
	c := newClient(t, acme)
	verifier := oauth2.GenerateVerifier()
	good := func(code string) url.Values {
		return url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
			"client_id": {c.provider.clientID}, "client_secret": {c.provider.clientSecret},
		}
	}
	for _, test := range []struct {
		name   string
		change func(url.Values)
		wait   time.Duration
		status int
		want   string
	}{
		{"as it should be", func(url.Values) {}, 0, 200, ""},
		{"another secret", func(q url.Values) { q.Set("client_secret", "guess") }, 0, 401, "invalid_client"},
		{"no secret", func(q url.Values) { q.Del("client_secret") }, 0, 401, "invalid_client"},
		{"another client", func(q url.Values) { q.Set("client_id", "other") }, 0, 401, "invalid_client"},
		{"another grant", func(q url.Values) { q.Set("grant_type", "password") }, 0, 400, "unsupported_grant_type"},
		{"no code", func(q url.Values) { q.Del("code") }, 0, 400, "invalid_grant"},
		{"another code", func(q url.Values) { q.Set("code", "guess") }, 0, 400, "invalid_grant"},
		{"an old code", func(url.Values) {}, codeLife + time.Second, 400, "invalid_grant"},
		{"another redirect URI", func(q url.Values) { q.Set("redirect_uri", callback+"/x") }, 0, 400, "invalid_grant"},
		// PKCE: who holds the code and not the verifier gets nothing.
		{"no verifier", func(q url.Values) { q.Del("code_verifier") }, 0, 400, "invalid_grant"},
		{"another verifier", func(q url.Values) { q.Set("code_verifier", oauth2.GenerateVerifier()) }, 0, 400, "invalid_grant"},
		{"the challenge as verifier", func(q url.Values) { q.Set("code_verifier", oauth2.S256ChallengeFromVerifier(verifier)) }, 0, 400, "invalid_grant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.provider.now = time.Now
			form := good(c.pick(c.request(verifier, nil), acme.people[0].subject).Get("code"))
			test.change(form)
			c.provider.now = func() time.Time { return time.Now().Add(test.wait) }
			resp, err := c.http.PostForm(c.oauth.Endpoint.TokenURL, form)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var body struct {
				Error   string
				IDToken string `json:"id_token"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status || body.Error != test.want || (body.IDToken != "") != (test.want == "") {
				t.Errorf("%d %+v, want %d %s", resp.StatusCode, body, test.status, test.want)
			}
			if resp.Header.Get("Cache-Control") != "no-store" {
				t.Error("the answer may be cached")
			}
		})
	}
}

func TestAuthorizeRefusals(t *testing.T) {
	c := newClient(t, acme)
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	for _, test := range []struct {
		name   string
		change func(url.Values)
		want   string // the error that goes back to the client; empty: a page, no redirect
	}{
		// Sent back, these would make the provider an open redirector.
		{"another client", set("client_id", "other"), ""},
		{"an address nobody registered", set("redirect_uri", "https://evil.example/"), ""},
		{"an address that begins alike", set("redirect_uri", callback+".evil.example"), ""},
		{"two redirect URIs", func(q url.Values) { q.Add("redirect_uri", "https://evil.example/") }, ""},
		{"two states", func(q url.Values) { q.Add("state", "other") }, ""},

		{"another flow", set("response_type", "id_token"), "unsupported_response_type"},
		{"no openid", set("scope", "profile"), "invalid_scope"},
		{"no PKCE", func(q url.Values) { q.Del("code_challenge") }, "invalid_request"},
		{"plain PKCE", set("code_challenge_method", "plain"), "invalid_request"},
		{"PKCE without a method", func(q url.Values) { q.Del("code_challenge_method") }, "invalid_request"},
		{"a short challenge", set("code_challenge", "x"), "invalid_request"},
		{"without asking", set("prompt", "none"), "login_required"},
	} {
		t.Run(test.name, func(t *testing.T) {
			query := c.request(oauth2.GenerateVerifier(), test.change)
			for method, send := range map[string]func() (*http.Response, error){
				"GET": func() (*http.Response, error) { return c.http.Get(c.oauth.Endpoint.AuthURL + "?" + query) },
				"POST": func() (*http.Response, error) {
					return c.http.PostForm(c.oauth.Endpoint.AuthURL, url.Values{"request": {query}, "person": {acme.people[0].subject}})
				},
			} {
				resp, err := send()
				if err != nil {
					t.Fatal(err)
				}
				if test.want == "" {
					resp.Body.Close()
					if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
						t.Errorf("%s: %d, Location %q", method, resp.StatusCode, resp.Header.Get("Location"))
					}
					continue
				}
				answer := c.answer(resp, nil)
				if answer.Get("error") != test.want || answer.Has("code") {
					t.Errorf("%s: %v", method, answer)
				}
			}
		})
	}
}

func TestCancelIsAnAnswer(t *testing.T) {
	c := newClient(t, partner)
	for _, person := range []string{"", "acme-0001"} {
		answer := c.answer(c.http.PostForm(c.oauth.Endpoint.AuthURL, url.Values{
			"request": {c.request(oauth2.GenerateVerifier(), nil)}, "person": {person},
		}))
		if answer.Get("error") != "access_denied" || answer.Has("code") {
			t.Errorf("picking %q: %v", person, answer)
		}
	}
}

// A page elsewhere must not sign the person in as somebody of its choice.
func TestPickingAcrossSitesIsRefused(t *testing.T) {
	c := newClient(t, acme)
	form := url.Values{"request": {c.request(oauth2.GenerateVerifier(), nil)}, "person": {acme.people[0].subject}}
	r, err := http.NewRequestWithContext(t.Context(), "POST", c.oauth.Endpoint.AuthURL, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestUserinfoNeedsAToken(t *testing.T) {
	c := newClient(t, acme)
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer guess", "Basic Zm9vOmJhcg=="} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", c.provider.issuer+"/userinfo", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", header)
		resp, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %d", header, resp.StatusCode)
		}
	}
}

// Anybody who can open the page can ask for codes for ever.
func TestGrantsAreBounded(t *testing.T) {
	var s grants
	begin := time.Now()
	first := s.code(grant{picked: begin})
	for i := range 2 * maxGrants {
		code := s.code(grant{picked: begin.Add(time.Duration(i+1) * time.Millisecond)})
		if _, _, ok := s.redeem(code, begin); !ok {
			t.Fatal("the newest code is not good")
		}
	}
	if len(s.codes) > maxGrants || len(s.tokens) > maxGrants {
		t.Errorf("%d codes and %d tokens are kept", len(s.codes), len(s.tokens))
	}
	if _, _, ok := s.redeem(first, begin); ok {
		t.Error("the oldest code is still there")
	}
}

func TestKeysAreNewInEachRun(t *testing.T) {
	a, b := newClient(t, acme), newClient(t, acme)
	if a.provider.keyID() == b.provider.keyID() || a.provider.clientSecret == b.provider.clientSecret {
		t.Error("two runs share a key or a secret")
	}
	token, err := a.provider.idToken(grant{person: acme.people[0], picked: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.verifier.Verify(context.Background(), token); err == nil {
		t.Error("a token of one run passes in another")
	}
}
