// Package account is the page of the signed-in person: who they are here, with
// what they can prove it, and where they are signed in.
//
// Endpoints, under the prefix, each for a session and no pending sign-in:
//
//	GET       account                         overview.go
//	POST      account/sessions/end            sessions.go   one of their own
//	POST      account/sessions/end_others     sessions.go
//	POST      account/unlink                  unlink.go     recent
//	GET, POST account/password                password.go   proved
//	POST      account/factors/add             enrol.go      proved
//	GET       account/factors/confirm         enrol.go      proved
//	POST      account/factors/confirm         enrol.go      proved
//	POST      account/factors/rename, remove  factors.go    proved
//	POST      account/recovery                recovery.go   proved
//
// proved: the person gave the account's password and, where it has one, a
// second factor, in this session and within ten minutes (auth.Session.Proved);
// else they are sent to do that. A sign-in at an identity provider is never
// that proof: else whoever controls the provider would control the password
// and the factors that are there to do without it. recent: the same for an
// account that has a password; for another one, a sign-in within ten minutes.
//
// An enrolment that was offered and is not confirmed rests sealed under
// offer:<hash of the session and the kind> for ten minutes, so it is worth
// nothing in another session.
//
// A session without an account passes through: it gets a page that says what
// applications see, and no forms; every other endpoint is not found for it.
// Likewise password, factors and recovery codes for an account without a
// password.
//
// The package begins no sign-in and proves nothing itself: signin does, under
// prove and link, and sends the person back here.
package account
