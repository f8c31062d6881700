package store

import (
	"context"
	"strings"
)

// IDs returns what follows prefix in the key of each record that has it.
// Errors: ErrDown.
func IDs(ctx context.Context, s Store, prefix string) (map[string]bool, error) {
	ids := map[string]bool{}
	err := s.Scan(ctx, prefix, func(key string, _ []byte) error {
		ids[strings.TrimPrefix(key, prefix)] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}
