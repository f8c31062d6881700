package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/adminsock"
	"gatehouse/provision"
)

// byAccountKey carries the username of an administrator who is signed in.
type byAccountKey struct{}

// administrator is who gives a command: somebody who is signed in, or the
// operating-system user who is the peer of the admin socket, or whose process
// this is. The environment has no say in it: anybody could write another's name
// into the history.
func administrator(ctx context.Context) string {
	if name, ok := ctx.Value(byAccountKey{}).(string); ok {
		return name
	}
	uid, ok := adminsock.Peer(ctx)
	if !ok {
		uid = uint32(os.Geteuid())
	}
	id := strconv.FormatUint(uint64(uid), 10)
	if known, err := user.LookupId(id); err == nil && known.Username != "" {
		return known.Username
	}
	return "uid " + id
}

// asAdministrator makes what is done with the context theirs.
func asAdministrator(ctx context.Context) context.Context {
	return provision.WithActor(ctx, provision.Actor{Kind: provision.ActorAdministrator, Name: administrator(ctx)}, "")
}

func decisionOf(v provision.View, err error) (string, error) { return v.Decision, err }

// note writes into the history what changed beside the account's record, and
// mails its owner. It is done by then, and stays done when it cannot be noted.
func (a *administration) note(ctx context.Context, id string, event auth.Event, stderr io.Writer) (decision string) {
	return a.noteDetail(ctx, id, event, "", stderr)
}

// noteDetail is note of an event that is about something in particular, such as
// one of several factors.
func (a *administration) noteDetail(ctx context.Context, id string, event auth.Event, detail string, stderr io.Writer) (decision string) {
	if detail != "" {
		ctx = provision.WithActor(ctx, provision.Actor{Kind: provision.ActorAdministrator, Name: administrator(ctx)}, detail)
	}
	decision, err := a.directory.Note(ctx, id, event)
	if err != nil {
		a.log.WarnContext(ctx, "a change could not be noted in an account's history", "account", id, "event", event, "error", err)
		fmt.Fprintln(stderr, "It is done, but it could not be noted in the account's history.")
	}
	messenger{directory: a.directory, mail: a.mail, log: a.log}.tell(ctx, id, event, detail)
	return decision
}

// chronicle notes in an account's history what its owner has done to it, and
// mails them. It implements auth.Events.
type chronicle struct{ *state }

// Happened implements auth.Events.
func (c chronicle) Happened(ctx context.Context, account string, e auth.Event, detail string) {
	// As in messenger.tell: hanging up hides nothing.
	ctx = provision.WithActor(context.WithoutCancel(ctx), provision.Actor{Kind: provision.ActorPerson}, detail)
	if _, err := c.directory.Note(ctx, account, e); err != nil {
		// It has happened all the same: sent back, the person could not do it again.
		c.log.WarnContext(ctx, "what happened could not be noted in an account's history", "account", account, "event", e, "error", err)
	}
	if auth.ClientOf(ctx) == (auth.Client{}) {
		ctx = auth.WithClient(ctx, auth.Client{Agent: "unknown"}) // a person, and no administrator
	}
	c.messenger().tell(ctx, account, e, detail)
}

func (a *administration) history(ctx context.Context, c *userCommand, id string, stdout io.Writer) error {
	history, err := a.directory.History(ctx, id)
	if err != nil {
		return err
	}
	if c.json {
		return writeJSON(stdout, history)
	}
	return writeHistory(stdout, history)
}

// writeHistory prints what happened to an account for people.
func writeHistory(w io.Writer, h provision.History) error {
	out := bufio.NewWriter(w)
	for i, e := range h.Entries {
		fmt.Fprintf(out, "%s  %s", e.Time.Format(time.RFC3339), printable(headline(e)))
		if e.Decision != "" {
			fmt.Fprintf(out, "  [%s]", printable(e.Decision))
		}
		fmt.Fprintln(out)
		for _, change := range e.Changes {
			fmt.Fprintf(out, "    %s\n", printable(changeLine(change)))
		}
		if e.More > 0 && i == 0 {
			fmt.Fprintf(out, "    (%s that cannot be told any more, or did not fit in)\n", counted(e.More, "other value"))
		} else if e.More > 0 {
			fmt.Fprintf(out, "    (%s that did not fit in)\n", counted(e.More, "other change"))
		}
		if i == 0 && h.Truncated {
			fmt.Fprintln(out, "Earlier entries were dropped; what the account was when it was made is not known any more.")
		}
	}
	return out.Flush()
}

func headline(e provision.HistoryEntry) string {
	did := map[string]string{
		string(auth.EventPasswordSet):     "password set",
		string(auth.EventPasswordChanged): "password changed",
		string(auth.EventPasswordReset):   "password reset",
		string(auth.EventRecoveryCodes):   "recovery codes made",
		string(auth.EventRecoveryUsed):    "recovery code used",
		string(auth.EventNewDevice):       "signed in on a new device",
		string(auth.EventFactorsReset):    "second factors reset",
		string(auth.EventSetupLink):       "set-up link made",
		string(auth.EventUnlocked):        "attempts forgotten",
		string(auth.EventFactorEnrolled):  "second factor enrolled",
		string(auth.EventFactorRemoved):   "second factor removed",
		string(auth.EventEnrolmentForced): "enrolment of a second factor demanded",
		provision.EventDeleting:           "deletion begun",
		provision.EventHistoryLost:        "what happened before was lost, noted",
	}[e.Event]
	if did == "" {
		did = e.Event
	}
	by := map[provision.ActorKind]string{
		provision.ActorPerson: "the person", provision.ActorAdministrator: "an administrator", provision.ActorDoctor: "the doctor",
	}[e.Actor.Kind]
	switch {
	case e.Actor.Name != "":
		by = string(e.Actor.Kind) + " " + e.Actor.Name
	case by == "":
		by = string(e.Actor.Kind)
	}
	line := did + " by " + by
	if e.Why != "" {
		line += ": " + e.Why
	}
	return line
}

func changeLine(c provision.HistoryChange) string {
	what := c.Field
	switch {
	case c.Name != "":
		what = c.Name
	case c.Field == "links":
		what = "links to " + c.Source + " (" + c.Issuer + ")"
	case c.Source != "":
		what += " from " + c.Source
	}
	var parts []string
	if c.Removed != nil {
		parts = append(parts, "removed "+valueText(c.Removed))
	}
	if c.Added != nil {
		parts = append(parts, "added "+valueText(c.Added))
	}
	if len(parts) > 0 {
		return what + ": " + strings.Join(parts, ", ")
	}
	if c.Old == nil {
		return what + ": " + valueText(c.New)
	}
	return what + ": " + valueText(c.Old) + " -> " + valueText(c.New)
}

// valueText is a value and where it comes from.
func valueText(v *provision.HistoryValue) string {
	if v == nil {
		return "none"
	}
	text := strings.Join(v.Values, ", ")
	if len(v.Values) == 0 {
		text = "blank"
	}
	var more []string
	if v.Source != "" {
		more = append(more, "from "+v.Source)
	}
	if v.Verified {
		more = append(more, "verified")
	}
	if v.Cut > 0 {
		more = append(more, counted(v.Cut, "byte")+" cut")
	}
	if v.More > 0 {
		more = append(more, counted(v.More, "more value"))
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	return text
}
