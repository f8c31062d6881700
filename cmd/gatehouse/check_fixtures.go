package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/provision"
	"gatehouse/proxy"
)

// runFixtures runs the tests of all connections of a valid file. It returns how
// many there are and what they found.
func runFixtures(ctx context.Context, file string, cfg *config.Config) (tests int, problems config.Problems, err error) {
	for i := range cfg.Connections {
		for j := range cfg.Connections[i].Tests {
			at := fixture{cfg: cfg, connection: i, test: j, file: file}
			tests++
			found, err := at.run(ctx)
			if err != nil {
				return tests, nil, err
			}
			problems = append(problems, found...)
		}
	}
	return tests, problems, nil
}

// fixture is one test of one connection.
type fixture struct {
	cfg              *config.Config
	connection, test int
	file             string
}

func (f fixture) run(ctx context.Context) (config.Problems, error) {
	conn := f.cfg.Connections[f.connection]
	test := conn.Tests[f.test]
	// A connection that is not enabled is tried as if it were: before it is.
	conn.Disabled = false
	cfg := *f.cfg
	cfg.Connections = slices.Clone(cfg.Connections)
	cfg.Connections[f.connection] = conn

	resolver, err := provision.Rehearsal(ctx, &cfg, test.Account, proxy.Fits)
	if refused, ok := errors.AsType[*provision.RefusedError](err); ok {
		return config.Problems{f.problem("account", "cannot be: "+refused.Error(), "describe an account that an administrator could add")}, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := explainClaims(ctx, &cfg, &conn, resolver, test.Claims, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	for _, c := range e.Candidates {
		if c.Account != nil { // its id is another one each time
			e.Why = strings.ReplaceAll(e.Why, c.Account.ID, c.Account.Username)
		}
	}
	return f.judge(test.Expect, e), nil
}

// problem is one thing that is not as a test of the file says.
func (f fixture) problem(key, what, do string) config.Problem {
	return config.Problem{
		File: f.file, Line: f.cfg.Connections[f.connection].Tests[f.test].Line,
		Path: fmt.Sprintf("connections[%d].tests[%d].%s", f.connection, f.test, key), What: printable(what), Do: printable(do),
	}
}

// judge compares what came out with what should.
func (f fixture) judge(want config.Expectation, got *explanation) config.Problems {
	var problems config.Problems
	differ := func(key, is, want string) {
		if is != want {
			problems = append(problems, f.problem("expect."+key, fmt.Sprintf("is %s, want %s", is, want),
				fmt.Sprintf("correct the connection, or what the test %q expects", f.cfg.Connections[f.connection].Tests[f.test].Name)))
		}
	}
	verdict := string(got.Verdict)
	refused := got.Verdict == verdictDenied && want.Verdict != string(verdictDenied)
	if refused {
		// Everything else would differ, and say less.
		verdict = fmt.Sprintf("denied (%s: %s)", got.Reason, got.Why)
	}
	if want.Verdict != "" {
		differ("verdict", verdict, want.Verdict)
	} else if refused {
		differ("verdict", verdict, "somebody who comes in")
	}
	if refused {
		return problems
	}
	if want.Reason != "" && got.Verdict == verdictDenied {
		differ("reason", string(got.Reason), want.Reason)
	}
	if want.Username != nil {
		differ("username", fmt.Sprintf("%q", got.seen.PreferredUsername), fmt.Sprintf("%q", *want.Username))
	}
	if want.Email != nil {
		differ("email", fmt.Sprintf("%q", got.seen.Email), fmt.Sprintf("%q", *want.Email))
	}
	if want.Groups != nil {
		differ("groups", setLine(got.seen.Groups), setLine(*want.Groups))
	}
	if want.Attributes != nil {
		differ("attributes", attributeLine(got.seen.Attributes), attributeLine(want.Attributes))
	}
	headers := map[string]string{}
	for _, h := range got.Headers {
		headers[strings.ToLower(h.Name)] = h.Value
	}
	for _, name := range slices.Sorted(maps.Keys(want.Headers)) {
		differ("headers."+name, fmt.Sprintf("%q", headers[strings.ToLower(name)]), fmt.Sprintf("%q", want.Headers[name]))
	}
	return problems
}

// setLine writes a set: in whatever order the names come.
func setLine(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	return "[" + strings.Join(slices.Compact(sorted), ", ") + "]"
}

// attributeLine writes attributes, their values in their order.
func attributeLine(attributes map[string][]string) string {
	var items []string
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		items = append(items, name+": ["+strings.Join(attributes[name], ", ")+"]")
	}
	return "{" + strings.Join(items, ", ") + "}"
}
