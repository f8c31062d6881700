package demo

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/web"
)

// app is the application behind the gateway. It shows what it received.
type app struct {
	Now   func() time.Time // nil: time.Now
	front address
	addr  string // its own
	pages *web.Pages
	users atomic.Pointer[Directory]
	post  *postbox
}

func newApp(front address) *app {
	return &app{front: front, post: &postbox{}, pages: &web.Pages{Prefix: prefix, Banner: banner}}
}

// know gives the application a look into the user store.
func (a *app) know(d Directory) { a.users.Store(&d) }

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mountStyle(mux)
	mux.HandleFunc("GET /{$}", a.received)
	mux.HandleFunc("GET /admin/", a.received)
	mux.HandleFunc("GET /public/", a.received)
	mux.HandleFunc("GET /public/authenticator", a.authenticator)
	mux.HandleFunc("POST /public/authenticator", a.authenticator)
	mux.HandleFunc("GET "+outboxPath, a.outbox)
	mux.HandleFunc("GET "+outboxPath+"/{number}", a.letter)
	mux.HandleFunc("GET "+outboxPath+"/{number}/html", a.letterHTML)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		show(w, http.StatusNotFound, "note", a.page("No such page", notePage{Text: "The application has no page here. You were let through to it, though."}))
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

func (a *app) page(title string, main any) page {
	return page{
		Title: title, Brand: "Demo application", Tone: "tone-1", Banner: banner,
		Stylesheet: a.pages.Stylesheet(), Wide: true, Menu: true, Main: main,
	}
}

// receivedPage is what the application knows of the person.
type receivedPage struct {
	Path     string
	User     string
	Headers  []header
	Others   []header
	Account  *Account
	Looked   bool // the user store was asked
	Failed   bool // and did not answer
	SignOut  string
	Where    string // what kind of page this is
	Identity bool   // there is somebody
}

// header is one header of the request.
type header struct {
	Name    string
	Value   string
	Decoded string // differs from Value where that is encoded
	Sent    bool
}

// identityHeaders are always listed, also when they did not come.
var identityHeaders = []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username"}

const attributePrefix = "X-Forwarded-Attr-"

func (a *app) received(w http.ResponseWriter, r *http.Request) {
	data := receivedPage{Path: r.URL.Path, User: decode(r.Header.Get("X-Forwarded-User")), SignOut: prefix + "/sign_out"}
	data.Identity = data.User != ""
	switch {
	case strings.HasPrefix(r.URL.Path, "/public/"):
		data.Where = "Everybody may see this page, signed in or not."
	case strings.HasPrefix(r.URL.Path, "/admin/"):
		data.Where = "Only members of the group admins may see this page."
	default:
		data.Where = "Everybody who is signed in may see this page."
	}
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range identityHeaders {
		data.Headers = append(data.Headers, headerOf(r, name))
	}
	for _, name := range names {
		switch {
		case slices.Contains(identityHeaders, name):
		case strings.HasPrefix(name, attributePrefix):
			data.Headers = append(data.Headers, headerOf(r, name))
		default:
			data.Others = append(data.Others, headerOf(r, name))
		}
	}
	if users := a.users.Load(); users != nil && data.Identity {
		account, found, err := (*users).Account(r.Context(), data.User)
		data.Looked, data.Failed = err == nil, err != nil
		if err == nil && found {
			data.Account = &account
		}
	}
	show(w, http.StatusOK, "received", a.page("You reached the application", data))
}

func headerOf(r *http.Request, name string) header {
	values, sent := r.Header[name]
	h := header{Name: name, Value: strings.Join(values, "\n"), Sent: sent}
	if decoded := decode(h.Value); decoded != h.Value {
		h.Decoded = decoded
	}
	return h
}

// decode undoes the encoding of header values: %XX for what is not plain
// ASCII.
func decode(value string) string {
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return value
	}
	return decoded
}
