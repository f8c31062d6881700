package mfa

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"gatehouse/auth"
)

// passkeyRecord is what rests under passkey:<account>.
type passkeyRecord struct {
	Keys []passkey `json:"keys"`
	// Spent are challenges that were answered and would otherwise still count.
	Spent []spent `json:"spent,omitempty"`
}

// passkey is one credential (WebAuthn Level 3, section 4, "credential record").
type passkey struct {
	tag
	Credential []byte                            `json:"credential"` // its id, which the authenticator chose
	PublicKey  []byte                            `json:"public_key"` // COSE (RFC 9052)
	Transports []protocol.AuthenticatorTransport `json:"transports,omitempty"`
	Count      uint32                            `json:"count"`
	Verified   bool                              `json:"verified"` // its owner was verified, by PIN or body
	Eligible   bool                              `json:"eligible"` // it may be on several devices
	Backed     bool                              `json:"backed"`   // it is
}

type spent struct {
	Challenge string    `json:"challenge"`
	Until     time.Time `json:"until"`
}

func decodePasskeys(value []byte) (passkeyRecord, error) {
	var rec passkeyRecord
	if value == nil {
		return rec, nil
	}
	if err := json.Unmarshal(value, &rec); err != nil {
		return rec, fmt.Errorf("decode passkeys: %w", err)
	}
	return rec, nil
}

// CheckRecord tells whether an account's passkeys can be read.
func (p *Passkeys) CheckRecord(_ string, value []byte) error {
	rec, err := decodePasskeys(value)
	if err == nil && len(rec.Keys) == 0 {
		err = errors.New("decode passkeys: there is none")
	}
	return err
}

// spend uses a challenge up. What a challenge that has ended used up is
// forgotten; too many at once are refused instead.
func (rec *passkeyRecord) spend(c ceremony, now time.Time) error {
	rec.Spent = slices.DeleteFunc(rec.Spent, func(s spent) bool { return !now.Before(s.Until) })
	if slices.ContainsFunc(rec.Spent, func(s spent) bool { return s.Challenge == c.Session.Challenge }) {
		return auth.ErrWrongCode
	}
	if len(rec.Spent) >= maxSpent {
		return &auth.Throttled{RetryAfter: rec.Spent[0].Until.Sub(now)}
	}
	rec.Spent = append(rec.Spent, spent{Challenge: c.Session.Challenge, Until: c.Until})
	return nil
}

func (rec *passkeyRecord) find(credential []byte) *passkey {
	for i := range rec.Keys {
		if bytes.Equal(rec.Keys[i].Credential, credential) {
			return &rec.Keys[i]
		}
	}
	return nil
}

func (rec *passkeyRecord) tags() (tags []tag) {
	for _, k := range rec.Keys {
		tags = append(tags, k.tag)
	}
	return tags
}

// holder is an account as the library takes it.
type holder struct {
	account, label string
	credentials    webauthn.Credentials
}

func holderOf(account, label string, rec passkeyRecord) holder {
	h := holder{account: account, label: label}
	for _, k := range rec.Keys {
		h.credentials = append(h.credentials, webauthn.Credential{
			ID: k.Credential, PublicKey: k.PublicKey, Transport: k.Transports,
			Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: k.Verified, BackupEligible: k.Eligible, BackupState: k.Backed},
			Authenticator: webauthn.Authenticator{SignCount: k.Count},
		})
	}
	return h
}

// WebAuthnID is the user handle: the account's id, which tells nothing of the
// person (WebAuthn Level 3, section 14.6.1).
func (h holder) WebAuthnID() []byte                         { return []byte(h.account) }
func (h holder) WebAuthnName() string                       { return h.label }
func (h holder) WebAuthnDisplayName() string                { return h.label }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }
