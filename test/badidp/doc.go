// Package badidp is an OpenID provider that can be told to misbehave. It
// serves discovery, keys, authorize, token and userinfo over HTTP, signs
// everybody in at once, and is correct until a Fault is set; each Fault is
// one thing done wrong, a row of the table in faults.go. A Quirk is unusual
// and must be coped with.
//
// Beside the provider runs a second server, Elsewhere. It would answer every
// request well, so whoever follows a redirect or a URL in a token ends there
// and succeeds; it counts its visitors, and there should be none.
//
// The package imports nothing of Gatehouse.
package badidp
