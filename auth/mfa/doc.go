// Package mfa holds the second factors of accounts. Today that is TOTP
// (RFC 6238), the one-time password of an authenticator app: six digits, steps
// of 30 seconds, HMAC-SHA1, which is what every app can do.
//
// It owns the records `totp:<account>`: the secret, sealed, and the last step
// that passed.
//
//	not enrolled --Offer--> offered (kept by the caller) --Confirm--> enrolled
//	enrolled --Verify--> enrolled, this step and those before it used up
//	enrolled --Reset--> not enrolled
//
// A code passes once: of any number of parallel submissions, at any replicas,
// one moves the last step forward. Attempts are counted on the same counter as
// those at the account's password.
//
// The package does not decide who owes a factor and knows no sign-in: callers
// let nobody near it who has not proved the password before.
package mfa
