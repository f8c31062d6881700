// Package local is sign-in with a password that Gatehouse itself keeps. It
// owns the records `password:<account>`, the hashing of passwords and the rule
// for new ones.
//
//	login, password
//	   |  a place in the queue for hashing (bounded)
//	   |  account of the login, or a stand-in
//	   |  attempt counted; too many under this login: *auth.Throttled
//	   |  too many on the account: no password is right for a while
//	   |  argon2id, once, whatever was found
//	   v
//	auth.Identity{Connection: auth.Local}, or auth.ErrWrongPassword
//
// A stranger must not learn who has an account. So an unknown name, a disabled
// account, an account without a password and a wrong password are one answer,
// reached by the same reads, the same counting and the same single run of
// argon2id. That two logins name one account does not show either: attempts are
// limited for the account, but a stranger is only told of those under the login
// that he typed himself.
//
// Passwords may come from other programs (Import): their hashes count until the
// first right sign-in. Beside such a hash argon2id is run as well, so the answer
// comes later than for an unknown name, by what the foreign hash costs, and never
// sooner. That difference remains: an unknown name cannot be given the cost of a
// hash that only some accounts have.
//
// The package finds accounts through the Accounts interface and never changes
// them. It knows nothing of second factors and makes no session: a right
// password is one step of a sign-in.
package local
