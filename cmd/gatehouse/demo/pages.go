package demo

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed templates/*.html
var sources embed.FS

//go:embed demo.css
var style []byte

// templates holds one set for each page. It is built once and never changed.
var templates = func() map[string]*template.Template {
	frame := template.Must(template.New("frame.html").Funcs(template.FuncMap{
		"join": strings.Join,
		"when": func(t time.Time) string { return t.Local().Format("2 Jan 2006, 15:04:05") },
	}).ParseFS(sources, "templates/frame.html"))
	set := make(map[string]*template.Template)
	for _, name := range []string{"pick", "note", "received", "authenticator", "outbox", "letter"} {
		set[name] = template.Must(template.Must(frame.Clone()).ParseFS(sources, "templates/"+name+".html"))
	}
	return set
}()

// page is what the frame shows.
type page struct {
	Title      string
	Brand      string // whose page it is; never Gatehouse's
	Tone       string
	Banner     string
	Stylesheet string // Gatehouse's own: the demonstration shares its design
	Wide       bool
	Menu       bool
	Main       any
}

// notePage says one thing.
type notePage struct{ Text string }

const stylePath = "/public/demo.css"

// mountStyle serves what the demonstration adds to Gatehouse's stylesheet.
func mountStyle(mux *http.ServeMux) {
	mux.HandleFunc("GET "+stylePath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(style)
	})
}

func show(w http.ResponseWriter, status int, name string, p page) {
	var body bytes.Buffer
	if err := templates[name].Execute(&body, p); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	// form-action is as wide as on Gatehouse's pages, for the same reason:
	// Chromium applies it to the redirect back to the gateway.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action http: https:")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
