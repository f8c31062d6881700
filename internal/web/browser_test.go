package web_test

import (
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/web"
	"gatehouse/test/servers"
)

var screenshots = flag.String("screenshots", "", "write a picture of each page into this folder")

// Every page fits a phone and a desktop without scrolling sideways, draws no
// complaint about its own content security policy, and can be photographed
// with -screenshots for people to look at.
func TestPagesInABrowser(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	mux := http.NewServeMux()
	p.Mount(mux)
	all := gallery(t)
	for _, e := range all {
		mux.HandleFunc("GET /"+e.name, func(w http.ResponseWriter, r *http.Request) {
			page := httptest.NewRecorder()
			e.show(p, page, r.WithContext(web.WithRequestID(r.Context(), "0f4c2a9be81d7730")))
			maps.Copy(w.Header(), page.Header())
			// The page is looked at, not left: a browser that goes on by itself
			// would cut off the test's next step.
			w.Header().Del("Refresh")
			w.WriteHeader(page.Code)
			_, _ = w.Write(page.Body.Bytes())
		})
	}
	server := httptest.NewServer(mux)
	defer server.Close()

	browser := servers.StartChromium(t)
	for _, look := range servers.Looks(*screenshots != "") {
		browser.Look(t, look)
		for _, e := range all {
			browser.Go(t, server.URL+"/"+e.name)
			browser.Judge(t, look, e.name, *screenshots)
		}
	}
}

// Chromium applies form-action to the redirects that follow a form's
// submission. With 'self' alone a sign-in would be stopped on its way to an
// application on another host, which the person sees as a dead button.
func TestSignInFormMayEndOnAnotherOrigin(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	application := http.NewServeMux()
	p.Mount(application)
	application.Handle("GET /first", http.RedirectHandler("/second", http.StatusFound))
	application.HandleFunc("GET /second", func(w http.ResponseWriter, r *http.Request) { p.Error(w, r, auth.ErrNotFound) })
	elsewhere := httptest.NewServer(application)
	defer elsewhere.Close()

	mux := http.NewServeMux()
	p.Mount(mux)
	mux.HandleFunc("GET /oauth2/sign_in", func(w http.ResponseWriter, r *http.Request) {
		p.SignIn(w, r, http.StatusOK, web.SignIn{Local: true, Username: "employee"})
	})
	origin := make(chan string, 1)
	mux.HandleFunc("POST /oauth2/sign_in", func(w http.ResponseWriter, r *http.Request) {
		origin <- r.Header.Get("Origin")
		http.Redirect(w, r, elsewhere.URL+"/first", http.StatusSeeOther)
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	browser := servers.StartChromium(t)
	browser.Go(t, server.URL+"/oauth2/sign_in")
	browser.Do(t,
		chromedp.SendKeys(chromedp.CSS("#password"), "correct horse"),
		chromedp.Click(chromedp.CSS("button[type=submit]")),
		chromedp.WaitVisible(chromedp.CSS(".status")),
	)
	// Under Referrer-Policy: no-referrer this would be "null", which the
	// cross-origin check takes for an attack wherever the browser sends no
	// Sec-Fetch-Site.
	if got := <-origin; got != server.URL {
		t.Errorf("the form was sent with Origin %q, want %q", got, server.URL)
	}
	if got, want := browser.Location(t), elsewhere.URL+"/second"; got != want {
		t.Errorf("the browser is at %s, want %s", got, want)
	}
	if diff := cmp.Diff([]string(nil), browser.Problems()); diff != "" {
		t.Errorf("the browser complains: %s", diff)
	}
}
