package mfa

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gatehouse/auth"
)

// RecordKind is what stands before the colon in the keys of authenticator
// apps; the account's id follows it.
const RecordKind = auth.KindTOTP

// record is what rests under totp:<account>.
type record struct {
	Apps []app `json:"apps"`
}

// app is one authenticator app.
type app struct {
	tag
	Secret []byte `json:"secret"` // sealed
	Last   int64  `json:"last"`   // the last step that passed
}

func decodeApps(value []byte) ([]app, error) {
	var rec struct {
		record
		app // what a record was when an account had one app
	}
	if err := json.Unmarshal(value, &rec); err != nil {
		return nil, fmt.Errorf("decode TOTP record: %w", err)
	}
	if rec.Secret != nil {
		rec.ID, rec.Name = auth.KindTOTP, appName
		rec.Apps = append(rec.Apps, rec.app)
	}
	if len(rec.Apps) == 0 {
		return nil, errors.New("decode TOTP record: it has no app")
	}
	return rec.Apps, nil
}

func encodeApps(apps []app) ([]byte, error) { return json.Marshal(record{Apps: apps}) }

func tagsOf(apps []app) (tags []tag) {
	for _, a := range apps {
		tags = append(tags, a.tag)
	}
	return tags
}

// open unseals the secret of an app, base32.
func (t *TOTP) open(account string, a app) (string, error) {
	secret, err := t.Keyring.Open(a.Secret, auth.KindTOTP, account)
	if err != nil {
		return "", fmt.Errorf("open TOTP secret: %w", err)
	}
	return string(secret), nil
}

func (t *TOTP) seal(account, secret string) ([]byte, error) {
	sealed, err := t.Keyring.Seal([]byte(secret), auth.KindTOTP, account)
	if err != nil {
		return nil, fmt.Errorf("seal TOTP secret: %w", err)
	}
	return sealed, nil
}

// CheckRecord tells whether secrets that rest in the store can be read, and
// opened with the keys that there are. Its error tells nothing of a secret.
func (t *TOTP) CheckRecord(key string, value []byte) error {
	apps, err := decodeApps(value)
	if err != nil {
		return err
	}
	for _, a := range apps {
		if _, err := t.open(strings.TrimPrefix(key, prefix), a); err != nil {
			return err
		}
	}
	return nil
}
