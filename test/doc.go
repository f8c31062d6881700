// Package test drives the built binary from outside: files, HTTP, the command
// line, a browser, and the real programs around it (see servers). It imports
// nothing of Gatehouse but its own helpers, so what it shows is what a user
// could see.
package test
