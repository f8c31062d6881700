package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/auth"
)

// Actor is who changed an account.
type Actor struct {
	Kind ActorKind `json:"kind"`
	Name string    `json:"name,omitempty"` // connection id, operating-system user, or name of the rule; "": not known
}

// ActorKind is what an actor is.
type ActorKind string

// The kinds of actors.
const (
	ActorConnection    ActorKind = "connection"    // an answer of an identity provider
	ActorAdministrator ActorKind = "administrator" // by a command; the zero Actor is one without a name
	ActorPerson        ActorKind = "person"        // themselves: confirmed a link, enrolled a factor
	ActorRule          ActorKind = "rule"          // a rule of the configuration, such as inactive
	ActorDoctor        ActorKind = "doctor"        // a repair
)

// What happened to an account, as its history says it; beside it stand the
// values of auth.Event.
const (
	EventCreated  = "created"
	EventChanged  = "changed"
	EventLinked   = "linked" // perhaps with other changes of the same sign-in
	EventUnlinked = "unlinked"
	EventDisabled = "disabled"
	EventEnabled  = "enabled"
	EventDeleting = "deleting"
)

type actorKey struct{}

// acting is who acts in a context, and why.
type acting struct {
	actor Actor
	why   string
}

// WithActor says who makes the changes of a Directory that are made with the
// context, and why ("": the event says it all). Without it, it is an
// administrator without a name. A sign-in is its connection's doing, whatever
// the context says.
func WithActor(ctx context.Context, a Actor, why string) context.Context {
	return context.WithValue(ctx, actorKey{}, acting{a, why})
}

func actorOf(ctx context.Context) acting {
	if a, ok := ctx.Value(actorKey{}).(acting); ok {
		return a
	}
	return acting{actor: Actor{Kind: ActorAdministrator}}
}

// newDecision returns the id of a decision: short enough to be read out from a
// page, and unique within a log (60 bits).
func newDecision() string { return strings.ToLower(rand.Text()[:12]) }

// HistoryEntry is one change of an account.
type HistoryEntry struct {
	Decision string          `json:"decision,omitempty"`
	Prev     string          `json:"prev,omitempty"` // decision of the change before this one
	Time     time.Time       `json:"time"`
	Actor    Actor           `json:"actor"`
	Event    string          `json:"event"`
	Why      string          `json:"why,omitempty"`
	Changes  []HistoryChange `json:"changes"`
	More     int             `json:"more_changes,omitempty"` // that did not fit in, or of a creation: that are no longer known
}

// HistoryChange is what one change did to one thing. Status, username, e-mail
// and attributes have values before and after; of groups and links, which
// several sources give, there is what came and what went.
type HistoryChange struct {
	Field   string        `json:"field"`             // status, username, email, attribute, groups, links
	Name    string        `json:"name,omitempty"`    // of the attribute
	Source  string        `json:"source,omitempty"`  // of the groups and links: who gave them
	Issuer  string        `json:"issuer,omitempty"`  // of the links, whose subjects are added or removed
	Old     *HistoryValue `json:"old,omitempty"`     // absent: there was none
	New     *HistoryValue `json:"new,omitempty"`     // absent: there is none any more
	Removed *HistoryValue `json:"removed,omitempty"` //
	Added   *HistoryValue `json:"added,omitempty"`
}

// HistoryValue is a list of values, or as much of it as history keeps.
type HistoryValue struct {
	Values   []string `json:"values"`
	Source   string   `json:"source,omitempty"`   // of an e-mail or attribute: who gave it
	Verified bool     `json:"verified,omitempty"` // of an e-mail
	Cut      int      `json:"cut_bytes,omitempty"`
	More     int      `json:"more_values,omitempty"`
}

// History is what happened to an account, oldest first. It begins with the
// creation, which is told from the account itself; what the account was then
// is worked out by undoing what came later, and left out when that is no
// longer known.
type History struct {
	Account   string         `json:"account"`
	Username  string         `json:"username"`
	Entries   []HistoryEntry `json:"entries"`
	Truncated bool           `json:"truncated"` // between the creation and the second entry, others were dropped
}

// History returns what happened to an account, found as by Find. Errors:
// auth.ErrNotFound, *RefusedError, auth.ErrStoreDown.
func (d *Directory) History(ctx context.Context, who string) (History, error) {
	const mostReads = 8
	a, err := d.Find(ctx, who)
	if err != nil {
		return History{}, err
	}
	for read := 1; ; read++ {
		log, err := d.historyLog(ctx, a.ID)
		if err != nil {
			return History{}, storeTrouble("read history", err)
		}
		if read == mostReads || a.Decision == a.Origin || log.has(a.Decision) {
			return a.history(log), nil
		}
		// So much has happened between the two reads that the change which the
		// account names was dropped, or the account is gone by now.
		if a, err = d.read(ctx, a.ID); err != nil {
			return History{}, storeTrouble("read history", err)
		}
	}
}

// history is what the log says of the account. What is not on the chain from
// the account back was never done.
func (a *Account) history(log historyLog) History {
	h := History{Account: a.ID, Username: a.Username, Entries: log.chain(a.Decision)}
	first := a.Decision
	if len(h.Entries) > 0 {
		first = h.Entries[0].Prev
	}
	h.Truncated = first != a.Origin
	born := HistoryEntry{
		Decision: a.Origin, Time: a.Created, Event: EventCreated,
		Actor: Actor{Kind: ActorConnection, Name: a.Source}, Changes: []HistoryChange{},
	}
	if a.Source == auth.Local {
		born.Actor = Actor{Kind: ActorAdministrator, Name: a.MadeBy}
	}
	if !h.Truncated {
		then, unknown := factsOf(a).before(h.Entries)
		delete(then, factKey{field: fieldStatus}) // it was active, as all are
		born.Changes, born.More = bounded(diff(facts{}, then))
		born.More += unknown
	}
	h.Entries = slices.Insert(h.Entries, 0, born)
	return h
}

// Note writes into an account's history what does not change its record, such
// as a new password, and returns the decision under which it stands there.
// Errors: auth.ErrNotFound, auth.ErrStoreDown.
func (d *Directory) Note(ctx context.Context, account string, event auth.Event) (decision string, err error) {
	b := d.book()
	b.event = string(event)
	err = b.run(ctx, func(ctx context.Context) error {
		a, err := d.read(ctx, account)
		if err != nil {
			return err
		}
		if a.Status == Pending || a.Status == Deleting {
			return fmt.Errorf("account %s is %s: %w", account, a.Status, auth.ErrNotFound)
		}
		next := a.clone()
		if err := b.swap(ctx, a, next); err != nil {
			return err
		}
		decision = next.Decision
		return nil
	})
	if errors.Is(err, auth.ErrNotFound) {
		return "", err
	}
	return decision, storeTrouble("note in history", err)
}
