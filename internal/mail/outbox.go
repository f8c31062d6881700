package mail

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// ErrFull says that too much waits to be sent already.
var ErrFull = errors.New("too many mails wait to be sent")

// Sealer keeps what is in the messages from whoever reads the store.
type Sealer interface {
	Seal(plaintext []byte, kind, id string) ([]byte, error)
	Open(sealed []byte, kind, id string) ([]byte, error)
	Current(sealed []byte) bool
}

// Sender takes a mail on its way.
type Sender interface {
	// Send returns when the mail is another server's to deliver. Errors:
	// *Refused when this mail can never be sent; any other, that it may later.
	Send(ctx context.Context, m Mail) error
}

// Site is what the mails say of this installation.
type Site struct {
	Name    string // as people know it
	URL     string // where it is
	Account string // URL of the page where people see to their account
}

// Config is what an Outbox needs.
type Config struct {
	Store  store.Store
	Sealer Sealer
	Sender Sender
	Site   Site

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged

	// Count hears what happens to mails, in one of the words below; nil: nobody
	// counts.
	Count func(what string)
}

// What happens to a mail: it is queued, or rejected where too many wait; then
// each attempt has it sent, retried or refused for good, unless it expires.
const (
	CountQueued   = "queued"
	CountRejected = "rejected"
	CountSent     = "sent"
	CountRetried  = "retried"
	CountRefused  = "refused"
	CountExpired  = "expired"
)

// Outbox keeps mails until they are sent. It is safe for concurrent use.
type Outbox struct {
	Config
	wake chan struct{} // of capacity 1: something was queued here
}

// New returns an outbox. Nothing is sent but by Run.
func New(c Config) *Outbox {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Count == nil {
		c.Count = func(string) {}
	}
	return &Outbox{Config: c, wake: make(chan struct{}, 1)}
}

// now is the time as it is kept: of one zone, and without the reading of this
// machine's monotonic clock.
func (o *Outbox) now() time.Time { return o.Now().UTC().Round(0) }

// bodyPrefix begins the keys of messages, and bodyKind is what they are sealed as.
const (
	bodyPrefix = "mail:"
	bodyKind   = "mail"
)

// queue keeps a message to be sent. The message is written before the list
// that leads to it: what a process that dies leaves between the two expires.
func (o *Outbox) queue(ctx context.Context, m message) error {
	plain, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("queue mail: %w", err)
	}
	life := m.Expires.Sub(o.now())
	if life <= 0 {
		return nil
	}
	shard := shardOf(m.To)
	id := shard + strings.ToLower(rand.Text()[:12])
	sealed, err := o.Sealer.Seal(plain, bodyKind, id)
	if err != nil {
		return fmt.Errorf("queue mail: %w", err)
	}
	if err := o.Store.Create(ctx, bodyPrefix+id, sealed, life); err != nil {
		return trouble("queue mail", err)
	}
	err = o.update(ctx, shard, func(q *queue) error {
		return q.add(Entry{ID: id, Kind: m.Kind, To: m.To, Queued: m.At, Next: m.At, Expires: m.Expires})
	})
	if err != nil {
		if errors.Is(err, ErrFull) {
			o.Count(CountRejected)
			_ = o.Store.Delete(ctx, bodyPrefix+id) // it expires anyway
		}
		return trouble("queue mail", err)
	}
	o.Count(CountQueued)
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// message returns what is to be sent. Errors: store.ErrNotFound when it is
// over; what the Sealer and the store have to say.
func (o *Outbox) message(ctx context.Context, id string) (m message, err error) {
	sealed, err := o.Store.Get(ctx, bodyPrefix+id)
	if err != nil {
		return m, err
	}
	plain, err := o.Sealer.Open(sealed, bodyKind, id)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(plain, &m)
}

// trouble tells the store's failures from refusals.
func trouble(op string, err error) error {
	if errors.Is(err, store.ErrDown) || errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("%s: %w: %w", op, auth.ErrStoreDown, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
