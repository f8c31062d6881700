// Package auth is the vocabulary of Gatehouse: who a request comes from, how
// that was proved, and the few interfaces at which its parts meet. It holds
// values and errors only and imports nothing else of Gatehouse.
//
//	Provider --Identity--> Resolver --Outcome--> factors owed? --> Session --> Person
//
// An Identity is what one sign-in proved. A Resolver turns it into an account
// (created, updated, linked) or lets it pass through. A Pending is a sign-in
// that is not finished and is nobody; a Session is a finished one. A Person is
// what policies and identity headers see on each request.
package auth
