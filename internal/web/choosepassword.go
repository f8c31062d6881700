package web

import "net/http"

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

// Reset shows the page of people who have forgotten their password.
func (p *Pages) Reset(w http.ResponseWriter, r *http.Request, d Reset) {
	p.show(w, r, http.StatusOK, "reset", d)
}

// ChoosePassword shows the page on which a person chooses a password.
func (p *Pages) ChoosePassword(w http.ResponseWriter, r *http.Request, status int, d ChoosePassword) {
	p.show(w, r, status, "password", d)
}
