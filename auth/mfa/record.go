package mfa

import "strings"

// RecordKind is what stands before the colon in the keys of authenticator
// apps; the account's id follows it.
const RecordKind = kind

// CheckRecord tells whether a secret that rests in the store can be read, and
// opened with the keys that there are. Its error tells nothing of the secret.
func (t *TOTP) CheckRecord(key string, value []byte) error {
	_, _, err := t.open(strings.TrimPrefix(key, prefix), value)
	return err
}
