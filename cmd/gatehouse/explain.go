package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/auth"
	"gatehouse/auth/oidc"
	"gatehouse/auth/signin"
	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
	"gatehouse/provision"
	"gatehouse/proxy"
)

const explainUsage = `usage: gatehouse explain --connection ID --claims F [--live] [--config config.yaml] [--json]

Says what an answer of an identity provider would do, by having the code of a
sign-in do it where nothing comes of it: who is refused and why, which account
it would be and which it would not, what is written and what is kept, and the
headers that applications would get. It asks no identity provider.

  --connection ID  of the configuration
  --claims F       the claims of an ID token as JSON; - is the standard input
  --live           among the accounts of the store; without it, as for somebody
                   whom Gatehouse does not know, and no store is opened. It
                   changes nothing there, whether or not the server runs
  --config F       the configuration, as the file is now
  --json           for programs

Exit code 0: the person would come in; 1: refused, or failed; 2: usage;
3: they would first have to prove an account to be theirs.
`

// maxClaims is how much of a claims file is read, in bytes: as much as of an
// identity provider's answer.
const maxClaims = 1 << 20

// explainFlags are the flags of gatehouse explain.
type explainFlags struct {
	config, connection, claims string
	live, json                 bool
}

func (f *explainFlags) set() *flag.FlagSet {
	flags := newFlags("explain")
	flags.StringVar(&f.config, "config", defaultConfig, "")
	flags.StringVar(&f.connection, "connection", "", "")
	flags.StringVar(&f.claims, "claims", "", "")
	flags.BoolVar(&f.live, "live", false, "")
	flags.BoolVar(&f.json, "json", false, "")
	return flags
}

// runExplain is the command gatehouse explain.
func runExplain(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var f explainFlags
	if code, done := parseCommand(f.set(), explainUsage, args, stdout, stderr); done {
		return code
	}
	switch {
	case f.connection == "":
		return usageError(stderr, "explain", errors.New("name a connection with --connection"), explainUsage)
	case f.claims == "":
		return usageError(stderr, "explain", errors.New("name a file of claims with --claims, or - for the standard input"), explainUsage)
	}
	cfg, _, err := config.Load(f.config, os.LookupEnv)
	if err != nil {
		return failed(stderr, err)
	}
	if cfg.Connection(f.connection) == nil {
		return usageError(stderr, "explain", unknownConnection(cfg, f.config, f.connection), "")
	}
	data, err := readClaims(f.claims, stdin)
	if err != nil {
		return failed(stderr, err)
	}
	if f.live {
		// The server, which may be the one to answer, has another directory.
		file, err := filepath.Abs(f.config)
		if err != nil {
			return failed(stderr, err)
		}
		command := []string{"explain", "--live", "--connection", f.connection, "--claims", "-", "--config", file}
		if f.json {
			command = append(command, "--json")
		}
		return administer(f.config, adminsock.Command{Args: command, Stdin: data}, stdout, stderr)
	}
	resolver, err := provision.Rehearsal(context.Background(), cfg, nil, proxy.Fits)
	if err != nil {
		return failed(stderr, err)
	}
	return f.explain(context.Background(), cfg, resolver, data, stdout, stderr)
}

// explain executes the arguments after "gatehouse explain --live", where the
// store is.
func (a *administration) explain(ctx context.Context, args []string, stdin []byte, stdout, stderr io.Writer) int {
	var f explainFlags
	if code, done := parseCommand(f.set(), explainUsage, args, stdout, stderr); done {
		return code
	}
	// As the file is now, which a server that runs may not have read.
	cfg, _, err := config.Load(f.config, os.LookupEnv)
	if err != nil {
		return failed(stderr, err)
	}
	if cfg.Connection(f.connection) == nil {
		return usageError(stderr, "explain", unknownConnection(cfg, f.config, f.connection), "")
	}
	return f.explain(ctx, cfg, provision.NewResolver(cfg, a.directory), stdin, stdout, stderr)
}

// explain prints what the resolver says of the claims.
func (f *explainFlags) explain(ctx context.Context, cfg *config.Config, resolver *provision.Resolver, data []byte, stdout, stderr io.Writer) int {
	claims, err := oidc.DecodeClaims(data)
	if err != nil {
		return failed(stderr, fmt.Errorf("read claims: %s: %w", f.claims, err))
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	e, err := explainClaims(ctx, cfg, cfg.Connection(f.connection), resolver, claims, log)
	if err != nil {
		return failed(stderr, forPeople(err))
	}
	e.Live = f.live
	if f.json {
		err = writeJSON(stdout, e)
	} else {
		err = e.print(stdout)
	}
	switch {
	case err != nil:
		return failed(stderr, err)
	case e.Verdict == auth.Confirm:
		return exitConfirm
	case !e.Admitted:
		return exitFailed
	}
	return exitOK
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
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

// readClaims reads a file that should be claims, and refuses one that a sign-in
// would refuse.
func readClaims(file string, stdin io.Reader) ([]byte, error) {
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
		return nil, fmt.Errorf("read claims: %s: more than %d bytes", file, maxClaims)
	}
	if _, err := oidc.DecodeClaims(bytes.TrimPrefix(data, []byte("\ufeff"))); err != nil {
		return nil, fmt.Errorf("read claims: %s: %w", file, err)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// explainClaims goes the way of a sign-in: map, resolve, owe, render. What the
// headers had to leave out goes to the log.
func explainClaims(ctx context.Context, cfg *config.Config, conn *config.Connection, resolver *provision.Resolver,
	claims map[string]any, log *slog.Logger,
) (*explanation, error) {
	e := newExplanation(conn.ID)
	identity, err := oidc.MapClaims(*conn, conn.Issuer, claims)
	if err != nil {
		e.Reason, e.Why = reasonInvalid, err.Error()
		return e, nil
	}
	e.Subject = identity.Subject
	p, err := resolver.Explain(ctx, identity)
	if errors.Is(err, auth.ErrInvalidAnswer) {
		e.Reason, e.Why = reasonInvalid, err.Error()
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	e.tell(p)
	if p.Denied != nil {
		return e, nil
	}
	if c := p.Confirmation; c != nil && !cfg.Local.Enabled {
		// A password is of no use where nobody can type one.
		if c.Password = false; len(c.Connections) == 0 {
			e.Reason = auth.DeniedUnconfirmable
			e.Why = fmt.Sprintf("account %s must be proved first, because %s, and every way of proving it is closed "+
				"(local sign-in, or the connections through which it is linked)", c.Account, c.Why)
			return e, nil
		}
	}
	e.FactorOwed, err = signin.Owes(cfg.MFA.Enforce, conn.ID, auth.Outcome{Account: p.Person.Account})
	if denied, ok := errors.AsType[*auth.Denied](err); ok {
		e.Reason, e.Why = denied.Reason, denied.Detail
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	e.FactorWhy = whyOwed(cfg.MFA.Enforce, p)
	e.Admitted, e.Verdict = p.Confirmation == nil, p.Verdict
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
	headers.Log = log
	for _, h := range headers.Upstream(p.Person) {
		e.Headers = append(e.Headers, explainedHeader{h.Name, h.Value})
	}
	e.become(p)
	return e, nil
}

// whyOwed says what makes a second factor owed, or not.
func whyOwed(enforce string, p provision.Explanation) string {
	switch {
	case enforce == config.EnforceOff:
		return "mfa.enforce is off"
	case enforce == config.EnforceLocal:
		return "mfa.enforce is local: who comes through a connection owes none"
	case p.SecondFactor:
		return "mfa.enforce is all, and the account has one"
	}
	return "mfa.enforce is all; the account has none, and this sign-in enrols one"
}
