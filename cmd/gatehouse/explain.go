package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/oidc"
	"gatehouse/internal/config"
	"gatehouse/provision"
	"gatehouse/proxy"
)

const explainUsage = `usage: gatehouse explain --connection ID --claims F [--config config.yaml] [--json]

Says what an answer of an identity provider would do, by the same rules that a
sign-in goes through: who is refused and why, which account would be made, and
the headers that applications would get. It opens no store and asks nobody: it
answers for a person whom Gatehouse does not know yet.

  --connection ID  of the configuration
  --claims F       the claims of an ID token as JSON; - is the standard input
  --config F       the configuration
  --json           for programs

Exit code 0: the person would come in; 1: refused, or failed; 2: usage.
`

// maxClaims is how much of a claims file is read, in bytes: as much as of an
// identity provider's answer.
const maxClaims = 1 << 20

// explanation is what explain found, as --json prints it.
type explanation struct {
	Admitted   bool               `json:"admitted"`
	Verdict    auth.Verdict       `json:"verdict"`          // "denied" when not admitted
	Reason     auth.Reason        `json:"reason,omitempty"` // of a denial
	Why        string             `json:"why"`
	Connection string             `json:"connection"`
	Subject    string             `json:"subject,omitempty"`
	Account    *explainedAccount  `json:"account"` // null: none is made
	Attributes map[string]sourced `json:"attributes"`
	Groups     []string           `json:"groups"`
	FactorOwed bool               `json:"factor_owed"`
	Headers    []explainedHeader  `json:"headers"` // to applications, as they go over the wire
}

type explainedAccount struct {
	Username      string `json:"username"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Name          string `json:"name"`
}

// sourced is the values of an attribute and who gave them.
type sourced struct {
	Values []string `json:"values"`
	Source string   `json:"source"`
}

type explainedHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const verdictDenied auth.Verdict = "denied"

// runExplain is the command gatehouse explain.
func runExplain(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := newFlags("explain")
	path := flags.String("config", defaultConfig, "")
	id := flags.String("connection", "", "")
	file := flags.String("claims", "", "")
	asJSON := flags.Bool("json", false, "")
	if code, done := parseCommand(flags, explainUsage, args, stdout, stderr); done {
		return code
	}
	switch {
	case *id == "":
		return usageError(stderr, "explain", errors.New("name a connection with --connection"), explainUsage)
	case *file == "":
		return usageError(stderr, "explain", errors.New("name a file of claims with --claims, or - for the standard input"), explainUsage)
	}
	cfg, _, err := config.Load(*path, os.LookupEnv)
	if err != nil {
		return failed(stderr, err)
	}
	conn := cfg.Connection(*id)
	if conn == nil {
		return usageError(stderr, "explain", unknownConnection(cfg, *path, *id), "")
	}
	claims, err := readClaims(*file, stdin)
	if err != nil {
		return failed(stderr, err)
	}
	e, err := explainClaims(cfg, conn, claims, time.Now())
	if err != nil {
		return failed(stderr, err)
	}
	if *asJSON {
		err = writeJSON(stdout, e)
	} else {
		err = e.print(stdout)
	}
	if err != nil {
		return failed(stderr, err)
	}
	if !e.Admitted {
		return exitFailed
	}
	return exitOK
}

func unknownConnection(cfg *config.Config, path, id string) error {
	if len(cfg.Connections) == 0 {
		return fmt.Errorf("there is no connection %q: %s has none", id, path)
	}
	var ids []string
	for _, c := range cfg.Connections {
		ids = append(ids, c.ID)
	}
	return fmt.Errorf("there is no connection %q in %s; there is: %s", id, path, strings.Join(ids, ", "))
}

// readClaims reads a JSON object, numbers exactly as they are written, as a
// sign-in does.
func readClaims(file string, stdin io.Reader) (map[string]any, error) {
	from := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read claims: %w", err)
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxClaims+1))
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	if len(data) > maxClaims {
		return nil, fmt.Errorf("read claims: more than %d bytes", maxClaims)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil || claims == nil || d.More() {
		return nil, fmt.Errorf("read claims: %s is not one JSON object", file)
	}
	return claims, nil
}

// explainClaims goes the way of a sign-in: map, admit and decide, owe, render.
func explainClaims(cfg *config.Config, conn *config.Connection, claims map[string]any, now time.Time) (*explanation, error) {
	e := &explanation{
		Connection: conn.ID, Verdict: verdictDenied,
		Attributes: map[string]sourced{}, Groups: []string{}, Headers: []explainedHeader{},
	}
	identity, err := oidc.MapClaims(*conn, conn.Issuer, claims)
	if err != nil {
		e.Reason, e.Why = "invalid_answer", err.Error()
		return e, nil
	}
	e.Subject = identity.Subject
	var names []string
	for _, c := range cfg.Connections {
		for _, a := range c.Attributes {
			names = append(names, a.Name)
		}
	}
	headers, err := proxy.IdentityHeaders(cfg.IdentityHeaders, names)
	if err != nil {
		return nil, err
	}
	p, err := provision.Explain(cfg, identity, proxy.Fits, now)
	if err != nil {
		return nil, err
	}
	e.Why = p.Why
	if p.Denied != nil {
		e.Reason = p.Denied.Reason
		return e, nil
	}
	if cfg.MFA.Enforce == config.EnforceAll {
		if p.Account == nil {
			e.Reason, e.Why = auth.DeniedFactor, "mfa.enforce is all, and a person without an account cannot hold a factor"
			return e, nil
		}
		e.FactorOwed = true
	}
	e.Admitted, e.Verdict = true, p.Verdict
	if a := p.Account; a != nil {
		e.Account = &explainedAccount{Username: a.Username, Email: a.Email, EmailVerified: a.EmailVerified, Name: a.Name}
	}
	for name, values := range p.Person.Attributes {
		e.Attributes[name] = sourced{Values: orEmpty(values), Source: conn.ID}
	}
	e.Groups = orEmpty(p.Person.Groups)
	for _, h := range headers.Upstream(p.Person) {
		e.Headers = append(e.Headers, explainedHeader{h.Name, h.Value})
	}
	return e, nil
}

// print writes an explanation for people.
func (e *explanation) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, printable(value)) }
	if !e.Admitted {
		row("verdict", fmt.Sprintf("%s (%s)", e.Verdict, e.Reason))
		row("why", e.Why)
		return table.Flush()
	}
	row("verdict", string(e.Verdict))
	row("why", e.Why)
	if a := e.Account; a == nil {
		row("account", "none")
	} else {
		row("account", a.Username)
		switch {
		case a.Email == "":
			row("e-mail", "none")
		case a.EmailVerified:
			row("e-mail", a.Email)
		default:
			row("e-mail", a.Email+" (not verified: applications do not see it)")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		a := e.Attributes[name]
		row("attribute", fmt.Sprintf("%s = %s (from %s)", name, strings.Join(a.Values, ", "), a.Source))
	}
	row("groups", strings.Join(e.Groups, ", "))
	if e.FactorOwed {
		row("second factor", "owed")
	} else {
		row("second factor", "not owed")
	}
	for _, h := range e.Headers {
		row("header", h.Name+": "+h.Value)
	}
	return table.Flush()
}
