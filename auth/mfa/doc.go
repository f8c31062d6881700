// Package mfa holds the second factors of accounts.
//
// It owns these records, each followed by the account's id:
//
//	totp:           authenticator apps (RFC 6238): six digits, steps of 30 seconds,
//	                HMAC-SHA1, which is what every app can do. The secrets are
//	                sealed; beside each stands the last step that passed
//	passkey:        passkeys (WebAuthn Level 3), and the challenges that were answered
//	                lately
//	emailcode:      the address that gets codes by mail
//	emailsent:      the newest such code, as a keyed hash, and when any were sent;
//	                it expires
//	recovery_code:  ten codes for who lost everything else, as keyed hashes
//	enrolment:      an administrator's demand that another factor is enrolled
//	factorturn:     somebody is changing the factors right now; it expires
//
// An authenticator comes and goes like this:
//
//	not enrolled --Offer--> offered (kept by the caller) --Confirm--> enrolled
//	enrolled --Challenge, Verify--> enrolled, that answer used up
//	enrolled --Remove, Reset--> not enrolled
//
// An answer passes once: of any number of parallel submissions, at any
// replicas, one changes the record. Attempts at all kinds are counted on the
// same counter as those at the account's password. What has to hold across kinds
// (nobody enrols unproved beside what is enrolled, the last one stays) is judged
// and changed by the callers in one turn, of which an account has one at a time.
//
// The package does not decide who owes a factor and knows no sign-in: callers
// let nobody near it who has not proved the password before, nor let anybody
// enrol beside what is enrolled who has not proved that too.
package mfa
