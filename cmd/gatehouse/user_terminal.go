package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// errNoTerminal says that there is nobody to ask.
var errNoTerminal = errors.New("there is no terminal to ask for a password; give it with --password-stdin")

// askPassword asks twice for a new password on the terminal, without showing
// what is typed. It never comes from the arguments, which every user of the
// machine can read.
func askPassword(stdin io.Reader, stderr io.Writer) (string, error) {
	terminal, ok := stdin.(*os.File)
	if !ok {
		return "", errNoTerminal
	}
	show, err := hideTyping(terminal)
	if err != nil {
		return "", errNoTerminal
	}
	defer show()
	lines := bufio.NewReader(io.LimitReader(terminal, maxPasswordLine))
	var answers [2]string
	for i, question := range []string{"New password: ", "Once more: "} {
		fmt.Fprint(stderr, question)
		line, err := lines.ReadString('\n')
		fmt.Fprintln(stderr)
		if err != nil {
			return "", errors.New("no password was given")
		}
		answers[i] = strings.TrimRight(line, "\r\n")
	}
	if answers[0] != answers[1] {
		return "", errors.New("the two passwords differ")
	}
	return answers[0], nil
}

// hideTyping switches the terminal's echo off and returns what switches it on
// again, which also happens when the command is interrupted. It errors when
// the file is no terminal.
func hideTyping(terminal *os.File) (show func(), err error) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, setTermios, &silent); err != nil {
		return nil, err
	}
	interrupted := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	restore := func() { _ = unix.IoctlSetTermios(fd, setTermios, before) }
	go func() {
		select {
		case <-interrupted:
			restore()
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(interrupted)
		close(done)
		restore()
	}, nil
}
