package demo

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

func testApp(t *testing.T, users Directory) *app {
	front, err := frontAddress("127.0.0.1:4180")
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(front)
	if users != nil {
		a.know(users)
	}
	return a
}

func get(a *app, path string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	a.handler().ServeHTTP(w, r)
	return w
}

func TestReceived(t *testing.T) {
	employee := http.Header{
		"X-Forwarded-User": {"employee"}, "X-Forwarded-Email": {""}, "X-Forwarded-Groups": {"staff"},
		"X-Forwarded-Attr-Department": {"Verkauf, Z%C3%BCrich"}, "Cookie": {"own=1"},
	}
	account := &people{known: map[string]Account{"employee": {
		ID: "a-1", Status: "active", Links: []string{"acme: acme-0002"}, Factors: []string{"totp"},
		Facts: []Fact{
			{Name: "email", Values: []string{"employee@acme.example"}, Source: "acme", Since: time.Unix(1700000000, 0)},
			{Name: "department", Source: "local"},
		},
	}}}
	for _, c := range []struct {
		name   string
		path   string
		users  Directory
		header http.Header
		want   []string
		not    []string
	}{
		{
			"an account", "/", account, employee,
			[]string{
				"Hello, <span class=\"user\">employee</span>", "Z%C3%BCrich", "reads “Verkauf, Zürich”", "This person has an account", "employee@acme.example",
				"acme: acme-0002", "totp", "2023-11-14T22:13:20Z", "not sent", "empty", banner, "own=1",
				`href="/oauth2/sign_out"`, // no rd: the page that says so is shown
			},
			[]string{"No account."},
		},
		{
			"a person who passes through", "/", account,
			http.Header{"X-Forwarded-User": {"partner:partner-0002"}},
			[]string{"partner:partner-0002", "No account."},
			[]string{"This person has an account"},
		},
		{
			"nobody", "/public/", account, nil,
			[]string{"Nobody is signed in", "Everybody may see this page"},
			[]string{"No account.", "Sign out"},
		},
		{
			"administrators", "/admin/users", account, employee,
			[]string{"Only members of the group admins"},
			nil,
		},
		{
			"the store in trouble", "/", &people{err: errors.New("down")}, employee,
			[]string{"The user store did not answer"},
			[]string{"No account."},
		},
		{
			"markup in a header", "/", account,
			http.Header{"X-Forwarded-User": {"<script>alert(1)</script>"}, "X-Forwarded-Attr-Name": {"%3Cscript%3Ealert(1)%3C/script%3E"}},
			[]string{"&lt;script&gt;"},
			[]string{"<script"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(testApp(t, c.users), c.path, c.header)
			if w.Code != http.StatusOK {
				t.Fatalf("status %d", w.Code)
			}
			for _, want := range c.want {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("the page does not say %q:\n%s", want, w.Body.String())
				}
			}
			for _, not := range c.not {
				if strings.Contains(w.Body.String(), not) {
					t.Errorf("the page says %q", not)
				}
			}
		})
	}
}

func TestAuthenticator(t *testing.T) {
	const key = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	now := time.Unix(1700000010, 0)
	code, err := totp.GenerateCode(key, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, key string
		status    int
		want      string
	}{
		{"as shown, in groups of four", "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP", 200, code[:3] + " " + code[3:]},
		{"in small letters", strings.ToLower(key), 200, code[:3] + " " + code[3:]},
		{"no key", "", 400, "This is not a set-up key"},
		{"not base32", "hello, world!", 400, "This is not a set-up key"},
		{"markup", `"><script>`, 400, "&#34;&gt;&lt;SCRIPT&gt;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := testApp(t, nil)
			a.Now = func() time.Time { return now }
			r := httptest.NewRequest("POST", "/public/authenticator", strings.NewReader(url.Values{"key": {c.key}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			a.handler().ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d, want %d and %q:\n%s", w.Code, c.status, c.want, w.Body.String())
			}
		})
	}
}

func TestPagesOfTheApplication(t *testing.T) {
	a := testApp(t, nil)
	for _, path := range []string{"/", "/public/", "/public/authenticator", "/nowhere"} {
		w := get(a, path, nil)
		h := w.Header()
		if !strings.Contains(w.Body.String(), banner) {
			t.Errorf("%s does not say that this is a demonstration", path)
		}
		if strings.Contains(w.Body.String(), "<script") || strings.Contains(w.Body.String(), " style=") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s needs a weaker policy", path)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if w := get(a, stylePath, nil); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("the stylesheet: %d %v", w.Code, w.Header())
	}
}
