package test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/test/servers"
)

// visitor is a person with a browser of their own: it keeps cookies, asks for
// pages as a browser does, and follows redirects.
type visitor struct {
	*http.Client // for servers.OIDCProvider.SignIn and for odd requests
	t            testing.TB
}

// newVisitor returns somebody who has never been anywhere. At badidp they are
// the persona with that name.
func newVisitor(t testing.TB, persona string) *visitor { return newTLSVisitor(t, persona, nil) }

// newTLSVisitor returns somebody whose browser trusts as trust says.
func newTLSVisitor(t testing.TB, persona string, trust *tls.Config) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: trust}
	t.Cleanup(transport.CloseIdleConnections)
	v := &visitor{Client: &http.Client{Jar: jar, Transport: acceptsPages{transport}, Timeout: time.Minute}, t: t}
	if persona != "" {
		// Cookies know no ports: whatever listens on loopback sees it.
		v.setCookie("http://127.0.0.1/", &http.Cookie{Name: "persona", Value: persona})
	}
	return v
}

// acceptsPages asks for pages where a request does not say what it wants.
type acceptsPages struct{ next http.RoundTripper }

func (a acceptsPages) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Accept") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	}
	return a.next.RoundTrip(r)
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	Text string
}

// get opens a URL and follows where it leads. Headers are names and values in
// turn.
func (v *visitor) get(address string, headers ...string) reply {
	v.t.Helper()
	return v.send(true, http.MethodGet, address, nil, headers...)
}

// look opens a URL and follows nothing.
func (v *visitor) look(address string, headers ...string) reply {
	v.t.Helper()
	return v.send(false, http.MethodGet, address, nil, headers...)
}

// post sends a form and follows nothing.
func (v *visitor) post(address string, form url.Values, headers ...string) reply {
	v.t.Helper()
	return v.send(false, http.MethodPost, address, form, headers...)
}

func (v *visitor) send(follow bool, method, address string, form url.Values, headers ...string) reply {
	v.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, address, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Add(pair[0], pair[1])
	}
	client := *v.Client
	if !follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	return read(v.t, resp)
}

func read(t testing.TB, resp *http.Response) reply {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read %s: %v", resp.Request.URL, err)
	}
	return reply{resp, string(text)}
}

// to is where a redirect leads; no redirect fails the test.
func (r reply) to(t testing.TB) *url.URL {
	t.Helper()
	u, err := r.Location()
	if err != nil || r.StatusCode < 300 || r.StatusCode > 399 {
		t.Fatalf("%s answered %s, which leads nowhere:\n%s", r.Request.URL.Path, r.Status, r.Text)
	}
	return u
}

// wants fails the test unless the answer has that status.
func (r reply) wants(t testing.TB, status int) reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s answered %s, want %d:\n%s", r.Request.Method, r.Request.URL.Path, r.Status, status, r.Text)
	}
	return r
}

// setCookie puts a cookie into the browser as if that URL had set it.
func (v *visitor) setCookie(address string, c *http.Cookie) {
	v.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		v.t.Fatal(err)
	}
	v.Jar.SetCookies(u, []*http.Cookie{c})
}

// cookie is the value of a cookie that would be sent to a URL, or "".
func (v *visitor) cookie(address, name string) string {
	v.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// start begins a sign-in through a connection and follows it to its end.
func (v *visitor) start(g *servers.Gateway, connection, rd string) reply {
	v.t.Helper()
	return v.get(g.URL + "/oauth2/start?" + url.Values{"connection": {connection}, "rd": {rd}}.Encode())
}

// userinfo is what /oauth2/userinfo says, nil for nobody. Any other answer
// fails the test.
func (v *visitor) userinfo(g *servers.Gateway) map[string]any {
	v.t.Helper()
	r := v.look(g.URL+"/oauth2/userinfo", "Accept", "application/json")
	if r.StatusCode == http.StatusUnauthorized {
		return nil
	}
	r.wants(v.t, http.StatusOK)
	info := map[string]any{}
	if err := json.Unmarshal([]byte(r.Text), &info); err != nil {
		v.t.Fatalf("userinfo: %v:\n%s", err, r.Text)
	}
	return info
}

// signedIn fails the test unless somebody is signed in.
func (v *visitor) signedIn(g *servers.Gateway) map[string]any {
	v.t.Helper()
	info := v.userinfo(g)
	if info == nil {
		v.t.Fatal("nobody is signed in")
	}
	return info
}

// signedOut fails the test if somebody is signed in.
func (v *visitor) signedOut(g *servers.Gateway) {
	v.t.Helper()
	if info := v.userinfo(g); info != nil {
		v.t.Fatalf("somebody is signed in: %v", info)
	}
}
