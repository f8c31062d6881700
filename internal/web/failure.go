package web

import (
	"errors"
	"net/http"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// failure is what the outside learns of an error: never the error's own text,
// which may name hosts, accounts or what an attacker should not know.
type failure struct {
	status int
	code   string // stable, for programs and logs
	title  string
	text   string // what happened
	advice string // what to do
	action action
	retry  time.Duration // Retry-After; 0: none
}

// action is the link that an error page offers.
type action int

const (
	nothing      action = iota
	again               // the same page once more
	signIn              // begin a new sign-in
	sameWay             // begin it the same way, or choose another
	otherAccount        // sign out and come back as somebody else
	home                // the application's start page
)

// failures is the one table from error to answer, but for the few errors that
// carry a value of their own; see lookUp. The first row whose error matches
// decides.
var failures = []struct {
	is error
	failure
}{
	{auth.ErrTooManySignIns, tooManySignIns},
	{auth.ErrProviderDown, failure{
		http.StatusBadGateway, "provider_down", "The identity provider does not answer",
		"Your organisation's sign-in service could not be reached, so you could not be signed in.",
		"Try again in a moment. If it goes on, tell your IT support.", sameWay, 0,
	}},
	{auth.ErrProviderRefused, failure{
		http.StatusForbidden, "provider_refused", "The sign-in was not completed",
		"Your identity provider ended the sign-in, or it was cancelled there.",
		"You can start again. If you did not cancel it, your identity provider may not allow you to use this application: ask your IT support.", signIn, 0,
	}},
	{auth.ErrInvalidAnswer, failure{
		http.StatusBadGateway, "invalid_answer", "The sign-in could not be verified",
		"Your identity provider sent an answer that did not pass our checks, so nobody was signed in.",
		"Start again. If it happens again, give your IT support the request id below.", signIn, 0,
	}},
	{auth.ErrVoidLink, failure{
		http.StatusBadRequest, "void_link", "This link does not count any more",
		"It was used before, it is too old, or there is a newer one.",
		"Ask for another one on the sign-in page, or ask the people who sent it to you.", signIn, 0,
	}},
	{auth.ErrInvalidState, failure{
		http.StatusBadRequest, "invalid_state", "This sign-in is no longer valid",
		"It took too long, was used before, or was begun in another browser.",
		"Start again from here, in this window.", signIn, 0,
	}},
	{auth.ErrOvertaken, failure{
		http.StatusConflict, "account_changed", "The account was changed meanwhile",
		"While you were proving that the account is yours, its password was changed, it was closed, or everybody was signed out of it. Nothing was joined.",
		"Start again. If you did not change anything yourself, tell your IT support.", signIn, 0,
	}},
	{auth.ErrWrongPassword, failure{
		http.StatusUnauthorized, "wrong_password", "That did not match",
		"The username or the password is not right.",
		"Check both and try again.", signIn, 0,
	}},
	{auth.ErrWrongCode, failure{
		http.StatusUnauthorized, "wrong_code", "That code did not match",
		"The code is wrong, or it was used before.",
		"Wait for the next code in your authenticator app and try again.", again, 0,
	}},
	{auth.ErrUpstreamDown, failure{
		http.StatusBadGateway, "upstream_down", "The application is not available",
		"The application behind this page does not answer.",
		"Try again in a moment. If it goes on, tell the people who run the application.", again, 0,
	}},
	{auth.ErrUpstreamSlow, failure{
		http.StatusGatewayTimeout, "upstream_slow", "The application takes too long",
		"The application behind this page did not answer in time.",
		"Try again in a moment. What you last did there may or may not have been carried out.", again, 0,
	}},
	{auth.ErrUnauthenticated, failure{
		http.StatusUnauthorized, "unauthenticated", "Please sign in",
		"This page is only for people who are signed in.",
		"Sign in to go on.", signIn, 0,
	}},
	{auth.ErrLastWay, failure{
		http.StatusConflict, "last_way_in", "That is the last way in to your account",
		"Without it you could not sign in any more, so it was kept.",
		"Link another identity first, or ask an administrator for a password.", nothing, 0,
	}},
	{auth.ErrCrossSite, failure{
		http.StatusForbidden, "cross_site", "This request came from another site",
		"Another website tried to act here in your name. It was stopped and nothing was changed.",
		"If you meant to do it, open this site yourself and do it there.", home, 0,
	}},
	{auth.ErrForbidden, failure{
		http.StatusForbidden, "forbidden", "You do not have access",
		"You are signed in, but your account is not allowed to see this page.",
		"If you need it, ask the people who run the application, or use another account.", otherAccount, 0,
	}},
	{auth.ErrMethodNotAllowed, failure{
		http.StatusMethodNotAllowed, "method_not_allowed", "That does not work here",
		"The request used a method that this page does not accept.",
		"Open the page by its address or by a link.", home, 0,
	}},
	{auth.ErrMalformed, failure{
		http.StatusBadRequest, "malformed", "This request does not make sense",
		"The address or the data that was sent is damaged or ambiguous.",
		"Check the address, or go back and follow the link again.", home, 0,
	}},
	{auth.ErrNotFound, failure{
		http.StatusNotFound, "not_found", "There is nothing here",
		"No page exists under this address.",
		"Check the address, or go back to where you came from.", home, 0,
	}},
}

var storeDown = failure{
	http.StatusServiceUnavailable, "store_down", "Sign-in is briefly unavailable",
	"We could not check who you are just now. You have not been signed out and nothing was lost.",
	"Try again in a few seconds.", again, 5 * time.Second,
}

var tooManySignIns = failure{
	http.StatusTooManyRequests, "too_many_sign_ins", "Too many sign-ins at once",
	"More sign-ins are under way than can be kept track of.",
	"Wait a moment, then try again.", signIn, 30 * time.Second,
}

var throttled = failure{
	http.StatusTooManyRequests, "too_many_attempts", "Too many attempts",
	"There were too many attempts to sign in, so this account is closed to new ones for a while.",
	"If it was not you who tried, tell your IT support.", signIn, 0,
}

var unknown = failure{
	http.StatusInternalServerError, "internal", "Something went wrong",
	"An unexpected error happened on our side.",
	"Try again. If it goes on, give your IT support the request id below.", again, 0,
}

// lookUp finds what the outside learns of err.
func lookUp(err error) failure {
	// A store in trouble comes first: whatever else a joined error says, it
	// may say it only because the store could not be asked.
	if errors.Is(err, auth.ErrStoreDown) || errors.Is(err, store.ErrDown) || errors.Is(err, store.ErrConflict) {
		return storeDown
	}
	if slow, ok := errors.AsType[*auth.Throttled](err); ok {
		f := throttled
		if errors.Is(err, auth.ErrTooManySignIns) {
			f = tooManySignIns
		}
		f.retry = max(slow.RetryAfter, time.Second)
		return f
	}
	if denied, ok := errors.AsType[*auth.Denied](err); ok {
		return denial(denied.Reason)
	}
	for _, row := range failures {
		if errors.Is(err, row.is) {
			return row.failure
		}
	}
	return unknown
}

// Code is the stable code of an error, as API calls see it and as it may be
// logged: "internal" for one that the table does not know.
func Code(err error) string { return lookUp(err).code }

// Decision is the id of the decision that refused somebody, "" where err is no
// such refusal.
func Decision(err error) string {
	if denied, ok := errors.AsType[*auth.Denied](err); ok {
		return denied.Decision
	}
	return ""
}
