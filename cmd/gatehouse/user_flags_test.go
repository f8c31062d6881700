package main

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAnywhere(t *testing.T) {
	type result struct {
		Names []string
		A     string
		B     bool
	}
	tests := []struct {
		name string
		args []string
		want result
	}{
		{"nothing", nil, result{}},
		{"flags first", []string{"--a", "1", "-b", "x", "y"}, result{[]string{"x", "y"}, "1", true}},
		{"flags last", []string{"x", "y", "-b", "--a=1"}, result{[]string{"x", "y"}, "1", true}},
		{"flags between", []string{"x", "--a", "1", "y", "-b"}, result{[]string{"x", "y"}, "1", true}},
		{"end of flags", []string{"-b", "--", "--a", "1"}, result{[]string{"--a", "1"}, "", true}},
		{"end of flags after a name", []string{"x", "-b", "--", "-y"}, result{[]string{"x", "-y"}, "", true}},
		{"a value that looks like a flag", []string{"--a", "-b", "x"}, result{[]string{"x"}, "-b", false}},
		{"an empty name", []string{"", "-b"}, result{[]string{""}, "", true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got result
			flags := newFlags("test")
			flags.StringVar(&got.A, "a", "", "")
			flags.BoolVar(&got.B, "b", false, "")
			var err error
			if got.Names, err = parseAnywhere(flags, tt.args); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestParseUser(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // error; empty: none
	}{
		{"add", []string{"add", "ada", "--email", "a@b.example", "--group", "a", "--group", "b", "--attr", "k=v"}, ""},
		{"flags first", []string{"show", "--json", "ada"}, ""},
		{"set to nothing", []string{"set", "ada", "--groups", ""}, ""},
		{"set e-mail to nothing", []string{"set", "ada", "--email="}, ""},
		{"a name like a flag", []string{"show", "--", "-ada"}, ""},
		{"no command", nil, "which command?"},
		{"unknown command", []string{"remove", "ada"}, `there is no command "remove"`},
		{"no name", []string{"show"}, "show needs the name of an account"},
		{"empty name", []string{"disable", ""}, "disable needs the name of an account"},
		{"two names", []string{"delete", "ada", "grace"}, `delete takes one name, and "grace" is another`},
		{"list with a name", []string{"list", "ada"}, `list takes no name, and "ada" is one`},
		{"set without anything", []string{"set", "ada"}, "set needs something to set: --username, --email, --name, --groups, --attr or --unset"},
		{"attribute without value", []string{"set", "ada", "--attr", "k"}, `--attr "k" is not NAME=VALUE`},
		{"attribute without name", []string{"add", "ada", "--attr", "=v"}, `--attr "=v" is not NAME=VALUE`},
		{"set and unset", []string{"set", "ada", "--attr", "k=v", "--unset", "k"}, `--attr and --unset both name "k"`},
		{"export", []string{"export", "ada"}, ""},
		{"export of all", []string{"export", "--all"}, ""},
		// Not "all": a script whose variable is empty must not tell everything.
		{"export of nobody", []string{"export"}, "export needs the name of an account, or --all"},
		{"export of an empty name", []string{"export", ""}, "export needs the name of an account, or --all"},
		{"export of one and all", []string{"export", "ada", "--all"}, `export takes a name or --all, and not both: "ada"`},
		{"import", []string{"import", "--htpasswd", "-", "--dry-run", "--json"}, ""},
		{"import of nothing", []string{"import"}, "import needs one file: --htpasswd, --accounts or --authelia"},
		{"import of two files", []string{"import", "--htpasswd", "a", "--accounts", "b"}, "import needs one file: --htpasswd, --accounts or --authelia"},
		{"import of an empty name", []string{"import", "--authelia", ""}, "import needs the name of a file, or - for the standard input"},
		{"import with a name", []string{"import", "ada"}, `import takes no name, and "ada" is one`},
		{"inactive", []string{"inactive", "--dry-run", "--json"}, ""},
		{"inactive with a name", []string{"inactive", "ada"}, `inactive takes no name, and "ada" is one`},
		{"inactive, dry and forced", []string{"inactive", "--dry-run", "--force"}, "--dry-run changes nothing, so there is nothing to --force"},
		{"force elsewhere", []string{"delete", "ada", "--force"}, "flag provided but not defined: -force"},
		{"unlink from what", []string{"unlink", "ada"}, "unlink needs --connection"},
		// A password in the arguments shows in the list of processes.
		{"password as argument", []string{"add", "ada", "--password", "x"}, "flag provided but not defined: -password"},
		{"flag of another command", []string{"add", "ada", "--groups", "a,b"}, "flag provided but not defined: -groups"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseUser(tt.args)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
	for _, args := range [][]string{{"--help"}, {"help"}, {"add", "-h"}, {"show", "ada", "--help"}} {
		if _, err := parseUser(args); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: %v, want ErrHelp", args, err)
		}
	}
}

func TestParseSession(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"list"}, ""},
		{[]string{"list", "--user", "ada", "--json"}, ""},
		{[]string{"end", "a", "b"}, ""},
		{[]string{"end", "--user", "ada"}, ""},
		{nil, "which command?"},
		{[]string{"kill"}, `there is no command "kill"`},
		{[]string{"list", "x"}, `unexpected argument "x"`},
		// Not "all": a script whose variable is empty must not end everybody's.
		{[]string{"end"}, "end needs either ids of sessions or --user NAME"},
		{[]string{"end", "a", "--user", "ada"}, "end needs either ids of sessions or --user NAME"},
		{[]string{"end", "--user", ""}, "--user needs the name of an account"},
	}
	for _, tt := range tests {
		_, err := parseSession(tt.args)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: error %q, want %q", tt.args, got, tt.want)
		}
	}
}

func TestPasswordLine(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"line", "secret word\n", "secret word"},
		{"no line break", "secret word", "secret word"},
		{"other system", "secret word\r\n", "secret word"},
		{"only the first line", "one\ntwo\n", "one"},
		{"spaces belong to it", " secret \n", " secret "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := passwordLine(strings.NewReader(tt.in)); err != nil || got != tt.want {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
	for _, in := range []string{"", "\n", "\r\n"} {
		if got, err := passwordLine(strings.NewReader(in)); err == nil {
			t.Errorf("%q is the password %q", in, got)
		}
	}
	endless := strings.NewReader(strings.Repeat("x", 1<<20))
	if got, err := passwordLine(endless); err != nil || len(got) > maxPasswordLine {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

// Attack: a name from an identity provider that repaints the administrator's
// terminal.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Zoë 李":             "Zoë 李",
		"\x1b[2Jroot":       "\ufffd[2Jroot",
		"a\nb\tc\x00":       "a\ufffdb\ufffdc\ufffd",
		"\u202egnp.exe":     "\ufffdgnp.exe",
		"bad\xff":           "bad\ufffd",
		"\u009b31m\u200bzw": "\ufffd31m\ufffdzw",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q prints as %q, want %q", in, got, want)
		}
	}
}
