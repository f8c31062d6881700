package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
	"gatehouse/provision"
	"gatehouse/proxy"
)

const whyUsage = `usage: gatehouse why --url URL [--user U] [--method M] [--config config.yaml] [--json]
       gatehouse why --request ID [--config config.yaml] [--json]

Says which route a request falls under, whether it may pass, and why: each
requirement of the route's rule, and whether it holds. Nothing is sent, and
nothing changes, whether or not the server runs. With --request it says what the
running server has decided about a request whose id stands on a page or in the
log; a server remembers its own latest refusals, and others not so long.

  --url URL        what is asked for; a path alone is one of server.public_url
  --user U         whose session it is: an account's username, e-mail or id;
                   without it nobody is signed in
  --method M       GET, if it is not given
  --connection ID  by which the session came in; local is the password. Without
                   it: local where the account has a password, else its only link
  --amr A,B        how the person was authenticated, and --acr L at which level.
                   Without them: by password, and a second factor where there is
                   one; of a provider nothing is known
  --client ADDRESS of the client; without it, nothing is known
  --request ID     of a request that was answered
  --config F       the configuration, as the file is now
  --json           for programs

Exit code 0: it may pass; 1: it may not, or failed; 2: usage.
`

// whyFlags are the flags of gatehouse why.
type whyFlags struct {
	config, url, user, method, connection, amr, acr, client, request string
	json                                                             bool
	address                                                          netip.Addr
}

func (f *whyFlags) set() *flag.FlagSet {
	flags := newFlags("why")
	flags.StringVar(&f.config, "config", defaultConfig, "")
	flags.StringVar(&f.url, "url", "", "")
	flags.StringVar(&f.user, "user", "", "")
	flags.StringVar(&f.method, "method", http.MethodGet, "")
	flags.StringVar(&f.connection, "connection", "", "")
	flags.StringVar(&f.amr, "amr", "", "")
	flags.StringVar(&f.acr, "acr", "", "")
	flags.StringVar(&f.client, "client", "", "")
	flags.StringVar(&f.request, "request", "", "")
	flags.BoolVar(&f.json, "json", false, "")
	return flags
}

// asks are the flags that describe a request, of which there need be none that
// was made.
var asks = []string{"url", "user", "method", "connection", "amr", "acr", "client"}

// parse reads the arguments after "gatehouse why". Done says that there is
// nothing more to do.
func (f *whyFlags) parse(args []string, stdout, stderr io.Writer) (code int, done bool) {
	flags := f.set()
	if code, done := parseCommand(flags, whyUsage, args, stdout, stderr); done {
		return code, true
	}
	beside := ""
	flags.Visit(func(given *flag.Flag) {
		if slices.Contains(asks, given.Name) {
			beside = given.Name
		}
	})
	switch {
	case f.request != "" && beside != "":
		return usageError(stderr, "why", fmt.Errorf("--request is about a request that was made: leave out --%s", beside), whyUsage), true
	case f.request == "" && f.url == "":
		return usageError(stderr, "why", errors.New("name what is asked for with --url, or a request that was made with --request"), whyUsage), true
	}
	if f.user == "" && (f.connection != "" || f.amr != "" || f.acr != "") {
		return usageError(stderr, "why", errors.New("--connection, --amr and --acr are about a session; name whose with --user"), whyUsage), true
	}
	if f.client != "" {
		var err error
		if f.address, err = netip.ParseAddr(f.client); err != nil {
			return usageError(stderr, "why", fmt.Errorf("--client: %q is no IP address", f.client), whyUsage), true
		}
		f.address = f.address.Unmap()
	}
	return exitOK, false
}

// runWhy is the command gatehouse why. Of a person it asks where the accounts
// are.
func runWhy(args []string, stdout, stderr io.Writer) int {
	var f whyFlags
	if code, done := f.parse(args, stdout, stderr); done {
		return code
	}
	if f.request != "" {
		return f.recall(args, stdout, stderr)
	}
	if f.user == "" {
		return f.decide(nil, stdout, stderr)
	}
	// The server, which may be the one to answer, has another directory.
	file, err := filepath.Abs(f.config)
	if err != nil {
		return failed(stderr, err)
	}
	command := append([]string{"why"}, args...)
	return administer(f.config, adminsock.Command{Args: append(command, "--config", file)}, stdout, stderr)
}

// why executes the arguments after "gatehouse why --user U", where the store is.
func (a *administration) why(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f whyFlags
	if code, done := f.parse(args, stdout, stderr); done {
		return code
	}
	if f.request != "" {
		return f.recalled(&a.decisions, stdout, stderr)
	}
	cfg, _, err := config.Load(f.config, os.LookupEnv)
	if err != nil {
		return failed(stderr, err)
	}
	person, err := a.acting(ctx, cfg, f)
	if err != nil {
		return failed(stderr, forPeople(err))
	}
	return f.decide(person, stdout, stderr)
}

// acting is the person of the session that the flags describe.
func (a *administration) acting(ctx context.Context, cfg *config.Config, f whyFlags) (*auth.Person, error) {
	account, err := a.find(ctx, f.user)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, fmt.Errorf("%w; whom a connection gives no account is known by their requests alone: ask about one with --request", forPeople(err))
	}
	if err != nil {
		return nil, err
	}
	has, err := a.passwords.HasPassword(ctx, account.ID)
	if err != nil {
		return nil, err
	}
	connection, amr := f.connection, commaList(f.amr)
	switch {
	case connection != "":
	case has:
		connection = auth.Local
	case len(account.Links) == 1:
		connection = account.Links[0].Connection
	default:
		return nil, fmt.Errorf("%s has no password and %s; say by which they came in with --connection", printable(account.Username), counted(len(account.Links), "link"))
	}
	if connection == auth.Local && f.amr == "" {
		factors, err := a.factors.All(ctx, account.ID)
		if err != nil {
			return nil, err
		}
		amr = []string{auth.MethodPassword}
		if len(factors) > 0 {
			amr = auth.WithFactor(amr, factors[0].Kind)
		}
	}
	person, err := provision.NewResolver(cfg, a.directory).Acting(ctx, account.ID, connection, amr, f.acr)
	switch {
	case errors.Is(err, auth.ErrForbidden):
		return nil, fmt.Errorf("nothing: the account of %s is disabled, so it has no session", printable(account.Username))
	case errors.Is(err, auth.ErrNotFound), errors.Is(err, auth.ErrUnauthenticated) && !errors.Is(err, auth.ErrStoreDown):
		return nil, fmt.Errorf("%s cannot have come in by %q: it is not linked, or may not be used", printable(account.Username), connection)
	}
	return person, err
}

// decide prints what comes of the request.
func (f *whyFlags) decide(p *auth.Person, stdout, stderr io.Writer) int {
	cfg, _, err := config.Load(f.config, os.LookupEnv)
	if err != nil {
		return failed(stderr, err)
	}
	d, err := proxy.Decide(cfg, f.method, f.url, p, f.address)
	if err != nil {
		return failed(stderr, err)
	}
	if f.json {
		err = writeJSON(stdout, d)
	} else {
		err = f.print(stdout, d)
	}
	if err != nil {
		return failed(stderr, err)
	}
	if d.Outcome == proxy.Admitted || d.Outcome == proxy.Public {
		return exitOK
	}
	return exitFailed
}

// outcomes are what comes of a request, in words.
var outcomes = map[string]string{
	proxy.Admitted:  "it may pass",
	proxy.Public:    "everybody may pass",
	proxy.Refused:   "it is refused (403)",
	proxy.SignIn:    "a sign-in is asked for (302, or 401 to a program)",
	proxy.NoRoute:   "no route is for it (404)",
	proxy.Ambiguous: "an upstream could read the path as that of another rule (400)",
	proxy.Own:       "Gatehouse answers it itself",
}

func (f *whyFlags) print(w io.Writer, d proxy.Decision) error {
	var text strings.Builder
	if d.Line > 0 {
		fmt.Fprintf(&text, "route %s, %s:%d\n", printable(d.Route), printable(filepath.Base(f.config)), d.Line)
	}
	writeDecision(&text, d)
	_, err := io.WriteString(w, text.String())
	return err
}

func writeDecision(w io.Writer, d proxy.Decision) {
	if d.StepUp {
		_, _ = io.WriteString(w, "more proof is asked for: a person is sent to give it or told why that cannot be, a program refused (403)\n")
	} else {
		fmt.Fprintf(w, "%s\n", outcomes[d.Outcome])
	}
	for _, r := range d.Rule {
		writeReason(w, r, "  ")
	}
}

func writeReason(w io.Writer, r proxy.Reason, indent string) {
	what := r.Kind
	if len(r.Values) > 0 {
		what += ": " + strings.Join(r.Values, ", ")
	}
	fmt.Fprintf(w, "%s%-7s  %s\n", indent, r.Holds, printable(what))
	for _, part := range r.Parts {
		writeReason(w, part, indent+"  ")
	}
}
