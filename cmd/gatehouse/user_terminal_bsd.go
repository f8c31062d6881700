//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package main

import "golang.org/x/sys/unix"

// The requests that read and change a terminal (tcgetattr(3)).
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)
