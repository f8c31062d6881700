package local

import (
	"encoding/json"
	"errors"
	"fmt"
)

// RecordKind is what stands before the colon in the keys of passwords; the
// account's id follows it.
const RecordKind = "password"

// CheckRecord tells whether a password that rests in the store can be read.
// Its error tells nothing of the password.
func CheckRecord(_ string, value []byte) error {
	var rec record
	if json.Unmarshal(value, &rec) != nil {
		return errors.New("decode password record: it is not JSON of the form that this version knows")
	}
	if rec.Foreign {
		if err := Importable(rec.Hash); err != nil {
			return fmt.Errorf("decode password record: %w", err)
		}
		return nil
	}
	if _, err := parsePHC(rec.Hash); err != nil {
		return fmt.Errorf("decode password record: %w", err)
	}
	return nil
}
