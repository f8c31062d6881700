package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"text/tabwriter"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/auditlog"
)

// sessionView is a session as programs read it.
type sessionView struct {
	ID         string    `json:"id"` // not the cookie's value, which no one but the browser knows
	Account    string    `json:"account"`
	Username   string    `json:"username"` // of the account
	Connection string    `json:"connection"`
	Subject    string    `json:"subject"`
	AMR        []string  `json:"amr"`
	Created    time.Time `json:"created"`
	Seen       time.Time `json:"seen"` // lags behind the last request a little
}

func newSessionView(s *auth.Session, username string) sessionView {
	return sessionView{
		ID: s.ID, Account: s.Account, Username: username,
		Connection: s.Identity.Connection, Subject: s.Identity.Subject,
		AMR: orEmpty(s.Identity.AMR), Created: s.Created.UTC(), Seen: s.Seen.UTC(),
	}
}

// session executes the arguments after "gatehouse session".
func (a *administration) session(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parseSession(args)
	if err != nil {
		return usageError(stderr, "session", err, "")
	}
	account := ""
	if c.user.given {
		found, err := a.find(ctx, c.user.value)
		if err != nil {
			return failed(stderr, fmt.Errorf("%w; somebody without an account is ended by the ids that session list shows", err))
		}
		account = found.ID
	}
	if c.verb == "list" {
		err = a.listSessions(ctx, c, account, stdout)
	} else {
		err = a.endSessions(ctx, c, account, stderr)
	}
	if err != nil {
		return failed(stderr, forPeople(err))
	}
	return exitOK
}

func (a *administration) listSessions(ctx context.Context, c *sessionCommand, account string, stdout io.Writer) error {
	views := []sessionView{}
	names := map[string]string{}
	err := a.sessions.List(ctx, func(s *auth.Session) error {
		if account != "" && s.Account != account {
			return nil
		}
		if _, known := names[s.Account]; !known && s.Account != "" {
			// One that is not found any more ends at its next use.
			if found, err := a.directory.Show(ctx, s.Account); err == nil {
				names[s.Account] = found.Username
			} else if !errors.Is(err, auth.ErrNotFound) {
				return err
			}
		}
		views = append(views, newSessionView(s, names[s.Account]))
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(views, func(a, b sessionView) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	if c.json {
		return writeJSON(stdout, views)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tWHO\tCONNECTION\tSINCE\tLAST SEEN")
	for _, v := range views {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", v.ID, printable(cmp.Or(v.Username, v.Connection+":"+v.Subject)), v.Connection,
			v.Created.Format(time.RFC3339), v.Seen.Format(time.RFC3339))
	}
	return table.Flush()
}

func (a *administration) endSessions(ctx context.Context, c *sessionCommand, account string, stderr io.Writer) error {
	if account != "" {
		ended, err := a.sessions.EndAccount(ctx, account)
		if err != nil {
			return err
		}
		auditlog.Write(ctx, a.log, "sessions ended by an administrator", slog.String("account", account), slog.Int("sessions", ended), slog.String("administrator", administrator(ctx)))
		fmt.Fprintf(stderr, "Ended %s.\n", counted(ended, "session"))
		return nil
	}
	var missing []error
	for _, id := range c.ids {
		switch err := a.sessions.EndID(ctx, id); {
		case errors.Is(err, auth.ErrNotFound):
			missing = append(missing, fmt.Errorf("there is no session %q", id))
		case err != nil:
			return err
		default:
			auditlog.Write(ctx, a.log, "session ended by an administrator", slog.String("session", id), slog.String("administrator", administrator(ctx)))
			fmt.Fprintf(stderr, "Ended session %s.\n", id)
		}
	}
	return errors.Join(missing...)
}
