package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"time"
)

//go:embed templates/*.html
var sources embed.FS

// pages holds one template set for each page: the frame and that page's own
// title and main part. It is built once and never changed.
var pages = func() map[string]*template.Template {
	frame := template.Must(template.New("frame.html").Funcs(functions).ParseFS(sources, "templates/frame.html", "templates/parts.html"))
	set := make(map[string]*template.Template)
	for _, name := range []string{
		"sign_in", "reset", "password", "prove", "passkey_entry", "confirm", "factor", "enrol", "sign_out", "signed_out", "error", "go_on",
		"account", "account_password", "account_factor", "account_codes",
	} {
		set[name] = template.Must(template.Must(frame.Clone()).ParseFS(sources, "templates/"+name+".html"))
	}
	return set
}()

// view is what a template sees.
type view struct {
	Prefix     string
	Banner     string
	RequestID  string
	Decision   string // id of the decision that the page is about, if any
	Stylesheet string
	Icon       string
	Wide       bool   // the page is more than one card
	Script     string // "" on every page but those with passkeys
	Page       any
}

// scripted is a page that may need our one script: browsers have passkeys for
// scripts alone.
type scripted interface{ scripted() bool }

// Content security policies (CSP Level 3). Nothing but our own stylesheet and
// images is loaded, nothing runs but for passkeys, nobody frames us.
//
// A page with a form must not say form-action 'self': Chromium applies that
// directive to every redirect that follows the submission, and a sign-in ends
// in a redirect to the application, which may well send the person on to some
// other origin. What the directive would stop, a form injected into our page
// that posts a password elsewhere, is stopped by html/template's escaping;
// what is left of it refuses schemes that are not the web.
const (
	policy         = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
	policyNoForm   = policy + "; form-action 'none'"
	policyForm     = policy + "; form-action http: https:"
	policyFormData = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action http: https:"
)

// policies says which page needs more than policyNoForm: forms, and for the
// QR code an image of the page's own.
var policies = map[string]string{
	"sign_in":  policyForm,
	"reset":    policyForm,
	"password": policyForm,
	"prove":    policyForm,

	"passkey_entry": policyForm,
	"confirm":       policyForm,
	"factor":        policyForm,
	"sign_out":      policyForm,
	"enrol":         policyFormData,

	"account":          policyForm,
	"account_password": policyForm,
	"account_factor":   policyFormData,
}

// referrerPolicy tells other sites nothing. Under plain no-referrer Chromium
// sends "Origin: null" with a form even to our own origin (Fetch, section
// 3.1), and where Sec-Fetch-Site is missing, as it is over plain HTTP off
// loopback, the cross-origin check would then refuse every sign-in. The last
// policy that a browser knows applies (Referrer Policy, section 11.1).
const referrerPolicy = "no-referrer, same-origin"

// How long an answer may be kept. Pages speak of one person at one moment.
const (
	noStore = "no-store"
	forever = "public, max-age=31536000, immutable"
)

// show renders a page. It is rendered whole before the first byte is sent, so
// that a page is never cut short under a status that says all is well.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, page any) {
	decision := ""
	if about, ok := page.(failurePage); ok {
		decision = about.Decision
	}
	csp, ok := policies[name]
	if !ok {
		csp = policyNoForm
	}
	run := ""
	if s, ok := page.(scripted); ok && s.scripted() {
		run = p.asset(script)
		csp += "; script-src 'self'"
	}
	var body bytes.Buffer
	err := pages[name].Execute(&body, view{
		Prefix:     p.Prefix,
		Banner:     p.Banner,
		RequestID:  RequestID(r.Context()),
		Decision:   decision,
		Stylesheet: p.asset(stylesheet),
		Icon:       p.asset(icon),
		Wide:       name == "account",
		Script:     run,
		Page:       page,
	})
	if err != nil {
		// Only a mistake in a template can bring us here, and tests show every page.
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	send(w, status, "text/html; charset=utf-8", csp, noStore, body.Bytes())
}

// failureJSON is an error as an API call sees it.
type failureJSON struct {
	Error     string `json:"error"` // stable
	Message   string `json:"message"`
	SignIn    string `json:"sign_in,omitempty"`
	RequestID string `json:"request_id,omitempty"`
	// DecisionID is the id of the decision that refused somebody: an
	// administrator finds it in the log.
	DecisionID string `json:"decision_id,omitempty"`
	// Missing is what a rule asks for and the person has not, in words, and
	// Contact whom to ask.
	Missing []string `json:"missing,omitempty"`
	Contact string   `json:"contact,omitempty"`
	// StepUp is where a person can prove more, who would then pass.
	StepUp string `json:"step_up,omitempty"`
}

func writeJSON(w http.ResponseWriter, status int, f failureJSON) {
	body, err := json.Marshal(f)
	if err != nil { // strings always marshal
		body = []byte("{}")
	}
	send(w, status, "application/json", policyNoForm, noStore, append(body, '\n'))
}

// send writes an answer of our own. Headers that an upstream's answer may
// have left behind and that would misdescribe this body are removed. The
// server itself leaves the body out for HEAD.
func send(w http.ResponseWriter, status int, contentType, csp, caching string, body []byte) {
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Content-Range", "Content-Disposition", "Etag", "Last-Modified", "Expires", "Age", "Transfer-Encoding", "Trailer"} {
		h.Del(name)
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Referrer-Policy", referrerPolicy)
	h.Set("Cache-Control", caching)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nothing to do about it
}

// SetRetryAfter says when to try again (RFC 9110, section 10.2.3): in whole
// seconds, rounded up, or who obeys comes too early; at least one.
func SetRetryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10))
}
