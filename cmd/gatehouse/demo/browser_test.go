package demo

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"

	"gatehouse/test/servers"
)

var screenshots = flag.String("screenshots", "", "write a picture of each page into this folder")

// Every page fits a phone and a desktop, keeps to its own policy, and can be
// photographed with -screenshots for people to look at.
func TestPagesInABrowser(t *testing.T) {
	since := time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)
	users := &people{known: map[string]Account{"employee": {
		ID: "01JD3Q6ZK4", Status: "active", Links: []string{"acme: acme-0002"},
		Facts: []Fact{
			{Name: "username", Values: []string{"employee"}, Source: "acme", Since: since},
			{Name: "email", Values: []string{"employee@acme.example"}, Source: "acme", Since: since},
			{Name: "groups", Values: []string{"staff", "readers"}, Source: "acme", Since: since},
			{Name: "department", Values: []string{"Verkauf, Zürich"}, Source: "acme", Since: since},
			{Name: "badge", Values: []string{"4711"}, Source: "local"},
		},
	}}}
	a := testApp(t, users)
	a.Now = func() time.Time { return since }
	mux := http.NewServeMux()
	a.pages.Mount(mux)
	as := func(user, email, groups string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("X-Forwarded-User", user)
			r.Header.Set("X-Forwarded-Email", email)
			r.Header.Set("X-Forwarded-Groups", groups)
			r.Header.Set("X-Forwarded-Preferred-Username", "employee")
			r.Header.Set("X-Forwarded-Attr-Department", "Verkauf, Z%C3%BCrich")
			r.URL.Path = "/"
			a.handler().ServeHTTP(w, r)
		})
	}
	mux.Handle("/account", as("employee", "employee@acme.example", "readers,staff"))
	mux.Handle("/passing", as("partner:partner-0003", "", "partners"))
	mux.Handle("/", a.handler())
	server := httptest.NewServer(mux)
	defer server.Close()
	c := newClient(t, acme)
	pick := c.oauth.Endpoint.AuthURL + "?" + c.request(oauth2.GenerateVerifier(), nil)

	browser := servers.StartChromium(t)
	for _, look := range servers.Looks(*screenshots != "") {
		browser.Look(t, look)
		for _, page := range []struct{ name, url string }{
			{"pick", pick},
			{"refused", c.oauth.Endpoint.AuthURL + "?client_id=other"},
			{"account", server.URL + "/account"},
			{"passing", server.URL + "/passing"},
			{"public", server.URL + "/public/"},
			{"authenticator", server.URL + "/public/authenticator"},
			{"code", ""},
		} {
			if page.name == "code" {
				browser.Do(t,
					chromedp.SendKeys(chromedp.CSS("#key"), "JBSW Y3DP EHPK 3PXP"),
					chromedp.Click(chromedp.CSS("button[type=submit]")),
					chromedp.WaitVisible(chromedp.CSS(".big-code")))
			} else {
				browser.Go(t, page.url)
			}
			browser.Judge(t, look, page.name, *screenshots)
		}
	}
}
