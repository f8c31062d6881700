package web

import (
	"net/http"
	"time"
)

// Reset is the page of people who have forgotten their password.
type Reset struct {
	Sent bool // they have said as whom they sign in
}

// ChoosePassword is the page on which a person chooses a password, by a link.
type ChoosePassword struct {
	Token    string // goes along with the form
	Username string
	First    bool // it is the account's first, or an administrator asks for it
	Problem  string
}

// Prove is the page on which a person who is signed in shows that it is them.
type Prove struct {
	Username   string // of the account
	ReturnTo   string // goes along as rd
	StepUp     bool   // what they return to wants more proof than they have given
	Problem    string
	RetryAfter time.Duration
}

// Prove shows the page on which a person shows that it is them. A RetryAfter is
// sent as the header too.
func (p *Pages) Prove(w http.ResponseWriter, r *http.Request, status int, d Prove) {
	if d.RetryAfter > 0 {
		SetRetryAfter(w, d.RetryAfter)
	}
	p.show(w, r, status, "prove", d)
}

// Reset shows the page of people who have forgotten their password.
func (p *Pages) Reset(w http.ResponseWriter, r *http.Request, d Reset) {
	p.show(w, r, http.StatusOK, "reset", d)
}

// ChoosePassword shows the page on which a person chooses a password.
func (p *Pages) ChoosePassword(w http.ResponseWriter, r *http.Request, status int, d ChoosePassword) {
	p.show(w, r, status, "password", d)
}
