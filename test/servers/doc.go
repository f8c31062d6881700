// Package servers starts real programs as children of a test: Redis in all
// its modes, an identity provider, nginx, a browser, the gateway itself. Each
// child owns a free port and a folder and is ended by pid. The package
// imports nothing of Gatehouse.
package servers
