package demo

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authorization is a valid authorization request.
type authorization struct {
	state, nonce, challenge string
}

// refusal is an error that goes back to the client (RFC 6749, section
// 4.1.2.1).
type refusal struct{ code, text string }

// read judges an authorization request. A problem with the client or its
// redirect URI is err and must be shown here: sending the browser to an
// address that nobody registered would make this an open redirector.
func (p *provider) read(q url.Values) (a authorization, no *refusal, err error) {
	for name, values := range q {
		if len(values) > 1 { // RFC 6749, section 3.1
			return a, nil, fmt.Errorf("the parameter %q is given more than once", name)
		}
	}
	if q.Get("client_id") != p.clientID {
		return a, nil, fmt.Errorf("the client %q is not known here", q.Get("client_id"))
	}
	if q.Get("redirect_uri") != p.redirectURI {
		return a, nil, fmt.Errorf("the client has not registered the address %q", q.Get("redirect_uri"))
	}
	a = authorization{state: q.Get("state"), nonce: q.Get("nonce"), challenge: q.Get("code_challenge")}
	switch {
	case q.Get("response_type") != "code":
		no = &refusal{"unsupported_response_type", "only the code flow is supported"}
	case !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		no = &refusal{"invalid_scope", "the scope openid is missing"}
	case a.challenge == "" || q.Get("code_challenge_method") != "S256":
		no = &refusal{"invalid_request", "PKCE with S256 is required"}
	case len(a.challenge) != 43: // base64url of a SHA-256
		no = &refusal{"invalid_request", "the code challenge is malformed"}
	case slices.Contains(strings.Fields(q.Get("prompt")), "none"):
		no = &refusal{"login_required", "nobody is signed in here"}
	}
	return a, no, nil
}

// authorize shows the people whom one can be.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		p.refuse(w, fmt.Errorf("the query is malformed"))
		return
	}
	a, no, err := p.read(q)
	switch {
	case err != nil:
		p.refuse(w, err)
	case no != nil:
		p.sendBack(w, r, a, *no)
	default:
		show(w, http.StatusOK, "pick", page{
			Title: "Who do you want to be?", Brand: p.name, Tone: p.tone, Banner: banner, Stylesheet: p.pages.Stylesheet(),
			Main: pickPage{About: p.about, Request: r.URL.RawQuery, People: p.cards()},
		})
	}
}

// pickPage is what the pick-a-person page shows.
type pickPage struct {
	About   string
	Request string // the authorization request, judged once more when it comes back
	People  []card
}

type card struct {
	Subject, Initial, Role, Note, Email string
	Verified                            bool
	Groups                              []string
}

func (p *provider) cards() []card {
	var cards []card
	for _, who := range p.people {
		cards = append(cards, card{
			Subject: who.subject, Initial: who.role[:1], Role: who.role, Note: who.note,
			Email: who.email, Verified: who.verified, Groups: who.groups,
		})
	}
	return cards
}

// picked goes back to the client with a code for the person who was picked.
func (p *provider) picked(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		p.refuse(w, fmt.Errorf("the form is malformed"))
		return
	}
	q, err := url.ParseQuery(r.PostForm.Get("request"))
	if err != nil {
		p.refuse(w, fmt.Errorf("the form is malformed"))
		return
	}
	a, no, err := p.read(q)
	if err != nil {
		p.refuse(w, err)
		return
	}
	person, known := p.person(r.PostForm.Get("person"))
	if no == nil && !known {
		no = &refusal{"access_denied", "nobody was picked"}
	}
	if no != nil {
		p.sendBack(w, r, a, *no)
		return
	}
	code := p.grants.code(grant{
		person: person, nonce: a.nonce, challenge: a.challenge, redirectURI: p.redirectURI, picked: p.now(),
	})
	p.redirect(w, r, a, url.Values{"code": {code}})
}

func (p *provider) sendBack(w http.ResponseWriter, r *http.Request, a authorization, no refusal) {
	p.redirect(w, r, a, url.Values{"error": {no.code}, "error_description": {no.text}})
}

func (p *provider) redirect(w http.ResponseWriter, r *http.Request, a authorization, values url.Values) {
	if a.state != "" {
		values.Set("state", a.state)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer") // the request's query must not reach the client's pages
	http.Redirect(w, r, p.answer(values), http.StatusSeeOther)
}

// refuse shows what is wrong with a request that cannot be sent back.
func (p *provider) refuse(w http.ResponseWriter, err error) {
	show(w, http.StatusBadRequest, "note", page{
		Title: "This request is not valid", Brand: p.name, Tone: p.tone, Banner: banner, Stylesheet: p.pages.Stylesheet(),
		Main: notePage{Text: "Not valid: " + err.Error() + "."},
	})
}

// equal compares secrets in constant time.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
