package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"gatehouse/auth"
)

// maxHandle is the longest user handle, in bytes (WebAuthn Level 3, section 4).
const maxHandle = 64

// Challenge asks for one of the account's passkeys. Errors: auth.ErrNotFound
// when it has none, or none works here, auth.ErrStoreDown.
func (p *Passkeys) Challenge(ctx context.Context, c auth.Claimant) (auth.Challenge, error) {
	rec, err := p.read(ctx, c.Account)
	if err != nil {
		return auth.Challenge{}, err
	}
	if len(rec.Keys) == 0 || !p.Party.Works() {
		return auth.Challenge{}, fmt.Errorf("ask for a passkey: %w", auth.ErrNotFound)
	}
	party, err := p.Party.webauthn()
	if err != nil {
		return auth.Challenge{}, err
	}
	assertion, session, err := party.BeginLogin(holderOf(c.Account, c.Label, rec))
	if err != nil {
		return auth.Challenge{}, fmt.Errorf("ask for a passkey: %w", err)
	}
	asked := auth.Challenge{Kind: auth.KindPasskey}
	asked.State, asked.Options, err = p.begin(c, session, assertion.Response)
	return asked, err
}

// Verify checks the answer of a passkey. Errors: auth.ErrWrongCode also for an
// answer that passed before, and for a passkey whose counter went back;
// *auth.Throttled, auth.ErrStoreDown.
func (p *Passkeys) Verify(ctx context.Context, c auth.Claimant, asked auth.Challenge, answer string) error {
	return attempts{p.Throttle, p.Log}.counted(ctx, c.Account, "check passkey", func() error {
		return p.check(ctx, c, asked, answer)
	})
}

func (p *Passkeys) check(ctx context.Context, c auth.Claimant, asked auth.Challenge, answer string) error {
	was, err := p.resume(c, asked.Kind, asked.State)
	if err != nil {
		return err
	}
	parsed, err := p.parse(ctx, c.Account, answer)
	if err != nil {
		return err
	}
	return p.use(ctx, c.Account, was, parsed)
}

// Discover asks for any passkey, as a whole sign-in: whose it is the answer
// tells, and the authenticator verifies the person. Errors: auth.ErrNotFound
// where passkeys do not work.
func (p *Passkeys) Discover(context.Context) (auth.Challenge, error) {
	if !p.Party.Works() {
		return auth.Challenge{}, fmt.Errorf("ask for any passkey: %w", auth.ErrNotFound)
	}
	party, err := p.Party.webauthn()
	if err != nil {
		return auth.Challenge{}, err
	}
	assertion, session, err := party.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return auth.Challenge{}, fmt.Errorf("ask for any passkey: %w", err)
	}
	asked := auth.Challenge{Kind: auth.KindPasskey}
	asked.State, asked.Options, err = p.begin(auth.Claimant{Purpose: auth.PurposeEntry}, session, assertion.Response)
	return asked, err
}

// Identify returns the id of the account whose passkey answered a challenge of
// Discover. It does not know whether that account may come in. Such answers are
// not counted as attempts at the account that they name: nobody can guess one,
// and anybody could lock the owner out. Errors: auth.ErrWrongCode as in Verify,
// *auth.Throttled, auth.ErrStoreDown.
func (p *Passkeys) Identify(ctx context.Context, asked auth.Challenge, answer string) (account string, err error) {
	was, err := p.resume(auth.Claimant{Purpose: auth.PurposeEntry}, asked.Kind, asked.State)
	if err != nil {
		return "", err
	}
	parsed, err := p.parse(ctx, "", answer)
	if err != nil {
		return "", err
	}
	account = string(parsed.Response.UserHandle)
	if account == "" || len(account) > maxHandle {
		return "", auth.ErrWrongCode
	}
	if err := p.use(ctx, account, was, parsed); err != nil {
		return "", trouble("identify by passkey", err)
	}
	return account, nil
}

func (p *Passkeys) parse(ctx context.Context, account, answer string) (*protocol.ParsedCredentialAssertionData, error) {
	if len(answer) > auth.MaxAnswer || !p.Party.Works() {
		return nil, auth.ErrWrongCode
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err == nil {
		err = p.from(parsed.Response.CollectedClientData)
	}
	if err != nil {
		return nil, p.refused(ctx, account, err)
	}
	return parsed, nil
}

// use validates an answer and uses its challenge up, in one step.
func (p *Passkeys) use(ctx context.Context, account string, asked ceremony, answer *protocol.ParsedCredentialAssertionData) error {
	party, err := p.Party.webauthn()
	if err != nil {
		return err
	}
	var why error // for the log, once
	err = p.Store.Update(ctx, passkeyKey(account), func(old []byte) ([]byte, time.Duration, error) {
		why = nil
		rec, err := decodePasskeys(old)
		if err != nil {
			return nil, 0, err
		}
		proved, err := validate(party, holderOf(account, "", rec), asked, answer)
		if err != nil {
			why = err
			return nil, 0, auth.ErrWrongCode
		}
		now := timeOf(p.Now)
		if err := rec.spend(asked, now); err != nil {
			return nil, 0, err
		}
		k := rec.find(proved.ID)
		k.Used, k.Count, k.Backed = now.UTC(), proved.Authenticator.SignCount, proved.Flags.BackupState
		k.Verified = k.Verified || answer.Response.AuthenticatorData.Flags.HasUserVerified()
		value, err := json.Marshal(rec)
		return value, 0, err
	})
	if why != nil {
		return p.refused(ctx, account, why)
	}
	return err
}

// errCloned says that two authenticators answer for one passkey.
var errCloned = errors.New("the passkey's counter went back: it may have been copied")

func validate(party *webauthn.WebAuthn, owner holder, asked ceremony, answer *protocol.ParsedCredentialAssertionData) (*webauthn.Credential, error) {
	var proved *webauthn.Credential
	var err error
	if asked.Account == "" {
		whose := func(_, _ []byte) (webauthn.User, error) { return owner, nil }
		_, proved, err = party.ValidatePasskeyLogin(whose, asked.Session, answer)
	} else {
		proved, err = party.ValidateLogin(owner, asked.Session, answer)
	}
	if err != nil {
		return nil, err
	}
	// A copy of the passkey is in use, or was: this may be it.
	if proved.Authenticator.CloneWarning {
		return nil, errCloned
	}
	return proved, nil
}
