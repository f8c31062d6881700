// Package demo is the demonstration: everything that somebody needs who wants
// to see Gatehouse work and has nothing but the binary.
//
//	browser --> gateway (as in serve, from a generated config.yaml)
//	              |-- Acme, an OpenID provider: accounts are made (JIT on)
//	              |-- Partner, an OpenID provider: people pass through (JIT off)
//	              |-- one local account, whose password is printed
//	              |-- an application that shows what it received
//	              `-- a postbox: mails go there, and the application shows them
//
// The identity providers are real ones (discovery, signed ID tokens, PKCE)
// with one thing missing: proof. Whoever opens their page picks whom to be.
// So the demonstration listens on loopback only, and each of its servers
// refuses a request that names any other host: a page on the Internet that
// makes its own name resolve to 127.0.0.1 (DNS rebinding) gets nothing.
//
// The gateway knows nothing of this package; what the demonstration needs of
// it comes through Demo.Serve. Nothing outlives a run: keys, passwords and
// the store are made at the start, in a folder that is removed at the end.
package demo
