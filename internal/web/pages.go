package web

import (
	"net/http"
	"time"

	"gatehouse/auth"
)

// Pages renders Gatehouse's own pages.
type Pages struct {
	Prefix string // of Gatehouse's own endpoints, such as /oauth2
	Banner string // shown on top of each page; empty in production
}

// SignIn is the page on which a person chooses how to sign in.
type SignIn struct {
	Connections []Choice
	Local       bool   // show the username and password form
	Passkey     bool   // a passkey can be the whole sign-in
	Reset       bool   // who has forgotten a password can have a link mailed
	ReturnTo    string // goes along as rd
	Username    string // what was typed
	Problem     string // tied to the form; empty on the first visit
	Note        string // what has just been done, elsewhere
	RetryAfter  time.Duration
}

// Choice is one connection's button.
type Choice struct{ Name, URL string }

// Factor is the page that asks for a second factor.
type Factor struct {
	Method  string
	Account string // what the person signed in as
	Problem string
	Asked   bool     // false: a code by mail is not sent yet
	Hint    string   // where it was sent, in part
	Options string   // of a passkey, as JSON for navigator.credentials.get
	Others  []string // other methods that the person can use
}

// Enrol is the page on which a person sets up a second factor.
type Enrol struct {
	Method  string // "": none is chosen yet
	Account string
	Secret  string   // base32, shown as text for typing
	URL     string   // otpauth:// key URI
	QR      string   // the key URI as a data: URL of a PNG
	Hint    string   // where a code was sent, in part
	Options string   // of a passkey, as JSON for navigator.credentials.create
	Name    string   // as the person has called it; "": not yet
	Codes   []string // recovery codes, shown this once
	Others  []string // other methods that can be set up
	Problem string
}

func (f Factor) scripted() bool { return f.Options != "" }
func (e Enrol) scripted() bool  { return e.Options != "" }

// Passkey is the page on which a passkey is the whole sign-in.
type Passkey struct {
	Options string // PublicKeyCredentialRequestOptions as JSON
	SignIn  string // URL of the sign-in page
	Problem string
}

func (k Passkey) scripted() bool { return true }

// Passkey shows the page on which a passkey is the whole sign-in.
func (p *Pages) Passkey(w http.ResponseWriter, r *http.Request, status int, d Passkey) {
	p.show(w, r, status, "passkey_entry", d)
}

// Confirm is the page on which a person proves, once, that an account is
// theirs, before the way in by which they came is joined to it.
type Confirm struct {
	Through     string // the name of the connection by which the person came
	Email       string // of the account, and of the person as that connection knows them
	Password    bool   // show the password form
	Connections []Proof
	Confirms    string // which sign-in the page is about; comes back with its forms
	Problem     string // tied to the form; empty on the first visit
	RetryAfter  time.Duration
}

// Proof is the button of a connection through which the account can be proved.
type Proof struct{ Name, Connection string }

// SignOut is the page that asks whether a person really wants to leave.
type SignOut struct{ ReturnTo string }

// SignIn shows the sign-in page. A RetryAfter is sent as the header too.
func (p *Pages) SignIn(w http.ResponseWriter, r *http.Request, status int, d SignIn) {
	if d.RetryAfter > 0 {
		SetRetryAfter(w, d.RetryAfter)
	}
	p.show(w, r, status, "sign_in", d)
}

// Factor shows the second-factor page.
func (p *Pages) Factor(w http.ResponseWriter, r *http.Request, status int, d Factor) {
	p.show(w, r, status, "factor", d)
}

// Enrol shows the enrolment page.
func (p *Pages) Enrol(w http.ResponseWriter, r *http.Request, status int, d Enrol) {
	p.show(w, r, status, "enrol", d)
}

// Confirm shows the page on which an account is proved. A RetryAfter is sent
// as the header too.
func (p *Pages) Confirm(w http.ResponseWriter, r *http.Request, status int, d Confirm) {
	if d.RetryAfter > 0 {
		SetRetryAfter(w, d.RetryAfter)
	}
	p.show(w, r, status, "confirm", d)
}

// ConfirmSignOut asks before a sign-out that another site may have caused.
func (p *Pages) ConfirmSignOut(w http.ResponseWriter, r *http.Request, d SignOut) {
	p.show(w, r, http.StatusOK, "sign_out", d)
}

// SignedOut says that the session has ended.
func (p *Pages) SignedOut(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, http.StatusOK, "signed_out", nil)
}

// Error answers with the status and the page (or, for an API call, the JSON)
// that the table has for err. It says nothing of err itself: an error that
// the table does not know is a 500 with a text of its own.
func (p *Pages) Error(w http.ResponseWriter, r *http.Request, err error) {
	f := lookUp(err)
	if f.retry > 0 {
		SetRetryAfter(w, f.retry)
	}
	if !WantsPage(r) {
		what, contact := missing(err)
		writeJSON(w, f.status, failureJSON{
			Error: f.code, Message: f.text, RequestID: RequestID(r.Context()), DecisionID: Decision(err), Missing: what, Contact: contact,
			StepUp: p.stepUpURL(r, err),
		})
		return
	}
	p.show(w, r, f.status, "error", p.failurePage(r, err, f))
}

// Unauthenticated is the answer to an API call without a session: 401 and,
// in JSON, the URL of the page on which a person can sign in.
func (p *Pages) Unauthenticated(w http.ResponseWriter, r *http.Request, signIn string) {
	f := lookUp(auth.ErrUnauthenticated)
	writeJSON(w, f.status, failureJSON{Error: f.code, Message: f.text, SignIn: signIn, RequestID: RequestID(r.Context())})
}

// GoOn sends a person who has signed in on, from a page of ours: a redirect
// would be part of a chain that another site began. The address has been
// judged by the caller.
func (p *Pages) GoOn(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Refresh", "0;url="+to)
	p.Enough(w, r, to)
}

// Enough says that there is nothing more to prove, and leaves it to the person
// to go on. The address has been judged by the caller.
func (p *Pages) Enough(w http.ResponseWriter, r *http.Request, to string) {
	p.show(w, r, http.StatusOK, "go_on", to)
}
