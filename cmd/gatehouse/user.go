package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
)

const userUsage = `usage: gatehouse user COMMAND [flags]

  add NAME            add an account  [--email E] [--name N] [--group G]... [--attr K=V]... [--password-stdin | --setup-link | --mail-setup-link]
  list                all accounts
  show NAME           everything about one
  history NAME        what happened to it, the last at the end
  export NAME         everything that is kept about one person, or --all: of each, a line (JSON, without secrets)
  set NAME            change it       [--username U] [--email E] [--name N] [--groups A,B] [--attr K=V]... [--unset K]...
  disable NAME        refuse every sign-in and end its sessions
  enable NAME         the opposite
  delete NAME         for ever, with its links, password and factors
  set-password NAME   asks on the terminal, or [--password-stdin]
  setup-link NAME     print a link by which its owner chooses a password, once, within three days; or mail it  [--mail]
  factors NAME        its second factors
  reset-mfa NAME      forget its second factors, or one of them  [--factor ID]
  require-mfa NAME    the next local sign-in enrols a second factor, after it has proved one where there is one
  unlock NAME         forget the wrong passwords and codes that were tried at it
  unlink NAME         cut the tie to an identity provider  --connection ID [--subject S]
  import              add the accounts of a file, with their passwords  --htpasswd F | --accounts F | --authelia F  [--dry-run]
  inactive            run the rule jit_provisioning.inactive now  [--dry-run | --force]

NAME is the username, the e-mail or the id of an account.
--config F names the configuration (config.yaml); --json prints for programs.
--groups replaces the groups that were assigned here, --email "" removes the e-mail.
After --username the former name stays reserved for the account; applications see the new one at once.
import reads Apache's NAME:HASH, a JSON list of {username, email, name, groups, attributes, password_hash, disabled},
or Authelia's users file; - is the standard input. Accounts that are there already stay as they are.
--dry-run changes nothing; --force acts also on more than half of all accounts at once.

Exit code 0: done; 1: refused or failed, there is no such account, or no such rule; 2: usage.
`

// userCommand is a user command as it was typed.
type userCommand struct {
	verb          string
	name          string // the account it is about
	config        string
	json          bool
	passwordStdin bool

	email, fullName, groups optional
	username                optional
	group, attr, unset      list
	connection              string
	subject, factor         optional
	all, dryRun, force      bool
	setupLink, mailLink     bool

	attributes map[string][]string // attr, read

	htpasswd, accounts, authelia optional // files to import; - is the standard input

	link *setupView // that the command has made
}

// Names of flags that not every user command has.
const (
	flagPassword   = "password-stdin"
	flagConnection = "connection"
)

// userVerbs are the user commands and the flags of each beside --config and
// --json.
func userVerbs() map[string][]string {
	return map[string][]string{
		"add":          {"email", "name", "group", "attr", flagPassword, "setup-link", "mail-setup-link"},
		"list":         {},
		"show":         {},
		"history":      {},
		"export":       {"all"},
		"set":          {"username", "email", "name", "groups", "attr", "unset"},
		"disable":      {},
		"enable":       {},
		"delete":       {},
		"set-password": {flagPassword},
		"setup-link":   {"mail"},
		"factors":      {},
		"reset-mfa":    {"factor"},
		"require-mfa":  {},
		"unlock":       {},
		"unlink":       {flagConnection, "subject"},
		"import":       {"htpasswd", "accounts", "authelia", "dry-run"},
		"inactive":     {"dry-run", "force"},
	}
}

// parseUser reads the arguments after "gatehouse user". Errors: flag.ErrHelp,
// and what is wrong with them, for people.
func parseUser(args []string) (*userCommand, error) {
	if len(args) == 0 {
		return nil, errors.New("which command?")
	}
	c := &userCommand{verb: args[0]}
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, c.verb) {
		return nil, flag.ErrHelp
	}
	names, ok := userVerbs()[c.verb]
	if !ok {
		return nil, fmt.Errorf("there is no command %q", c.verb)
	}
	flags := newFlags("user " + c.verb)
	flags.StringVar(&c.config, "config", defaultConfig, "")
	flags.BoolVar(&c.json, "json", false, "")
	for _, name := range names {
		c.define(flags, name)
	}
	given, err := parseAnywhere(flags, args[1:])
	if err != nil {
		return nil, err
	}
	return c, c.complete(given)
}

// define adds one flag.
func (c *userCommand) define(flags *flag.FlagSet, name string) {
	switch name {
	case flagPassword:
		flags.BoolVar(&c.passwordStdin, name, false, "")
	case flagConnection:
		flags.StringVar(&c.connection, name, "", "")
	case "all", "dry-run", "force", "setup-link", "mail-setup-link", "mail":
		flags.BoolVar(map[string]*bool{
			"all": &c.all, "dry-run": &c.dryRun, "force": &c.force, "setup-link": &c.setupLink,
			"mail-setup-link": &c.mailLink, "mail": &c.mailLink,
		}[name], name, false, "")
	default:
		flags.Var(map[string]flag.Value{
			"username": &c.username, "email": &c.email, "name": &c.fullName, "groups": &c.groups, "subject": &c.subject,
			"factor": &c.factor, "htpasswd": &c.htpasswd, "accounts": &c.accounts, "authelia": &c.authelia,
			"group": &c.group, "attr": &c.attr, "unset": &c.unset,
		}[name], name, "")
	}
}

// complete judges what the flags alone do not tell.
func (c *userCommand) complete(names []string) (err error) {
	nameless := c.verb == "list" || c.verb == "inactive" || c.verb == "import" || c.all
	switch {
	case nameless && c.all && len(names) > 0:
		return fmt.Errorf("export takes a name or --all, and not both: %q", names[0])
	case nameless && len(names) > 0:
		return fmt.Errorf("%s takes no name, and %q is one", c.verb, names[0])
	case (c.setupLink || c.mailLink) && c.passwordStdin:
		return errors.New("by a set-up link the person chooses the password that --password-stdin gives")
	case c.setupLink && c.mailLink:
		return errors.New("a set-up link is either printed or mailed")
	case c.dryRun && c.force:
		return errors.New("--dry-run changes nothing, so there is nothing to --force")
	case c.verb == "import":
		return c.completeImport()
	case nameless:
		return nil
	case c.verb == "export" && (len(names) == 0 || names[0] == ""):
		return errors.New("export needs the name of an account, or --all")
	case len(names) == 0 || names[0] == "":
		return fmt.Errorf("%s needs the name of an account", c.verb)
	case len(names) > 1:
		return fmt.Errorf("%s takes one name, and %q is another", c.verb, names[1])
	}
	c.name = names[0]
	if c.attributes, err = attributes(c.attr); err != nil {
		return err
	}
	for _, name := range c.unset {
		if _, both := c.attributes[name]; both {
			return fmt.Errorf("--attr and --unset both name %q", name)
		}
	}
	switch {
	case c.verb == "unlink" && c.connection == "":
		return errors.New("unlink needs --connection")
	case c.verb == "set" && !c.username.given && !c.email.given && !c.fullName.given && !c.groups.given && len(c.attr)+len(c.unset) == 0:
		return errors.New("set needs something to set: --username, --email, --name, --groups, --attr or --unset")
	}
	return nil
}

// runUser is the command gatehouse user. It asks for what only this terminal
// can give; everything else happens where the store is.
func runUser(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c, err := parseUser(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, userUsage)
		return exitOK
	}
	if err != nil {
		return usageError(stderr, "user", err, userUsage)
	}
	command := adminsock.Command{Args: append([]string{"user"}, args...)}
	if c.all || c.verb == "inactive" || c.verb == "import" {
		command.Within = longCommand
	}
	if c.verb == "import" {
		if command.Stdin, err = c.importFile(stdin); err != nil {
			return failed(stderr, err)
		}
	} else if c.passwordStdin {
		password, err := passwordLine(stdin)
		if err != nil {
			return failed(stderr, err)
		}
		command.Stdin = []byte(password)
	} else if c.verb == "set-password" {
		password, err := askPassword(stdin, stderr)
		if errors.Is(err, errNoTerminal) {
			return usageError(stderr, "user", err, "")
		}
		if err != nil {
			return failed(stderr, err)
		}
		command.Args = slices.Insert(command.Args, 2, "--"+flagPassword)
		command.Stdin = []byte(password)
	}
	return administer(c.config, command, stdout, stderr)
}

func usageError(stderr io.Writer, command string, err error, usage string) int {
	fmt.Fprintf(stderr, "gatehouse %s: %s\n%s", command, printable(err.Error()), usage)
	return exitUsage
}

// failed says why a command was refused or failed. The problems of a
// configuration are printed as they are, each with its place.
func failed(stderr io.Writer, err error) int {
	if problems, ok := errors.AsType[config.Problems](err); ok {
		fmt.Fprintln(stderr, problems)
		return exitFailed
	}
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		fmt.Fprintf(stderr, "gatehouse: %s\n", printable(line))
	}
	return exitFailed
}
