// Package soak lets many people sign in at once while processes are killed,
// and then looks whether everybody has exactly one account. The stories in
// package test run it briefly; run it for long by
//
//	go test -race -tags soak -timeout 24h ./test/soak -soak.for 1h
//
// with -soak.seed N to repeat the choices of an earlier run, which prints its
// seed. When the scheduler does what is the machine's own.
package soak
