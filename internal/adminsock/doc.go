// Package adminsock is the door through which the command line reaches a
// running server: a Unix socket that only the server's own user and root can
// use. It is needed where the embedded store is, whose file only one process
// can hold; and a change made inside the server acts at once.
//
//	POST /v1/command   {"args": [...], "stdin": "..."}  ->  {"stdout": "..."}  as it is printed,
//	                                                        {"stderr": "..."}  a line each,
//	                                                        {"code": 0}        at the end
//
// Three things keep strangers out, each enough by itself: the directory admits
// nobody else to make or replace the socket, the socket's mode is 0600, and
// the kernel is asked who the peer is. The client asks too, before it sends a
// password.
//
// The package carries a command and its outcome. It does not know any command
// and opens no store.
package adminsock

import "time"

// Command is a command line to be run by the server, and its input.
type Command struct {
	Args  []string `json:"args"`
	Stdin []byte   `json:"stdin,omitempty"`
	// Within is how long the command may take; what is shorter than the usual
	// two minutes is those.
	Within time.Duration `json:"within,omitempty"`
}

// piece is a part of what a command prints, or how it ended.
type piece struct {
	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
	Code   *int   `json:"code,omitempty"` // exit code; the last piece, and no other
}

const commandPath = "/v1/command"
