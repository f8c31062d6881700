package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"gatehouse/internal/config"
)

const checkUsage = `usage: gatehouse check [--config config.yaml] [--strict] [--json]

Finds everything that is wrong in a configuration file, each problem with its
line and what to do, and warns of what works and is probably not meant. If there
is nothing wrong, it runs the tests of the connections, by the code of a sign-in:
what does not come out as they say is a problem. It opens no store and asks no
identity provider.

  --config F  the file
  --strict    warnings count as problems
  --json      {"ok", "problems": [{"file", "line", "path", "what", "do"}],
              "warnings": [{"file", "line", "path", "code", "message"}],
              "tests": N that were run}

Exit code 0: the file is valid, and its tests hold; 1: not so; 2: usage.
`

// verdict is what check found, as --json prints it.
type verdict struct {
	OK       bool             `json:"ok"`
	Problems config.Problems  `json:"problems"`
	Warnings []config.Warning `json:"warnings"`
	Tests    int              `json:"tests"`
}

// runCheck is the command gatehouse check. Problems and warnings are its data
// and go to stdout, one line each; the sum of them is talk.
func runCheck(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("check")
	path := flags.String("config", defaultConfig, "")
	strict := flags.Bool("strict", false, "")
	asJSON := flags.Bool("json", false, "")
	if code, done := parseCommand(flags, checkUsage, args, stdout, stderr); done {
		return code
	}

	v := verdict{Problems: config.Problems{}, Warnings: []config.Warning{}}
	cfg, warnings, err := config.Load(*path, os.LookupEnv)
	talk := *path + ": "
	if err != nil && !errors.As(err, &v.Problems) {
		v.Problems = config.Problems{{File: *path, What: err.Error(), Do: "name a file that can be read with --config"}}
		talk = fmt.Sprintf("gatehouse check: %v\n", err)
	} else {
		v.Warnings = append(v.Warnings, warnings...)
		if err == nil {
			var failures config.Problems
			if v.Tests, failures, err = runFixtures(context.Background(), *path, cfg); err != nil {
				return failed(stderr, err)
			}
			v.Problems = append(v.Problems, failures...)
		}
		v.OK = len(v.Problems) == 0 && (len(v.Warnings) == 0 || !*strict)
		talk += v.sum() + "\n"
		if !*asJSON {
			v.print(stdout)
		}
	}
	if *asJSON {
		out := json.NewEncoder(stdout)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		if err := out.Encode(v); err != nil {
			return failed(stderr, err)
		}
	}
	fmt.Fprint(stderr, talk)
	if !v.OK {
		return exitFailed
	}
	return exitOK
}

// print writes one line for each problem and warning.
func (v *verdict) print(w io.Writer) {
	for _, p := range v.Problems {
		fmt.Fprintln(w, p)
	}
	for _, warning := range v.Warnings {
		fmt.Fprintln(w, warning)
	}
}

// sum says in a few words what was found.
func (v *verdict) sum() string {
	valid := "valid"
	if v.Tests > 0 {
		valid += ", " + counted(v.Tests, "test") + " passed"
	}
	switch {
	case len(v.Problems) > 0:
		return counted(len(v.Problems), "problem")
	case len(v.Warnings) == 0:
		return valid
	case v.OK:
		return valid + ", with " + counted(len(v.Warnings), "warning")
	}
	return counted(len(v.Warnings), "warning") + ", refused by --strict"
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
