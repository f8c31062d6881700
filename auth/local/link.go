package local

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
	"gatehouse/internal/store"
)

// How long a link counts.
const (
	setupLife = 72 * time.Hour
	resetLife = 30 * time.Minute
)

func life(kind auth.LinkKind) time.Duration {
	if kind == auth.LinkReset {
		return resetLife
	}
	return setupLife
}

// NewLink makes a link and returns its token: 256 random bits, of which only a
// keyed hash is stored. The account's earlier links are void. Mailed is the
// address to which it will be sent, if any. Errors: auth.ErrStoreDown.
func (p *Passwords) NewLink(ctx context.Context, account string, kind auth.LinkKind, mailed string) (token string, l auth.PasswordLink, err error) {
	token = cookie.NewID()
	now := p.now().UTC()
	l = auth.PasswordLink{Account: account, Kind: kind, Mailed: mailed, Made: now, Expires: now.Add(life(kind))}
	value, err := json.Marshal(l)
	if err != nil {
		return "", l, fmt.Errorf("encode link: %w", err)
	}
	hash := p.tokenHash(token)
	if err := p.Store.Create(ctx, linkPrefix+hash, value, life(kind)); err != nil {
		return "", l, down("make link", err)
	}
	err = p.Store.Update(ctx, newestKey(account), func([]byte) ([]byte, time.Duration, error) {
		return []byte(hash), life(kind), nil
	})
	if err != nil {
		return "", l, down("make link", err)
	}
	return token, l, nil
}

// LookAtLink returns what a token is for, and uses nothing up: programs that
// look through mails open every link. Errors: auth.ErrInvalidState when it is
// unknown, too old, was used, or something came after it: a newer link, or
// another password; auth.ErrStoreDown.
func (p *Passwords) LookAtLink(ctx context.Context, token string) (auth.PasswordLink, error) {
	if !cookie.IsID(token) {
		return auth.PasswordLink{}, auth.ErrInvalidState
	}
	hash := p.tokenHash(token)
	value, err := p.Store.Get(ctx, linkPrefix+hash)
	if err != nil {
		return auth.PasswordLink{}, linkTrouble(err)
	}
	return p.judgeLink(ctx, hash, value)
}

func (p *Passwords) judgeLink(ctx context.Context, hash string, value []byte) (auth.PasswordLink, error) {
	var l auth.PasswordLink
	if err := json.Unmarshal(value, &l); err != nil {
		return auth.PasswordLink{}, fmt.Errorf("decode link: %w: %w", auth.ErrInvalidState, err)
	}
	if !p.now().Before(l.Expires) {
		return auth.PasswordLink{}, fmt.Errorf("link: %w: expired", auth.ErrInvalidState)
	}
	newest, err := p.Store.Get(ctx, newestKey(l.Account))
	if err != nil {
		return auth.PasswordLink{}, linkTrouble(err)
	}
	if subtle.ConstantTimeCompare(newest, []byte(hash)) != 1 {
		return auth.PasswordLink{}, fmt.Errorf("link: %w: there is a newer one", auth.ErrInvalidState)
	}
	old, _, err := p.read(ctx, l.Account)
	if err != nil {
		return auth.PasswordLink{}, err
	}
	return l, mayReplace(l, old)
}

// mayReplace judges the present password: one that was set after the link was
// made is what somebody wants, and an account that has lost its password since
// is none to reset.
func mayReplace(l auth.PasswordLink, old []byte) error {
	if old == nil {
		if l.Kind == auth.LinkReset {
			return fmt.Errorf("link: %w: there is no password to reset", auth.ErrInvalidState)
		}
		return nil
	}
	if err := setBefore(old, l.Made); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return nil
}

// VoidLinks makes the links of an account void that nobody has used. Errors:
// auth.ErrStoreDown.
func (p *Passwords) VoidLinks(ctx context.Context, account string) error {
	if err := p.Store.Delete(ctx, newestKey(account)); err != nil {
		return down("void links", err)
	}
	return nil
}

// SetByLink gives the account of a link the password that its owner has chosen,
// and uses the link up: of any number of parallel callers one does so. A
// password that is refused uses nothing up. It ends no session and touches no
// factor: the caller ends the sessions. Errors: *auth.Unsuitable, those of
// LookAtLink, *auth.Throttled, and the context's.
func (p *Passwords) SetByLink(ctx context.Context, token, password string, names ...string) (auth.PasswordLink, error) {
	l, err := p.LookAtLink(ctx, token)
	if err != nil {
		return auth.PasswordLink{}, err
	}
	if err := p.Policy.Suitable(password, names...); err != nil {
		return l, err
	}
	hash, err := p.Hasher.Hash(ctx, prepare(password))
	if err != nil {
		return l, err
	}
	if _, err := p.Store.Take(ctx, linkPrefix+p.tokenHash(token)); err != nil {
		return l, linkTrouble(err)
	}
	return l, p.write(ctx, l.Account, record{Hash: hash, Set: p.now(), Mailed: l.Mailed}, "", func(old []byte) error { return mayReplace(l, old) })
}

// MailedTo returns the address to which the link went by which the present
// password was chosen; "" where it was chosen otherwise, or there is none.
// Whoever reads the mail there could choose it. Errors: auth.ErrStoreDown.
func (p *Passwords) MailedTo(ctx context.Context, account string) (address string, err error) {
	_, rec, err := p.read(ctx, account)
	return rec.Mailed, err
}

const linkPrefix = "setlink:"

// newestKey is the key of the hash of the account's newest link.
func newestKey(account string) string { return "newestlink:" + account }

func (p *Passwords) tokenHash(token string) string { return p.Throttle.Index.Hash("setlink", token) }

func linkTrouble(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("link: %w", auth.ErrInvalidState)
	}
	return down("read link", err)
}
