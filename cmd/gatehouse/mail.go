package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/adminsock"
	"gatehouse/internal/auditlog"
	"gatehouse/internal/mail"
)

const mailUsage = `usage: gatehouse mail COMMAND [flags]

  list          what waits to be sent, and why it was not
  retry ID...   send now, also what was refused for good   or --all
  drop ID...    forget                                     or --all

Mails go out by themselves when the server of mails works again; what is not
sent by the time its code or link is over is dropped. No code and no link is
shown here.

--config F names the configuration (config.yaml); --json prints for programs.

Exit code 0: done; 1: refused or failed; 2: usage.
`

// mailCommand is a mail command as it was typed.
type mailCommand struct {
	verb      string
	ids       []string
	all, json bool
	config    string
}

// parseMail reads the arguments after "gatehouse mail". Errors: flag.ErrHelp,
// and what is wrong with them, for people.
func parseMail(args []string) (*mailCommand, error) {
	if len(args) == 0 {
		return nil, errors.New("which command?")
	}
	c := &mailCommand{verb: args[0]}
	switch c.verb {
	case "list", "retry", "drop":
	case "help", "-h", "-help", "--help":
		return nil, flag.ErrHelp
	default:
		return nil, fmt.Errorf("there is no command %q", c.verb)
	}
	flags := newFlags("mail " + c.verb)
	flags.StringVar(&c.config, "config", defaultConfig, "")
	flags.BoolVar(&c.json, "json", false, "")
	if c.verb != "list" {
		flags.BoolVar(&c.all, "all", false, "")
	}
	var err error
	if c.ids, err = parseAnywhere(flags, args[1:]); err != nil {
		return nil, err
	}
	switch {
	case c.verb == "list" && len(c.ids) > 0:
		return nil, fmt.Errorf("unexpected argument %q", c.ids[0])
	case c.verb != "list" && c.all == (len(c.ids) > 0):
		return nil, fmt.Errorf("%s needs either ids of mails or --all", c.verb)
	}
	return c, nil
}

// runMail is the command gatehouse mail.
func runMail(args []string, stdout, stderr io.Writer) int {
	c, err := parseMail(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, mailUsage)
		return exitOK
	}
	if err != nil {
		return usageError(stderr, "mail", err, mailUsage)
	}
	return administer(c.config, adminsock.Command{Args: append([]string{"mail"}, args...)}, stdout, stderr)
}

// mailView is a mail as programs read it.
type mailView struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	To       string    `json:"to"`
	State    string    `json:"state"` // waiting | sending | failed
	Queued   time.Time `json:"queued"`
	Expires  time.Time `json:"expires"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next,omitzero"`
	Error    string    `json:"error,omitempty"`
}

func newMailView(e mail.Entry, now time.Time) mailView {
	v := mailView{
		ID: e.ID, Kind: e.Kind, To: e.To, State: "waiting", Queued: e.Queued, Expires: e.Expires,
		Attempts: e.Attempts, Next: e.Next, Error: e.Error,
	}
	switch {
	case e.Failed:
		v.State, v.Next = "failed", time.Time{}
	case now.Before(e.Until):
		v.State = "sending"
	}
	return v
}

// outbox executes the arguments after "gatehouse mail".
func (a *administration) outbox(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parseMail(args)
	if err != nil {
		return usageError(stderr, "mail", err, "")
	}
	if a.mail == nil {
		return failed(stderr, errors.New("no mail is sent: mail.address is empty"))
	}
	if c.verb == "list" {
		err = a.listMails(ctx, c, stdout)
	} else {
		err = a.changeMails(ctx, c, stderr)
	}
	if err != nil {
		return failed(stderr, forPeople(err))
	}
	return exitOK
}

func (a *administration) listMails(ctx context.Context, c *mailCommand, stdout io.Writer) error {
	entries, err := a.mail.List(ctx)
	if err != nil {
		return err
	}
	views := []mailView{}
	for _, e := range entries {
		views = append(views, newMailView(e, time.Now()))
	}
	if c.json {
		return writeJSON(stdout, views)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tKIND\tTO\tQUEUED\tSTATE\tATTEMPTS\tERROR")
	for _, v := range views {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", v.ID, v.Kind, printable(v.To), v.Queued.Format(time.RFC3339), v.State, v.Attempts, printable(v.Error))
	}
	return table.Flush()
}

func (a *administration) changeMails(ctx context.Context, c *mailCommand, stderr io.Writer) error {
	ids := c.ids
	if c.all {
		entries, err := a.mail.List(ctx)
		if err != nil {
			return err
		}
		for _, e := range entries {
			ids = append(ids, e.ID)
		}
	}
	act, past, changed := a.mail.Retry, "Queued again", 0
	if c.verb == "drop" {
		act, past = a.mail.Drop, "Dropped"
	}
	var missing []error
	for _, id := range ids {
		switch err := act(ctx, id); {
		case errors.Is(err, auth.ErrNotFound) && c.all: // sent meanwhile
		case errors.Is(err, auth.ErrNotFound):
			missing = append(missing, fmt.Errorf("there is no mail %q that waits", id))
		case err != nil:
			return err
		default:
			changed++
			auditlog.Write(ctx, a.log, "mail changed by an administrator", slog.String("change", c.verb), slog.String("mail", id), slog.String("administrator", administrator(ctx)))
		}
	}
	fmt.Fprintf(stderr, "%s: %s.\n", past, counted(changed, "mail"))
	return errors.Join(missing...)
}
