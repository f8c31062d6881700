package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"gatehouse/internal/adminsock"
)

const sessionUsage = `usage: gatehouse session COMMAND [flags]

  list      all sessions        [--user NAME]
  end ID... end sessions        or --user NAME: all of an account

--config F names the configuration (config.yaml); --json prints for programs.
`

// sessionCommand is a session command as it was typed.
type sessionCommand struct {
	verb   string
	ids    []string
	user   optional
	config string
	json   bool
}

// parseSession reads the arguments after "gatehouse session". Errors:
// flag.ErrHelp, and what is wrong with them, for people.
func parseSession(args []string) (*sessionCommand, error) {
	if len(args) == 0 {
		return nil, errors.New("which command?")
	}
	c := &sessionCommand{verb: args[0]}
	switch c.verb {
	case "list", "end":
	case "help", "-h", "-help", "--help":
		return nil, flag.ErrHelp
	default:
		return nil, fmt.Errorf("there is no command %q", c.verb)
	}
	flags := newFlags("session " + c.verb)
	flags.StringVar(&c.config, "config", defaultConfig, "")
	flags.BoolVar(&c.json, "json", false, "")
	flags.Var(&c.user, "user", "")
	var err error
	if c.ids, err = parseAnywhere(flags, args[1:]); err != nil {
		return nil, err
	}
	switch {
	case c.user.given && c.user.value == "":
		return nil, errors.New("--user needs the name of an account")
	case c.verb == "list" && len(c.ids) > 0:
		return nil, fmt.Errorf("unexpected argument %q", c.ids[0])
	case c.verb == "end" && c.user.given == (len(c.ids) > 0):
		return nil, errors.New("end needs either ids of sessions or --user NAME")
	}
	return c, nil
}

// runSession is the command gatehouse session.
func runSession(args []string, stdout, stderr io.Writer) int {
	c, err := parseSession(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, sessionUsage)
		return exitOK
	}
	if err != nil {
		return usageError(stderr, "session", err, sessionUsage)
	}
	return administer(c.config, adminsock.Command{Args: append([]string{"session"}, args...)}, stdout, stderr)
}
