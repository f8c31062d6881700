package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/throttle"
)

const (
	maxPasskeys = 20
	maxSpent    = 50
	passkeyName = "Passkey" // until the person calls it something else
	// ceremonyLife is how long a challenge can be answered: longer than a
	// sign-in rests at one step.
	ceremonyLife = 15 * time.Minute
)

// Passkeys is the factor of passkeys (WebAuthn Level 3). It implements
// auth.Enroller and is safe for concurrent use. An answer is the JSON of the
// browser's PublicKeyCredential (section 5.1, toJSON).
type Passkeys struct {
	Store    store.Store
	Throttle *throttle.Throttle
	// Party is whose passkeys they are. Where it does not work those that were
	// made elsewhere are barred.
	Party RelyingParty

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
}

// ceremony is what a challenge or an offer remembers: what the answer must be
// to, and for whom.
type ceremony struct {
	Session webauthn.SessionData `json:"session"`
	Account string               `json:"account,omitempty"` // "": whoever it turns out to be
	Purpose string               `json:"purpose,omitempty"`
	Binding string               `json:"binding,omitempty"`
	Until   time.Time            `json:"until"`
}

func (p *Passkeys) begin(c auth.Claimant, session *webauthn.SessionData, options any) (state, shown json.RawMessage, err error) {
	state, err = json.Marshal(ceremony{*session, c.Account, c.Purpose, c.Binding, timeOf(p.Now).Add(ceremonyLife).UTC()})
	if err == nil {
		shown, err = json.Marshal(options)
	}
	return state, shown, err
}

// resume reads what a challenge or an offer remembers. Attack: answer what was
// asked of somebody else, for another purpose, or at another sign-in.
func (p *Passkeys) resume(c auth.Claimant, kind string, state json.RawMessage) (ceremony, error) {
	var asked ceremony
	if kind != auth.KindPasskey || json.Unmarshal(state, &asked) != nil || asked.Session.Challenge == "" {
		return asked, auth.ErrWrongCode
	}
	if asked.Account != c.Account || asked.Purpose != c.Purpose || asked.Binding != c.Binding || !timeOf(p.Now).Before(asked.Until) {
		return asked, auth.ErrWrongCode
	}
	return asked, nil
}

// Kind is the factor's name in mfa.methods.
func (p *Passkeys) Kind() string { return auth.KindPasskey }

// Enrolled returns the account's passkeys. Errors: auth.ErrStoreDown.
func (p *Passkeys) Enrolled(ctx context.Context, account string) ([]auth.Authenticator, error) {
	value, err := p.Store.Get(ctx, passkeyKey(account))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, trouble("look for passkeys", err)
	}
	rec, err := decodePasskeys(value)
	if err != nil {
		// What cannot be read is there all the same: nobody gets around it.
		return []auth.Authenticator{{ID: auth.KindPasskey, Kind: auth.KindPasskey, Name: passkeyName, Barred: true}}, nil
	}
	var all []auth.Authenticator
	for _, k := range rec.Keys {
		a := k.authenticator(auth.KindPasskey)
		a.Barred = !p.Party.Works()
		all = append(all, a)
	}
	return all, nil
}

// Holders returns the accounts that have passkeys. Errors: auth.ErrStoreDown.
func (p *Passkeys) Holders(ctx context.Context) (map[string]bool, error) {
	holders, err := store.IDs(ctx, p.Store, passkeyKey(""))
	return holders, trouble("list passkeys", err)
}

// Remove forgets one passkey of the account. Errors: auth.ErrNotFound,
// auth.ErrStoreDown.
func (p *Passkeys) Remove(ctx context.Context, account, id string) error {
	return p.edit(ctx, account, id, func(rec *passkeyRecord, i int) { rec.Keys = slices.Delete(rec.Keys, i, i+1) })
}

// Rename calls one passkey of the account something else. Errors:
// auth.ErrMalformed for what is no name, auth.ErrNotFound, auth.ErrStoreDown.
func (p *Passkeys) Rename(ctx context.Context, account, id, name string) error {
	if name = cleanName(name); name == "" {
		return fmt.Errorf("rename passkey: %w: no name", auth.ErrMalformed)
	}
	return p.edit(ctx, account, id, func(rec *passkeyRecord, i int) { rec.Keys[i].Name = name })
}

func (p *Passkeys) edit(ctx context.Context, account, id string, change func(rec *passkeyRecord, i int)) error {
	err := p.Store.Update(ctx, passkeyKey(account), func(old []byte) ([]byte, time.Duration, error) {
		rec, err := decodePasskeys(old)
		if err != nil {
			return nil, 0, err
		}
		i := slices.IndexFunc(rec.Keys, func(k passkey) bool { return k.ID == id })
		if i < 0 {
			return nil, 0, auth.ErrNotFound
		}
		if change(&rec, i); len(rec.Keys) == 0 {
			return nil, 0, nil
		}
		value, err := json.Marshal(rec)
		return value, 0, err
	})
	return trouble("change a passkey", err)
}

// Reset forgets the account's passkeys. Errors: auth.ErrStoreDown.
func (p *Passkeys) Reset(ctx context.Context, account string) error {
	return trouble("forget passkeys", p.Store.Delete(ctx, passkeyKey(account)))
}

// refused notes why an answer did not pass, which the person is not told.
func (p *Passkeys) refused(ctx context.Context, account string, err error) error {
	if p.Log != nil {
		p.Log.InfoContext(ctx, "the answer of a passkey was refused", "account", account, "error", err)
	}
	return auth.ErrWrongCode
}

func passkeyKey(account string) string { return auth.KindPasskey + ":" + account }
