package mfa

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// Enrollable tells whether there is room for one more passkey. Errors:
// auth.ErrNotFound when there is none, and where passkeys do not work;
// auth.ErrStoreDown.
func (p *Passkeys) Enrollable(ctx context.Context, account string) error {
	if !p.Party.Works() {
		return fmt.Errorf("enrol passkey: %w: none works here", auth.ErrNotFound)
	}
	keys, err := p.Enrolled(ctx, account)
	return cmp.Or(err, room(keys, maxPasskeys))
}

// Offer makes the options of a new passkey. Nothing is stored. Errors: those of
// Enrollable.
func (p *Passkeys) Offer(ctx context.Context, c auth.Claimant) (auth.Enrolment, error) {
	if err := p.Enrollable(ctx, c.Account); err != nil {
		return auth.Enrolment{}, err
	}
	rec, err := p.read(ctx, c.Account)
	if err != nil {
		return auth.Enrolment{}, err
	}
	party, err := p.Party.webauthn()
	if err != nil {
		return auth.Enrolment{}, fmt.Errorf("offer passkey: %w", err)
	}
	user := holderOf(c.Account, c.Label, rec)
	creation, session, err := party.BeginRegistration(user, webauthn.WithExclusions(user.credentials.CredentialDescriptors()))
	if err != nil {
		return auth.Enrolment{}, fmt.Errorf("offer passkey: %w", err)
	}
	e := auth.Enrolment{Kind: auth.KindPasskey}
	e.State, e.Options, err = p.begin(c, session, creation.Response)
	return e, err
}

// Confirm enrols the passkey that the browser made for the offer. Errors:
// auth.ErrWrongCode, *auth.Throttled, auth.ErrStoreDown, and
// auth.ErrInvalidState for an offer that was confirmed before, for one passkey
// too many, and at a sign-in for an account that has one already, as in
// TOTP.Confirm.
func (p *Passkeys) Confirm(ctx context.Context, c auth.Claimant, e auth.Enrolment, answer string) error {
	return attempts{p.Throttle, p.Log}.counted(ctx, c.Account, "enrol passkey", func() error {
		made, offered, err := p.created(ctx, c, e, answer)
		if err != nil {
			return err
		}
		return p.Store.Update(ctx, passkeyKey(c.Account), func(old []byte) ([]byte, time.Duration, error) {
			rec, err := decodePasskeys(old)
			if err != nil {
				return nil, 0, err
			}
			now := timeOf(p.Now)
			if err := rec.spend(offered, now); errors.Is(err, auth.ErrWrongCode) {
				return nil, 0, fmt.Errorf("confirm passkey again: %w", auth.ErrInvalidState)
			} else if err != nil {
				return nil, 0, err
			}
			if len(rec.Keys) > 0 && c.Purpose != auth.PurposeEnrol || len(rec.Keys) >= maxPasskeys || rec.find(made.ID) != nil {
				return nil, 0, fmt.Errorf("confirm passkey: %w", auth.ErrInvalidState)
			}
			rec.Keys = append(rec.Keys, passkey{
				tag:        newTag(e.Name, passkeyName, rec.tags(), now),
				Credential: made.ID, PublicKey: made.PublicKey, Transports: made.Transport, Count: made.Authenticator.SignCount,
				Verified: made.Flags.UserVerified, Eligible: made.Flags.BackupEligible, Backed: made.Flags.BackupState,
			})
			value, err := json.Marshal(rec)
			return value, 0, err
		})
	})
}

// created validates what the browser made for an offer.
func (p *Passkeys) created(ctx context.Context, c auth.Claimant, e auth.Enrolment, answer string) (*webauthn.Credential, ceremony, error) {
	offered, err := p.resume(c, e.Kind, e.State)
	if err != nil || len(answer) > auth.MaxAnswer || !p.Party.Works() {
		return nil, offered, auth.ErrWrongCode
	}
	party, err := p.Party.webauthn()
	if err != nil {
		return nil, offered, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return nil, offered, p.refused(ctx, c.Account, err)
	}
	if err := p.from(parsed.Response.CollectedClientData); err != nil {
		return nil, offered, p.refused(ctx, c.Account, err)
	}
	made, err := party.CreateCredential(holder{account: c.Account}, offered.Session, parsed)
	if err != nil {
		return nil, offered, p.refused(ctx, c.Account, err)
	}
	return made, offered, nil
}

// from compares the origin byte by byte; the library forgives more.
func (p *Passkeys) from(client protocol.CollectedClientData) error {
	if client.Origin != p.Party.Origin || client.CrossOrigin {
		return fmt.Errorf("answer from the origin %.200q, not %q", client.Origin, p.Party.Origin)
	}
	return nil
}

func (p *Passkeys) read(ctx context.Context, account string) (passkeyRecord, error) {
	value, err := p.Store.Get(ctx, passkeyKey(account))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return passkeyRecord{}, trouble("read passkeys", err)
	}
	return decodePasskeys(value)
}
