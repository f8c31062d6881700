package demo

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// outboxPath is where the mails are shown. Whoever opens the demonstration can
// be anybody anyway, so nobody needs to be signed in to read them.
const outboxPath = "/public/outbox"

// outboxPage is the list of mails.
type outboxPage struct{ Mails []delivered }

func (a *app) outbox(w http.ResponseWriter, _ *http.Request) {
	show(w, http.StatusOK, "outbox", a.page("Mails", outboxPage{a.post.all()}))
}

// letter shows one mail, as HTML in a frame and as text.
func (a *app) letter(w http.ResponseWriter, r *http.Request) {
	d, ok := a.delivered(r)
	if !ok {
		a.noLetter(w)
		return
	}
	show(w, http.StatusOK, "letter", a.page(d.Subject, d))
}

// letterHTML is the content of that frame. It is a mail: nothing in it runs,
// nothing is fetched, and it has the rights of no site. Its links open beside.
func (a *app) letterHTML(w http.ResponseWriter, r *http.Request) {
	d, ok := a.delivered(r)
	if !ok {
		a.noLetter(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	_, _ = io.WriteString(w, strings.ReplaceAll(d.HTML, "<a ", `<a target="_blank" `))
}

func (a *app) delivered(r *http.Request) (delivered, bool) {
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil {
		return delivered{}, false
	}
	return a.post.find(number)
}

func (a *app) noLetter(w http.ResponseWriter) {
	show(w, http.StatusNotFound, "note", a.page("No such mail", notePage{Text: "Only the last mails are kept, and none when the demonstration stops."}))
}
