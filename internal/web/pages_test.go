package web_test

import (
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

var update = flag.Bool("update", false, "write the golden files anew")

func render(p *web.Pages, e exhibit) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.show(p, w, request("GET", "/"+e.name))
	return w
}

func TestGolden(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	for _, e := range gallery(t) {
		t.Run(e.name, func(t *testing.T) {
			got := render(p, e).Body.String()
			// What changes by itself: the hashes of the assets, and the pixels.
			got = strings.ReplaceAll(got, qrImage(t), "data:image/png;base64,QR")
			got = assetHash.ReplaceAllString(got, "/static/HASH/")
			path := filepath.Join("testdata", e.name+".html")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got, renew with -update:\n%s", diff)
			}
		})
	}
}

func TestHeadersOfEveryPage(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	for _, e := range gallery(t) {
		t.Run(e.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			// What an upstream's answer may have left behind.
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Etag", `"theirs"`)
			e.show(p, w, request("GET", "/"+e.name))
			h := w.Header()
			for name, want := range map[string]string{
				"Content-Type":           "text/html; charset=utf-8",
				"X-Content-Type-Options": "nosniff",
				"X-Frame-Options":        "DENY",
				"Referrer-Policy":        "no-referrer, same-origin",
				"Cache-Control":          "no-store",
				"Content-Encoding":       "",
				"Etag":                   "",
			} {
				if got := h.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			csp := h.Get("Content-Security-Policy")
			for _, directive := range []string{"default-src 'none'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'", "form-action "} {
				if !strings.Contains(csp, directive) {
					t.Errorf("the policy lacks %s: %s", directive, csp)
				}
			}
			if scripts(e) > 0 {
				if !strings.HasSuffix(csp, "; script-src 'self'") {
					t.Errorf("the page's own script cannot run: %s", csp)
				}
				csp = strings.TrimSuffix(csp, "; script-src 'self'")
			}
			for _, hole := range []string{"unsafe", "script-src", "*"} {
				if strings.Contains(csp, hole) {
					t.Errorf("the policy says %s: %s", hole, csp)
				}
			}
			if data, enrol := strings.Contains(csp, "data:"), strings.HasPrefix(e.name, "enrol") || strings.HasPrefix(e.name, "account_factor"); data != enrol {
				t.Errorf("images from data: allowed: %v", data)
			}
			if forms := strings.Contains(w.Body.String(), "<form"); forms && strings.Contains(csp, "form-action 'none'") {
				t.Error("the page's own form cannot be sent")
			}
		})
	}
}

// Programs that wait read the header, people the text.
func TestSignInSaysHowLongToWait(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	for _, c := range []struct {
		wait         time.Duration
		header, text string
	}{
		{time.Millisecond, "1", "in 1 second."},
		{89 * time.Second, "89", "in 89 seconds."},
		{90500 * time.Millisecond, "91", "in 2 minutes."},
		{15 * time.Minute, "900", "in 15 minutes."},
		{3*time.Hour - time.Second, "10799", "in 3 hours."},
	} {
		w := httptest.NewRecorder()
		p.SignIn(w, request("POST", "/oauth2/sign_in"), http.StatusTooManyRequests, web.SignIn{Local: true, Problem: "No.", RetryAfter: c.wait})
		if got := w.Header().Get("Retry-After"); w.Code != http.StatusTooManyRequests || got != c.header {
			t.Errorf("%s: %d, Retry-After %q, want %q", c.wait, w.Code, got, c.header)
		}
		if !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s: the page does not say %q", c.wait, c.text)
		}
	}
}

func TestHead(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.SignIn(w, r, http.StatusOK, web.SignIn{Local: true})
	}))
	defer server.Close()
	get, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer get.Body.Close()
	head, err := http.Head(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer head.Body.Close()
	body, _ := io.ReadAll(head.Body)
	if head.StatusCode != 200 || len(body) != 0 || head.ContentLength != get.ContentLength || head.ContentLength <= 0 {
		t.Errorf("HEAD: %d, body of %d, Content-Length %d; GET has %d", head.StatusCode, len(body), head.ContentLength, get.ContentLength)
	}
}

// What people type, what a link carries and what an identity provider is
// called may be markup: it is shown, never obeyed.
func TestHostileValuesAreText(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`
	p := &web.Pages{Prefix: prefix, Banner: evil}
	for _, e := range []exhibit{
		{"sign_in", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 200, web.SignIn{
				Connections: []web.Choice{{Name: evil, URL: "javascript:alert(1)"}, {Name: "\x00\u202e", URL: evil}},
				Local:       true, ReturnTo: "https://" + evil, Username: evil, Problem: evil,
			})
		}},
		{"confirm", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Confirm(w, r, 200, web.Confirm{Through: evil, Email: evil, Password: true, Connections: []web.Proof{{Name: evil, Connection: evil}}, Problem: evil})
		}},
		{"factor", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Factor(w, r, 200, web.Factor{Method: evil, Account: evil, Problem: evil})
		}},
		{"enrol", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Enrol(w, r, 200, web.Enrol{Method: evil, Account: evil, Secret: evil, URL: "javascript:alert(1)", QR: "data:text/html," + evil, Problem: evil})
		}},
		{"enrol_nearly_right", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Enrol(w, r, 200, web.Enrol{URL: "otpauth://totp/" + evil, QR: "data:image/png;base64,AAAA" + evil})
		}},
		{"sign_out", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.ConfirmSignOut(w, r, web.SignOut{ReturnTo: evil})
		}},
		{"signed_out", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignedOut(w, r)
		}},
		{"error", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Error(w, r.WithContext(web.WithRequestID(r.Context(), evil)), web.TryAt(auth.ErrProviderDown, evil, evil))
		}},
	} {
		t.Run(e.name, func(t *testing.T) {
			w := render(p, e)
			for _, n := range nodes(t, w.Body.String()) {
				switch n.Data {
				case "script", "iframe", "object", "embed", "base", "style":
					t.Errorf("the page has a <%s>", n.Data)
				}
				for _, a := range n.Attr {
					if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
						t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
					}
					if value := strings.ToLower(strings.TrimSpace(a.Val)); (a.Key == "href" || a.Key == "src" || a.Key == "action") &&
						(strings.HasPrefix(value, "javascript:") || strings.HasPrefix(value, "data:text")) {
						t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
					}
				}
			}
		})
	}
}

func TestAssets(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	mux := http.NewServeMux()
	p.Mount(mux)
	css := p.Stylesheet()
	for _, c := range []struct {
		name, method, path string
		status             int
		contentType, cache string
	}{
		{"the stylesheet", "GET", css, 200, "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		{"its head", "HEAD", css, 200, "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		{"of another version", "GET", "/oauth2/static/0123/gatehouse.css", 200, "text/css; charset=utf-8", "no-store"},
		{"the icon", "GET", "/oauth2/static/0123/gatehouse.svg", 200, "image/svg+xml", "no-store"},
		{"no such file", "GET", "/oauth2/static/0123/secret.txt", 404, "text/html; charset=utf-8", "no-store"},
		{"no name", "GET", "/oauth2/static/", 404, "text/html; charset=utf-8", "no-store"},
		{"a template", "GET", "/oauth2/static/0123/frame.html", 404, "text/html; charset=utf-8", "no-store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, request(c.method, c.path))
			if h := w.Header(); w.Code != c.status || h.Get("Content-Type") != c.contentType || h.Get("Cache-Control") != c.cache || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%d %q", w.Code, w.Header())
			}
		})
	}
}
