package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const defaultConfig = "config.yaml"

// newFlags returns a flag set that reports errors to its caller and prints
// nothing itself.
func newFlags(command string) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return flags
}

// parseAnywhere parses flags that stand before, between and after the names,
// as people type them; package flag alone stops at the first name. What
// follows "--" is names only.
func parseAnywhere(flags *flag.FlagSet, args []string) (names []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		if used := args[:len(args)-len(rest)]; len(used) > 0 && used[len(used)-1] == "--" {
			return append(names, rest...), nil
		}
		if len(rest) == 0 {
			return names, nil
		}
		names, args = append(names, rest[0]), rest[1:]
	}
}

// parseCommand parses the arguments of a command that takes flags and no names.
// done says that all is said already, and the command ends with code.
func parseCommand(flags *flag.FlagSet, usage string, args []string, stdout, stderr io.Writer) (code int, done bool) {
	names, err := parseAnywhere(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK, true
	}
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("unexpected argument %q", names[0])
	}
	if err != nil {
		return usageError(stderr, flags.Name(), err, usage), true
	}
	return exitOK, false
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// optional is a flag of which it matters whether it was given: an empty value
// clears, an absent one leaves alone.
type optional struct {
	value string
	given bool
}

func (o *optional) String() string { return o.value }

func (o *optional) Set(value string) error {
	o.value, o.given = value, true
	return nil
}

// commaList splits the value of a flag such as --groups A,B; empty means none.
func commaList(value string) []string {
	items := []string{}
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// attributes reads the values of --attr K=V; one that is given twice has both
// values.
func attributes(pairs []string) (map[string][]string, error) {
	values := map[string][]string{}
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); !found || name == "" {
			return nil, fmt.Errorf("--attr %q is not NAME=VALUE", pair)
		}
		values[name] = append(values[name], value)
	}
	return values, nil
}

// maxPasswordLine is how much of stdin is read for a password, in bytes; the
// policy refuses far shorter ones.
const maxPasswordLine = 16 << 10

// passwordLine reads one line, without its line break.
func passwordLine(stdin io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(stdin, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errors.New("there is no password on the standard input")
	}
	return line, nil
}

// printable makes a value that came from elsewhere, such as a name that an
// identity provider sent, fit for a terminal: an escape sequence in it would
// act on the administrator's screen.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, s)
}
