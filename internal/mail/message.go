package mail

import (
	"context"
	"time"

	"gatehouse/auth"
)

// Kinds of messages that are not events of an account.
const (
	KindCode  = "code"
	KindSetUp = "setup" // a link by which somebody sets a first password
	KindReset = "reset" // a link by which somebody who forgot it sets another
)

// eventLife is how long it is worth the while to tell somebody what happened.
const eventLife = 3 * 24 * time.Hour

// message is what rests in the queue, sealed, until it is sent.
type message struct {
	To       string      `json:"to"`
	Kind     string      `json:"kind"` // Kind*, or an auth.Event
	At       time.Time   `json:"at"`   // what it tells of
	Expires  time.Time   `json:"expires"`
	Client   auth.Client `json:"client,omitzero"` // who caused it
	Code     string      `json:"code,omitempty"`
	URL      string      `json:"url,omitempty"`
	Username string      `json:"username,omitempty"`
	Detail   string      `json:"detail,omitempty"`
}

// Code queues a code that is good for life. Errors: ErrFull, auth.ErrStoreDown.
func (o *Outbox) Code(ctx context.Context, to, code string, life time.Duration) error {
	now := o.now()
	return o.queue(ctx, message{To: to, Kind: KindCode, Code: code, At: now, Expires: now.Add(life), Client: auth.ClientOf(ctx)})
}

// Link queues a link of the kind KindSetUp or KindReset that is good until
// expires. Errors: ErrFull, auth.ErrStoreDown.
func (o *Outbox) Link(ctx context.Context, to, kind, url string, expires time.Time) error {
	return o.queue(ctx, message{To: to, Kind: kind, URL: url, At: o.now(), Expires: expires, Client: auth.ClientOf(ctx)})
}

// Event queues word of what happened to the account of username; what its
// owner need not hear of is left out. Where the context has no client, an
// administrator did it. Errors: ErrFull, auth.ErrStoreDown.
func (o *Outbox) Event(ctx context.Context, to, username string, e auth.Event, detail string) error {
	if _, told := happened(e, detail); !told {
		return nil
	}
	now := o.now()
	return o.queue(ctx, message{
		To: to, Kind: string(e), Username: username, Detail: detail,
		At: now, Expires: now.Add(eventLife), Client: auth.ClientOf(ctx),
	})
}
