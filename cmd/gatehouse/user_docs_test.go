package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The first commands that somebody reads are the first that they type: in this
// order, at an account that is new.
func TestCommandsOfTheDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/local-accounts.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "\n\n")
	block, _, _ = strings.Cut(block, "\n\n")
	p := &place{config: writeConfig(t, routesText)}
	ran := 0
	for line := range strings.Lines(block) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "gatehouse ")
		if !ok {
			t.Fatalf("%q is no command", line)
		}
		var args []string
		for i, part := range strings.Split(command, `"`) {
			if i%2 == 1 { // it stood in quotes
				args = append(args, part)
				continue
			}
			args = append(args, strings.Fields(part)...)
		}
		if strings.HasPrefix(command, "user set-password") {
			args = append(args, "--"+flagPassword) // there is no terminal
		}
		p.must(t, goodPassword+"\n", args...)
		ran++
	}
	if ran < 10 {
		t.Errorf("there are %d commands in:\n%s", ran, block)
	}
}

// Of several changes in one command all are made, or none.
func TestSetIsAllOrNothing(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.must(t, "", "user", "add", "ada", "--email", "ada@corp.example", "--group", "staff", "--attr", "site=Bonn")
	p.must(t, "", "user", "add", "bea", "--email", "bea@corp.example")
	before := p.shown(t, "ada")
	for _, refused := range [][]string{
		{"--unset", "title"}, {"--username", "bea"}, {"--email", "bea@corp.example"}, {"--email", "none"}, {"--groups", "a\x1b"}, {"--attr", "=x y=z"},
	} {
		args := append([]string{"user", "set", "ada", "--name", "Ada", "--groups", "ops", "--attr", "site=Berlin"}, refused...)
		r := p.command("", args...)
		if r.code == exitOK || r.code == exitFailed && !strings.Contains(r.stderr, "; nothing was changed\n") {
			t.Errorf("%q: exit code %d, %s", refused, r.code, r.stderr)
		}
		if d := cmp.Diff(before, p.shown(t, "ada")); d != "" {
			t.Errorf("%q (-before +after):\n%s", refused, d)
		}
	}
}
