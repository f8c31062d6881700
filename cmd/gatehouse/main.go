// Command gatehouse is a reverse-proxy authentication gateway: it lets people
// sign in through external identity providers or with a local account, and
// tells the applications behind it, by headers, who they are.
//
// This package holds the command line and the wiring. Each command is a
// function of its arguments and streams that returns an exit code: 0 ok, 1
// refused or failed, 2 usage, and 3 of explain. app.go is the only place that
// knows every package.
package main

import (
	"fmt"
	"io"
	"os"
)

// version is set at build time: -ldflags "-X main.version=1.2.3".
var version = "dev"

const usage = `Gatehouse stands in front of web applications and tells them who is there.

usage: gatehouse COMMAND [flags]

  serve     run the gateway                      [--config config.yaml]
  demo      everything embedded, to look at      [--listen 127.0.0.1:4180]
  check     find every problem of a config file  [--config F] [--strict] [--json]
  explain   what an answer of an identity provider would do
                                                 --connection ID --claims F [--live] [--config F] [--json]
  why       whether a request may pass, and why  --url URL [--user U] [--method M] [--config F] [--json]
  user      add|list|show|history|set|export|disable|enable|delete|set-password|setup-link|reset-mfa|unlock|unlink|inactive
  reload    make the running server take its config file anew  [--config F]
  session   list|end
  mail      list|retry|drop
  doctor    find what is wrong in the store      [--repair] [--config F] [--json]
  migrate   another gateway's configuration as config.yaml
                                                 oauth2-proxy [--config F] [-- FLAG...]
  health    ask the running server               [--config F]
  version   print the version

gatehouse COMMAND --help tells more.
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	command, args := args[0], args[1:]
	switch command {
	case "serve":
		return runServe(args, stdout, stderr)
	case "demo":
		return runDemo(args, stdout, stderr)
	case "check":
		return runCheck(args, stdout, stderr)
	case "explain":
		return runExplain(args, stdin, stdout, stderr)
	case "why":
		return runWhy(args, stdout, stderr)
	case "user":
		return runUser(args, stdin, stdout, stderr)
	case "session":
		return runSession(args, stdout, stderr)
	case "mail":
		return runMail(args, stdout, stderr)
	case "reload":
		return runReload(args, stdout, stderr)
	case "doctor":
		return runDoctor(args, stdout, stderr)
	case "migrate":
		return runMigrate(args, stdout, stderr)
	case "health":
		return runHealth(args, stdout, stderr)
	case "version", "--version":
		fmt.Fprintf(stdout, "gatehouse %s\n", version)
		return exitOK
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	fmt.Fprintf(stderr, "gatehouse: no command %q; gatehouse help lists them\n", command)
	return exitUsage
}
