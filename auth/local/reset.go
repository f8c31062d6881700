package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/auditlog"
)

// Limits of links that people ask for: mails to one account, and questions that
// one process keeps in line.
const (
	resetsPerHour = 3
	maxAsked      = 256
	// lastAnswers is how long whoever ends waits for the answers to those in line.
	lastAnswers = 5 * time.Second
)

// Addresses tells where an account can be reached (*provision.Directory,
// through an adapter).
type Addresses interface {
	// VerifiedEmail errors with auth.ErrStoreDown; "" where there is none.
	VerifiedEmail(ctx context.Context, account string) (string, error)
}

// LinkMailer mails a link (*mail.Outbox).
type LinkMailer interface {
	Link(ctx context.Context, to, kind, url string, expires time.Time) error
}

// Resets mails links to people who have forgotten their password. Who asks
// learns nothing: the question is put in line, and whether there is such an
// account is found out later, by Run. So an answer takes as long for nobody as
// for somebody.
type Resets struct {
	Passwords *Passwords
	Addresses Addresses
	Mailer    LinkMailer
	URL       func(token string) string

	Log *slog.Logger // nil: nothing is logged

	asked chan question
}

// question is who has forgotten their password, as they typed it.
type question struct {
	login  string
	client auth.Client
}

// NewResets returns resets that are not running yet.
func NewResets(r Resets) *Resets {
	r.asked = make(chan question, maxAsked)
	return &r
}

// Ask puts a login in line. It never waits; where the line is full, the question
// is dropped, and the log says so: so many are a flood.
func (r *Resets) Ask(ctx context.Context, login string) {
	if len(login) > maxLogin {
		return
	}
	select {
	case r.asked <- question{login, auth.ClientOf(ctx)}:
	default:
		r.log(ctx, slog.LevelWarn, "too many people ask for another password; one was not answered")
	}
}

// Run answers the questions until ctx ends, and then those that are in line.
func (r *Resets) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
			defer cancel()
			for last.Err() == nil {
				select {
				case q := <-r.asked:
					r.reply(last, q)
				default:
					return
				}
			}
			return
		case q := <-r.asked:
			r.reply(context.WithoutCancel(ctx), q)
		}
	}
}

func (r *Resets) reply(ctx context.Context, q question) {
	ctx = auth.WithClient(ctx, q.client)
	if err := r.answer(ctx, q.login); err != nil {
		r.log(ctx, slog.LevelWarn, "somebody who has forgotten a password was not answered", "error", err)
	}
}

// answer mails a link to whoever has a password here and a verified address.
// An account without a password has another way in, and keeps to it.
func (r *Resets) answer(ctx context.Context, login string) error {
	p := r.Passwords
	account, _, active, err := p.find(ctx, normalLogin(login))
	if err != nil || !active {
		return err
	}
	has, err := p.HasPassword(ctx, account)
	if err != nil || !has {
		return err
	}
	address, err := r.Addresses.VerifiedEmail(ctx, account)
	if err != nil {
		return err
	}
	if address == "" {
		r.log(ctx, slog.LevelInfo, "a password cannot be reset by mail: the account has no verified address", "account", account)
		return nil
	}
	if allowed, err := r.count(ctx, account); err != nil || !allowed {
		return err
	}
	token, link, err := p.NewLink(ctx, account, auth.LinkReset, address)
	if err != nil {
		return err
	}
	if err := r.Mailer.Link(ctx, address, string(auth.LinkReset), r.URL(token), link.Expires); err != nil {
		return fmt.Errorf("mail link: %w", err)
	}
	auditlog.Write(ctx, r.Log, "password_reset_asked", slog.String("account", account), slog.String("client", auth.ClientOf(ctx).Address))
	return nil
}

// mails counts the mails to an account since a time.
type mails struct {
	Since time.Time `json:"since"`
	Count int       `json:"count"`
}

// count reports whether one more mail may go to the account. Attack: fill
// somebody's mailbox by asking all day.
func (r *Resets) count(ctx context.Context, account string) (allowed bool, err error) {
	p := r.Passwords
	err = p.Store.Update(ctx, "resets:"+p.Throttle.Index.Hash("resets", account), func(old []byte) ([]byte, time.Duration, error) {
		var m mails
		if now := p.now(); json.Unmarshal(old, &m) != nil || now.Sub(m.Since) >= time.Hour {
			m = mails{Since: now}
		}
		m.Count++
		if allowed = m.Count <= resetsPerHour; !allowed {
			return nil, 0, errTooManyMails
		}
		value, err := json.Marshal(m)
		return value, time.Hour, err
	})
	if errors.Is(err, errTooManyMails) {
		r.log(ctx, slog.LevelInfo, "a link was asked for too often; none is mailed for a while", "account", account)
		return false, nil
	}
	if err != nil {
		return false, down("count mails", err)
	}
	return allowed, nil
}

var errTooManyMails = errors.New("too many mails to this account")

func (r *Resets) log(ctx context.Context, level slog.Level, message string, args ...any) {
	if r.Log != nil {
		r.Log.Log(ctx, level, message, args...)
	}
}
