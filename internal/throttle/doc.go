// Package throttle counts attempts to prove who one is, so that nobody can
// guess passwords or codes. It owns the records `attempts:<hash>` and
// `device:<hash>`.
//
// An attempt is counted in the store, by compare-and-swap, before it is
// judged: a thousand parallel guesses at a thousand replicas are a thousand
// counted guesses. There is one counter for an account, whatever spelling,
// endpoint or factor is tried.
//
//	Begin --free--> judged --wrong--> stays counted, and delays the next ones
//	   |               \----right--> Refund (this step) or Settle (all is proved)
//	   \--too soon--> *auth.Throttled, nothing written, the lock ends on time
//
// Who typed a login must not learn which others name the same account: six
// guesses at a name, then one at an address, would tell whose it is. So each
// login has a counter as well, and it alone says *auth.Throttled to a stranger;
// an attempt that only the account's counter refuses is Closed, and answered
// like a wrong one.
//
// The first attempts are free, then each waits twice as long as the one
// before it, up to a longest lock. A refused attempt does not lengthen the
// lock, so a lock always ends.
//
// Anybody can make attempts on anybody's account, so a counter is also a way
// to lock its owner out. That is why a device on which a sign-in was once
// finished has a counter of its own: strangers cannot reach it.
//
// Counters expire. A stranger can make one for every name that he thinks of;
// what bounds their number is that callers begin an attempt only when they
// hold a place in the queue for the expensive work that judges it.
//
// Who tries one password at a thousand accounts makes one attempt at each. So
// the client's address has a counter too, with many more free attempts; what was
// right is taken off it again. A known device does not count there, or whoever
// shares an address with its owner could lock him out.
//
// The package does not know what an attempt proves, and it does not limit
// requests, only attempts.
package throttle
