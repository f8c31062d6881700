package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gatehouse/auth"
	"gatehouse/provision"
)

// exportView is everything that is kept about a person, as programs read it.
// Secrets are not: the hash of a password, what a factor is proved with, the
// value of a cookie.
type exportView struct {
	provision.View
	HasPassword       bool                     `json:"has_password"`
	PasswordSet       time.Time                `json:"password_set,omitzero"`
	PasswordMailed    string                   `json:"password_mailed,omitempty"` // address to which the link went by which it was chosen
	Factors           []factorView             `json:"factors"`
	CodesMailed       string                   `json:"codes_mailed,omitempty"` // address to which the codes of a factor go
	EnrolmentDemanded bool                     `json:"enrolment_demanded,omitempty"`
	KnownDevices      []deviceView             `json:"known_devices"`
	Sessions          []exportSession          `json:"sessions"`
	History           []provision.HistoryEntry `json:"history"`
	HistoryCut        bool                     `json:"history_truncated"`
}

// deviceView is a browser that has signed in with a password.
type deviceView struct {
	LastSignIn time.Time `json:"last_sign_in"`
}

// exportSession is an open session with all that it holds.
type exportSession struct {
	sessionView
	Issuer     string              `json:"issuer"`
	ACR        string              `json:"acr,omitempty"`
	AuthTime   time.Time           `json:"auth_time,omitzero"`
	IdPSession string              `json:"idp_session,omitempty"`
	Proved     time.Time           `json:"proved,omitzero"`      // the account's own password and factor
	Address    string              `json:"address,omitempty"`    // from which it was begun
	Agent      string              `json:"agent,omitempty"`      // the browser of then
	Attributes map[string][]string `json:"attributes,omitempty"` // that only this session has
}

const (
	// longCommand bounds a command that looks at every account.
	longCommand = 6 * time.Hour
	// exportAtOnce is how many accounts are collected at a time: each takes some
	// twenty reads, and with Redis far away reading is mostly waiting.
	exportAtOnce = 16
)

func (a *administration) exportOne(ctx context.Context, account provision.View, stdout io.Writer) error {
	view, err := a.export(ctx, account)
	if err != nil {
		return err
	}
	return writeJSON(stdout, view)
}

// exportAll prints a line for each account. It never holds more than a few.
func (a *administration) exportAll(ctx context.Context, stdout io.Writer) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(exportAtOnce + 1) // and who finds them
	var mu sync.Mutex
	unreadable := 0
	group.Go(func() (err error) {
		unreadable, err = a.directory.Each(ctx, func(account provision.View) error {
			group.Go(func() error {
				view, err := a.export(ctx, account)
				if errors.Is(err, auth.ErrNotFound) {
					return nil // deleted meanwhile
				}
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				return writeJSON(stdout, view)
			})
			return ctx.Err()
		})
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if unreadable > 0 {
		return fmt.Errorf("%s cannot be read and left out; gatehouse doctor names them", counted(unreadable, "account"))
	}
	return nil
}

// export collects what is kept about one account.
func (a *administration) export(ctx context.Context, account provision.View) (v exportView, err error) {
	v = exportView{
		View: withoutNull(account), KnownDevices: []deviceView{}, Sessions: []exportSession{},
	}
	history, err := a.directory.History(ctx, account.ID)
	if err != nil {
		return v, err
	}
	v.History, v.HistoryCut = history.Entries, history.Truncated
	if v.HasPassword, err = a.passwords.HasPassword(ctx, account.ID); err != nil {
		return v, err
	}
	if v.PasswordSet, err = a.passwords.Since(ctx, account.ID); err != nil {
		return v, err
	}
	if v.PasswordMailed, err = a.passwords.MailedTo(ctx, account.ID); err != nil {
		return v, err
	}
	if v.CodesMailed, err = a.emailCode.Address(ctx, account.ID); err != nil {
		return v, err
	}
	if v.EnrolmentDemanded, err = a.factors.Demands.Demanded(ctx, account.ID); err != nil {
		return v, err
	}
	factors, err := a.factors.All(ctx, account.ID)
	if err != nil {
		return v, err
	}
	v.Factors = factorViews(factors)
	devices, err := a.passwords.Devices(ctx, account.ID)
	if err != nil {
		return v, err
	}
	for _, used := range devices {
		v.KnownDevices = append(v.KnownDevices, deviceView{used})
	}
	err = a.sessions.Open(ctx, account.ID, func(s *auth.Session) error {
		v.Sessions = append(v.Sessions, exportSession{
			sessionView: newSessionView(s, account.Username),
			Issuer:      s.Identity.Issuer, ACR: s.Identity.ACR, AuthTime: s.Identity.AuthTime,
			IdPSession: s.IdPSession, Proved: s.Proved, Address: s.Client.Address, Agent: s.Client.Agent, Attributes: s.Identity.Attributes,
		})
		return nil
	})
	return v, err
}
