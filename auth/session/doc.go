// Package session owns finished sign-ins: the cookie in the browser, the
// record in the store, and the way from one to the other.
//
//	cookie: an opaque id of 256 bits, nothing else
//	   |  keyed hash
//	   v
//	session:<hash>   auth.Session as JSON, expiring
//	index:<hash>     ids of the sessions of one owner, so that they can be ended
//	                 without a scan: by account, by (connection, issuer,
//	                 subject) and by the identity provider's own session id
//
//	Start ----> live --Authenticate--> live     (Seen moves forward, coarsely)
//	              |---- idle too long, too old --> gone
//	              |---- End, EndID, EndAccount, EndOthers, EndNotified --> gone, on every replica
//	              |---- People knows nobody for it --> gone, on every replica
//	              '---- the same browser's next Start --> gone
//
// Who can read the store cannot make a cookie of it: the record is kept under
// the hash of the id. A session's id never changes hands: Start always makes a
// new one and ends the browser's old one, so an id that was planted in a
// browser before the sign-in (session fixation) is worth nothing after it.
//
// Records are cached in the process for at most cache_ttl and forgotten when
// the bus says that they changed. On a warm cache a request costs no round
// trip and never a write. Only requests count as use: asking again for one
// that is still open (auth.AsRecheck) does not move Seen.
//
// The package does not know how anybody signed in, and it does not turn a
// session into a person: that is People's, which provision implements.
package session
