package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"gatehouse/provision"
)

// noRule is what an administrator is told who runs a rule that the file does
// not have.
var errNoRule = errors.New("there is no rule for inactive accounts: set jit_provisioning.inactive.disable_after or delete_after, such as 90d")

// inactive runs the rule for accounts that nobody uses, or tells what it would
// do.
func (a *administration) inactive(ctx context.Context, c *userCommand, stdout, stderr io.Writer) error {
	if a.inactivity.String() == "" {
		return errNoRule
	}
	print := printIdle(c.json, stdout)
	var turnout provision.Turnout
	var err error
	if c.dryRun {
		turnout, err = a.inactivity.Find(ctx, print.each)
	} else {
		turnout, err = a.inactivity.Act(ctx, c.force, print.each)
	}
	// What was done by then is told in any case.
	if err := errors.Join(err, print.done()); err != nil {
		return err
	}
	would := ""
	if c.dryRun {
		would = "would be "
	}
	fmt.Fprintf(stderr, "Of %s (%s): %d %sdisabled, %d %sdeleted; %d left alone because of their groups, %d because of an open session.\n",
		counted(turnout.Accounts, "account"), a.inactivity, turnout.Disable, would, turnout.Delete, would, turnout.Exempt, turnout.Open)
	return nil
}

// idlePrinter prints accounts as they are found: there may be many.
type idlePrinter struct {
	each func(provision.Idle) error
	done func() error
}

func printIdle(asJSON bool, w io.Writer) idlePrinter {
	if asJSON {
		// One list, an account a line.
		before := "["
		return idlePrinter{
			each: func(i provision.Idle) error {
				line, err := json.Marshal(i)
				if err == nil {
					_, err = fmt.Fprintf(w, "%s%s", before, line)
				}
				before = ",\n"
				return err
			},
			done: func() error {
				if before == "[" {
					_, err := io.WriteString(w, "[]\n")
					return err
				}
				_, err := io.WriteString(w, "]\n")
				return err
			},
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	lines := 0
	return idlePrinter{
		each: func(i provision.Idle) error {
			if lines%1000 == 0 { // a table is held until it is flushed
				if err := table.Flush(); err != nil {
					return err
				}
				if lines == 0 {
					fmt.Fprintln(table, "ACT\tUSERNAME\tE-MAIL\tLAST SEEN\tID")
				}
			}
			lines++
			seen := "never"
			if !i.Seen.IsZero() {
				seen = i.Seen.Format(time.DateOnly)
			}
			_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", i.Act, printable(i.Username), printable(i.Email), seen, i.ID)
			return err
		},
		done: table.Flush,
	}
}
