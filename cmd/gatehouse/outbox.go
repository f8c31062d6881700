package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"net/netip"
	"net/url"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/mail"
	"gatehouse/provision"
)

// outbox is nil where the configuration names no server of mails.
func (s *state) outbox(public *url.URL) (*mail.Outbox, error) {
	cfg := s.cfg.Mail
	if cfg.Address == "" {
		return nil, nil
	}
	from, err := netmail.ParseAddress(cfg.From)
	if err != nil {
		return nil, fmt.Errorf("read mail.from: %w", err)
	}
	server := &mail.Server{Address: cfg.Address, Username: cfg.Username, Password: cfg.Password.Reveal(), From: *from}
	switch cfg.TLS {
	case config.MailTLS:
		server.Security = mail.ImplicitTLS
	case config.MailNone:
		server.Security = mail.InsecurePlaintext
	}
	if cfg.CAFile != "" {
		pool, err := authorities(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read mail.ca_file: %w", err)
		}
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	// A container's own name means nothing to a server, and some refuse it.
	if _, err := netip.ParseAddr(public.Hostname()); err != nil {
		server.Hello = public.Hostname()
	}
	return mail.New(mail.Config{
		Store: s.store, Sealer: s.keyring, Sender: server, Log: s.log, Count: s.mailed,
		Site: mail.Site{
			Name: s.cfg.MFA.TOTP.Issuer, URL: s.cfg.Server.PublicURL,
			Account: s.cfg.Server.PublicURL + s.cfg.Server.Prefix + "/account",
		},
	}), nil
}

// messenger mails people what happened to their accounts.
type messenger struct {
	directory *provision.Directory
	mail      *mail.Outbox // nil: nobody is told
	log       *slog.Logger
}

// tell mails the owner of an account, at the address that is known to be
// theirs. It has happened by then, so a mail that cannot be queued stops nothing.
func (m messenger) tell(ctx context.Context, account string, e auth.Event, detail string) {
	if m.mail == nil {
		return
	}
	// Whoever has got into an account could hang up at once to keep its owner
	// from hearing of it.
	ctx = context.WithoutCancel(ctx)
	view, err := m.directory.Show(ctx, account)
	if err == nil && view.EmailVerified && view.Email != "" {
		err = m.mail.Event(ctx, view.Email, view.Username, e, detail)
	}
	if err != nil {
		m.log.WarnContext(ctx, "what happened could not be mailed to an account's owner", "account", account, "event", e, "error", err)
	}
}
