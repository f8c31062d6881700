package web

import (
	"net/http"
	"strings"
	"time"

	"gatehouse/auth"
)

// Account is the page of a signed-in person: who they are here, and what they
// can do about it.
type Account struct {
	User        string    // what applications know the person by
	Through     string    // the name of the connection of this session; "": a password
	PassThrough bool      // there is no account: nothing is stored
	Created     time.Time // of the account
	Known       []Known   // what the account says of the person
	Headers     []Header  // what applications are told
	Password    bool      // the account has one, and may be changed here
	Changed     time.Time // when the password was set
	Factors     []auth.Authenticator
	Addable     []string // kinds of factors that can be added
	Barred      bool     // codes by mail cannot be used: the password was set by a link to the same address
	Codes       bool     // recovery codes may be made
	CodesLeft   int
	Links       []Linked
	Linkable    []Proof // connections through which another identity can be linked
	Sessions    []Open
	Activity    []auth.Activity // newest first
	Problem     string          // why the last thing that was asked was not done; "": it was
}

// Known is what an account says of a person, and who says so.
type Known struct {
	Name   string
	Values []string
	Source string // the name of a connection; "": an administrator
	Time   time.Time
	Note   string
}

// Header is what applications are told of a person.
type Header struct{ Name, Value string }

// Linked is an identity that is linked to the account.
type Linked struct {
	Name string // of the connection
	auth.LinkedIdentity
	Here bool // this session came through it
}

// Open is an open session.
type Open struct {
	ID      string
	Device  string // such as "Firefox on Windows"; "": not known
	Address string // "": not known
	Through string // the name of the connection; "": a password
	Started time.Time
	Seen    time.Time
	Here    bool // it is this one
}

// NewPassword is the page on which a person changes their password.
type NewPassword struct {
	Account string
	Problem string
}

// AddFactor is the page on which a person adds a second factor to those that
// the account has.
type AddFactor struct {
	Kind    string
	Account string
	Secret  string // TOTP: base32, shown as text for typing
	URL     string // TOTP: otpauth:// key URI
	QR      string // TOTP: the key URI as a data: URL of a PNG
	Hint    string // e-mail: where the code was sent, in part
	Options string // passkey: as JSON for navigator.credentials.create
	Name    string // as the person has called it; "": not yet
	Problem string
}

func (f AddFactor) scripted() bool { return f.Options != "" }

// Codes is the page that shows recovery codes, once.
type Codes struct {
	Account string
	Codes   []string
}

// Account shows a person their own page.
func (p *Pages) Account(w http.ResponseWriter, r *http.Request, status int, d Account) {
	p.show(w, r, status, "account", d)
}

// NewPassword shows the page on which the password is changed.
func (p *Pages) NewPassword(w http.ResponseWriter, r *http.Request, status int, d NewPassword) {
	p.show(w, r, status, "account_password", d)
}

// AddFactor shows the page on which a factor is added.
func (p *Pages) AddFactor(w http.ResponseWriter, r *http.Request, status int, d AddFactor) {
	p.show(w, r, status, "account_factor", d)
}

// Codes shows recovery codes.
func (p *Pages) Codes(w http.ResponseWriter, r *http.Request, d Codes) {
	p.show(w, r, http.StatusOK, "account_codes", d)
}

// moment is a time as people read it, in UTC: the server does not know where
// they are.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

// day is a date as people read it.
func day(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

// kindName is what people call a kind of second factor.
func kindName(kind string) string {
	switch kind {
	case auth.KindTOTP:
		return "authenticator app"
	case auth.KindEmailCode:
		return "code by e-mail"
	case auth.KindPasskey:
		return "passkey"
	case auth.KindRecovery:
		return "recovery codes"
	}
	return kind
}

// eventName says for the person what happened to their account.
func eventName(event string) string {
	switch auth.Event(event) {
	case auth.EventPasswordSet:
		return "Password set"
	case auth.EventPasswordChanged:
		return "Password changed"
	case auth.EventPasswordReset:
		return "Password reset by mail"
	case auth.EventFactorEnrolled:
		return "Second factor added"
	case auth.EventFactorRemoved:
		return "Second factor removed"
	case auth.EventFactorsReset:
		return "All second factors removed"
	case auth.EventRecoveryCodes:
		return "New recovery codes made"
	case auth.EventRecoveryUsed:
		return "Recovery code used"
	case auth.EventNewDevice:
		return "Signed in on a new device"
	case auth.EventSetupLink:
		return "Set-up link made"
	case auth.EventUnlocked:
		return "Failed attempts forgotten"
	case auth.EventEnrolmentForced:
		return "Second factor demanded at the next sign-in"
	}
	switch event {
	case "created":
		return "Account created"
	case "changed":
		return "Account updated"
	case "linked":
		return "Identity linked"
	case "unlinked":
		return "Identity unlinked"
	case "disabled":
		return "Account disabled"
	case "enabled":
		return "Account enabled"
	}
	return strings.ReplaceAll(event, "_", " ")
}
