package local

import (
	"context"
	"fmt"

	"gatehouse/auth"
)

// Importable tells whether a hash that another program made can be taken over:
// bcrypt, PBKDF2, SHA-crypt, argon2id and argon2i. Its error is for people and
// holds nothing of the hash.
func Importable(hash string) error {
	_, err := parseForeign(hash)
	return err
}

// Import gives an account that has no password the one of which another program
// made this hash. At the next right sign-in argon2id of our own takes its
// place. Errors: those of Importable; auth.ErrInvalidState when the account has a
// password; auth.ErrStoreDown.
func (p *Passwords) Import(ctx context.Context, account, hash string) error {
	if err := Importable(hash); err != nil {
		return err
	}
	return p.write(ctx, account, record{Hash: hash, Set: p.now(), Foreign: true}, "", func(old []byte) error {
		if old != nil {
			return fmt.Errorf("import password: %w: there is one", auth.ErrInvalidState)
		}
		return nil
	})
}

// Imported returns the algorithm of a password that was imported and not used
// since; "" for any other. Errors: auth.ErrStoreDown.
func (p *Passwords) Imported(ctx context.Context, account string) (algorithm string, err error) {
	_, rec, err := p.read(ctx, account)
	if err != nil || !rec.Foreign {
		return "", err
	}
	f, err := parseForeign(rec.Hash)
	if err != nil {
		return "unreadable", nil
	}
	return f.algorithm(), nil
}

// large reports whether to judge a password takes memory that another program
// has chosen.
func (r record) large() bool {
	if !r.Foreign {
		return false
	}
	f, err := parseForeign(r.Hash)
	_, argon := f.(argonHash)
	return err == nil && argon
}

// check compares a password as it was typed with what an account has; it needs a
// slot, that of acquireLarge where the record is large. Stale is as for verify.
//
// Beside a foreign hash our own is worked out as well. Attack: find by the clock
// which names exist, because a foreign hash is cheaper than the one that is
// worked out for an unknown name. What the foreign one costs beyond that shows,
// until the first right sign-in.
func (h *Hasher) check(rec record, typed string) (ok, stale bool) {
	if !rec.Foreign {
		return h.verify(rec.Hash, prepare(typed))
	}
	h.idle(prepare(typed))
	f, err := parseForeign(rec.Hash)
	if err != nil {
		return false, false
	}
	// As it was typed: whoever made the hash did not normalize.
	return f.matches(typed), true
}
