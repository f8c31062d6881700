// Package oidc is one connection to an OpenID Connect provider: it sends the
// browser there and turns what comes back into a validated identity.
//
//	Begin   metadata -> authorization URL (state, nonce, PKCE S256)
//	Finish  callback query -> code exchange -> ID token -> userinfo, if the
//	        mapping needs it -> MapClaims -> auth.Identity
//	Logout  logout token -> which sessions have ended
//
// The signature, issuer and audience of a token are checked by go-oidc; this
// package adds every check that go-oidc leaves to its caller (tokens.go says
// which and why), its own key set (keys.go) and its own HTTP client, which
// reads bounded answers, in bounded time, from the hosts that the metadata
// names and from no others (client.go).
//
// Making a Provider does no network. Metadata and keys are fetched when they
// are first needed, shared between callers, fetched again when they are old,
// and the last good copy is kept while the provider is out of reach
// (remote.go).
//
// Where claims come from: the ID token, and for claims that the mapping or
// the connection's requirements name and the ID token lacks, the userinfo
// endpoint. The ID token wins claim by claim; of a list of paths the first that
// either has counts. The e-mail address and email_verified always
// come from one document, because one document's "verified" says nothing
// about another's address (userinfo.go).
//
// What it does not do: keep the pending sign-in, bind it to the browser, or
// take it once (auth/signin); decide who may come in, which e-mail addresses
// are believed and which groups count (provision); end sessions
// (auth/session). It never follows a URL that a token names.
package oidc
