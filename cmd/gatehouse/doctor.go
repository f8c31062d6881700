package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/local"
	"gatehouse/auth/mfa"
	"gatehouse/internal/adminsock"
	"gatehouse/provision"
)

const doctorUsage = `usage: gatehouse doctor [--repair] [--config config.yaml] [--json]

Walks through the store and finds what should not be there: names that lead to
no account, accounts that nobody finds, accounts that claim the same name,
deletions that were not finished, records of accounts that are gone, records
that cannot be read. Sign-ins go on meanwhile, whether or not the server runs.

  --repair    put right what can be put right without a choice
  --config F  the configuration
  --json      {"ok", "accounts", "entries", "records": {"KIND": N},
              "findings": [{"code", "key", "account", "detail", "do",
              "harmless", "repaired", "accounts"}], "counts": {"CODE": N},
              "repaired", "remain", "harmless"}

What sign-ins that died have left behind is told as harmless: nobody notices
it, and whoever needs it takes it over. If something seems to be somebody's
work, the doctor waits a few seconds and looks again.

Exit code 0: healthy, or everything was repaired; 1: something is wrong, or the
store does not answer; 2: usage.
`

// doctorWithin is how long an examination may take: that of ten million
// accounts far away.
const doctorWithin = 6 * time.Hour

// doctorFlags are the flags of gatehouse doctor.
type doctorFlags struct {
	repair, json bool
	config       string
}

func (f *doctorFlags) set() *flag.FlagSet {
	flags := newFlags("doctor")
	flags.BoolVar(&f.repair, "repair", false, "")
	flags.BoolVar(&f.json, "json", false, "")
	flags.StringVar(&f.config, "config", defaultConfig, "")
	return flags
}

// runDoctor is the command gatehouse doctor.
func runDoctor(args []string, stdout, stderr io.Writer) int {
	var f doctorFlags
	if code, done := parseCommand(f.set(), doctorUsage, args, stdout, stderr); done {
		return code
	}
	return administer(f.config, adminsock.Command{Args: append([]string{"doctor"}, args...), Within: doctorWithin}, stdout, stderr)
}

// doctor executes the arguments after "gatehouse doctor".
func (a *administration) doctor(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f doctorFlags
	if code, done := parseCommand(f.set(), doctorUsage, args, stdout, stderr); done {
		return code
	}
	h, err := a.directory.Examine(ctx, provision.Examination{Repair: f.repair, Others: a.records()})
	if err != nil {
		return failed(stderr, forPeople(err))
	}
	if f.json {
		err = writeJSON(stdout, healthView{OK: h.OK(), Health: h})
	} else {
		err = writeHealth(stdout, h)
	}
	if err != nil {
		return failed(stderr, err)
	}
	fmt.Fprintln(stderr, diagnosis(h))
	if !h.OK() {
		return exitFailed
	}
	return exitOK
}

// records are what others than the directory keep for accounts. Sessions, their
// lists, counters of attempts, known devices, links to choose a password, codes
// and mails that are on their way, enrolments that were offered and sign-ins
// that are under way are not among them: they expire, lead nobody to an account, and count as none
// where they cannot be read.
func (a *administration) records() []provision.Records {
	return []provision.Records{
		{
			Kind: local.RecordKind, PerAccount: true, Read: local.CheckRecord,
			Cure: "nobody can sign in with this password: run gatehouse user set-password ID; a repair leaves it alone",
		},
		{
			Kind: mfa.RecordKind, PerAccount: true, Read: a.totp.CheckRecord,
			Cure: "its codes cannot be checked: put the key that sealed it back into secrets.keys, or run gatehouse user reset-mfa ID; a repair leaves it alone",
		},
		{
			Kind: auth.KindPasskey, PerAccount: true, Read: a.passkeys.CheckRecord,
			Cure: "none of these passkeys can be used: run gatehouse user reset-mfa ID; a repair leaves it alone",
		},
		{
			Kind: mfa.EmailRecordKind, PerAccount: true, Read: a.emailCode.CheckRecord,
			Cure: "no code can be sent for it: run gatehouse user reset-mfa ID --factor email_code; a repair leaves it alone",
		},
		{
			Kind: auth.KindRecovery, PerAccount: true, Read: a.recovery.CheckRecord,
			Cure: "none of these recovery codes can be used: run gatehouse user reset-mfa ID --factor recovery_code; a repair leaves it alone",
		},
		{
			Kind: mfa.DemandKind, PerAccount: true, Read: a.factors.Demands.CheckRecord,
			Cure: "it counts as a demand, and ends when the account enrols a second factor; a repair leaves it alone",
		},
	}
}

// healthView is what an examination found, as programs read it.
type healthView struct {
	OK bool `json:"ok"`
	provision.Health
}

// writeHealth prints what an examination found, for people.
func writeHealth(w io.Writer, h provision.Health) error {
	var text strings.Builder
	fmt.Fprintf(&text, "looked at %s, %s\n", counted(h.Accounts, "account"), plural(h.Entries, "entry", "entries"))
	width := 0
	for kind := range h.Records {
		width = max(width, len(kind))
	}
	for _, kind := range slices.Sorted(maps.Keys(h.Records)) {
		fmt.Fprintf(&text, "  %-*s  %d\n", width, kind, h.Records[kind])
	}
	for _, f := range h.Findings {
		writeFinding(&text, f)
	}
	told := 0
	for _, n := range h.Counts {
		told += n
	}
	if more := told - len(h.Findings); more > 0 {
		fmt.Fprintf(&text, "\nand %d more; by kind:\n", more)
		for _, code := range slices.Sorted(maps.Keys(h.Counts)) {
			fmt.Fprintf(&text, "  %-20s %d\n", code, h.Counts[code])
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func writeFinding(w io.Writer, f provision.Finding) {
	state := ""
	switch {
	case f.Repaired:
		state = " (repaired)"
	case f.Harmless:
		state = " (harmless)"
	}
	fmt.Fprintf(w, "\n%s%s\n", f.Code, state)
	fmt.Fprintf(w, "  record   %s\n", printable(f.Key))
	if f.Account != "" {
		fmt.Fprintf(w, "  account  %s\n", printable(f.Account))
	}
	fmt.Fprintf(w, "  what     %s\n", printable(f.Detail))
	for _, b := range f.Accounts {
		fmt.Fprintf(w, "           %s\n", printable(bearerLine(b)))
	}
	if !f.Repaired {
		fmt.Fprintf(w, "  do       %s\n", printable(f.Do))
	}
}

// bearerLine is one of several accounts that bear one name.
func bearerLine(b provision.Bearer) string {
	last := "never signed in"
	if !b.LastSignIn.IsZero() {
		last = "last signed in " + b.LastSignIn.Format(time.DateOnly)
	}
	line := fmt.Sprintf("%s: username %s, e-mail %s, %s, created %s, %s", b.ID, b.Username, b.Email, b.Status, b.Created.Format(time.RFC3339), last)
	if b.Found {
		line += ", is found"
	}
	return line
}

// diagnosis says in a few words what was found.
func diagnosis(h provision.Health) string {
	var said []string
	if h.Remain > 0 {
		said = append(said, counted(h.Remain, "finding"))
	}
	if h.Repaired > 0 {
		said = append(said, fmt.Sprintf("%d repaired", h.Repaired))
	}
	if h.Harmless > 0 {
		said = append(said, plural(h.Harmless, "harmless leftover", "harmless leftovers"))
	}
	switch {
	case h.OK() && len(said) == 0:
		return "healthy"
	case h.OK():
		return "healthy: " + strings.Join(said, ", ")
	}
	return strings.Join(said, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
