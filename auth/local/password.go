package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/throttle"
)

// Accounts finds accounts (*provision.Directory).
type Accounts interface {
	// ByLogin returns the account whose username or verified e-mail this is.
	// Errors: auth.ErrNotFound, auth.ErrStoreDown.
	ByLogin(ctx context.Context, login string) (account, username string, active bool, err error)
}

// Passwords are the passwords of local accounts. It is safe for concurrent
// use.
type Passwords struct {
	Store    store.Store
	Accounts Accounts
	Throttle *throttle.Throttle
	Hasher   *Hasher
	Policy   Policy // for new passwords

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
}

// record is what rests under password:<account>.
type record struct {
	Hash string    `json:"hash"` // PHC
	Set  time.Time `json:"set"`  // when the password was chosen, not when it was hashed
	// Mailed is the address to which the link went by which it was chosen; empty:
	// it was chosen otherwise.
	Mailed string `json:"mailed,omitempty"`
	// Foreign says that another program made the hash; see Import.
	Foreign bool `json:"foreign,omitempty"`
}

// Authenticate checks a password. Login is a username or a verified e-mail in
// any spelling; the context carries the value of Remember that the browser
// kept (throttle.WithDevice). The identity's subject is the account id.
//
// Errors: auth.ErrWrongPassword for all reasons alike, *auth.Throttled after
// too many attempts under this login, or on this known device,
// auth.ErrStoreDown, and the context's own.
func (p *Passwords) Authenticate(ctx context.Context, login, password string) (auth.Identity, error) {
	// The place in the queue comes first: who makes counters without waiting
	// for the expensive work could fill the store with them.
	if err := p.Hasher.slots.acquire(ctx); err != nil {
		return auth.Identity{}, err
	}
	release := p.Hasher.slots.release
	defer func() { release() }()

	if len(login) > maxLogin {
		login = ""
	}
	login = normalLogin(login)
	account, username, active, err := p.find(ctx, login)
	if err != nil {
		return auth.Identity{}, err
	}
	attempt, err := p.Throttle.BeginLogin(ctx, account, login, throttle.Device(ctx))
	if err != nil {
		return auth.Identity{}, err
	}
	if attempt.Closed {
		// All the work is done as for a wrong password, and the answer is that of
		// one: "too many attempts" would tell that another login, under which
		// they were made, names the same account.
		active = false
		p.closed(ctx, account)
	}
	value, rec, err := p.read(ctx, account)
	if err != nil {
		return auth.Identity{}, err
	}
	if rec.large() {
		release()
		release = func() {}
		if err := p.Hasher.acquireLarge(ctx); err != nil {
			return auth.Identity{}, err
		}
		release = p.Hasher.releaseLarge
		// Once more: it may have been changed, or taken over, meanwhile.
		if value, rec, err = p.read(ctx, account); err != nil {
			return auth.Identity{}, err
		}
	}
	if len(password) > maxPassword {
		password, active = "", false
	}
	ok, stale := p.Hasher.check(rec, password)
	if !ok || !active {
		return auth.Identity{}, auth.ErrWrongPassword
	}
	if err := attempt.Refund(ctx); err != nil {
		p.warn(ctx, "a right password stays counted as an attempt", account, err)
	}
	if stale {
		p.rehash(ctx, account, value, rec, prepare(password))
	}
	return auth.Identity{
		Connection: auth.Local,
		Subject:    account,
		Username:   username,
		AMR:        []string{auth.MethodPassword},
		AuthTime:   p.now(),
	}, nil
}

// find returns the account of a login or, when there is none, a stand-in of
// which everything else can be asked in the same way: an id that no account
// has, one for each login.
func (p *Passwords) find(ctx context.Context, login string) (account, username string, active bool, err error) {
	account, username, active, err = p.Accounts.ByLogin(ctx, login)
	switch {
	case err == nil && account != "":
		return account, username, active, nil
	case err == nil || errors.Is(err, auth.ErrNotFound):
		return "nobody-" + p.Throttle.Index.Hash("login", login), "", false, nil
	}
	return "", "", false, fmt.Errorf("find account of login: %w", err)
}

// Remember finishes a local sign-in: it forgets the attempts before it and
// returns the value by which the browser is a known device of the account for
// throttle.DeviceLife. The browser's present value, if any, is that of
// throttle.Device; isNew is that of throttle.Remember. Errors: auth.ErrStoreDown.
func (p *Passwords) Remember(ctx context.Context, account string) (device string, isNew bool, err error) {
	present := throttle.Device(ctx)
	if err := p.Throttle.Reset(ctx, account, present); err != nil {
		return "", false, err
	}
	return p.Throttle.Remember(ctx, account, present)
}

// SetPassword gives an account a password, whether or not it had one, and
// forgets its attempts and known devices; links to choose one are void then. The
// names are those of Policy.Suitable. It ends no session: the caller does.
// Errors: *auth.Unsuitable, auth.ErrStoreDown, *auth.Throttled, and the context's.
func (p *Passwords) SetPassword(ctx context.Context, account, password string, names ...string) error {
	return p.set(ctx, account, password, names, "", func([]byte) error { return nil })
}

// Change is SetPassword by the account's owner, who has proved the present
// password at a time: another one that was set since is not replaced, or what
// waited here meanwhile would undo an administrator's, or a reset. The device of
// the context stays known. Errors: those of SetPassword, auth.ErrInvalidState.
func (p *Passwords) Change(ctx context.Context, account, password string, proved time.Time, names ...string) error {
	may := func(old []byte) error { return setBefore(old, proved) }
	old, _, err := p.read(ctx, account)
	if err == nil {
		err = may(old) // before the expensive work, too
	}
	if err != nil {
		return err
	}
	return p.set(ctx, account, password, names, throttle.Device(ctx), may)
}

func (p *Passwords) set(ctx context.Context, account, password string, names []string, device string, may func(old []byte) error) error {
	if err := p.Policy.Suitable(password, names...); err != nil {
		return err
	}
	hash, err := p.Hasher.Hash(ctx, prepare(password))
	if err != nil {
		return err
	}
	return p.write(ctx, account, record{Hash: hash, Set: p.now()}, device, may)
}

// setBefore errors with auth.ErrInvalidState when the present password was set
// after a time, or there is none.
func setBefore(old []byte, at time.Time) error {
	if old == nil {
		return fmt.Errorf("%w: there is no password", auth.ErrInvalidState)
	}
	var rec record
	if err := json.Unmarshal(old, &rec); err != nil {
		return fmt.Errorf("decode password record: %w", err)
	}
	if rec.Set.After(at) {
		return fmt.Errorf("%w: the password was changed since", auth.ErrInvalidState)
	}
	return nil
}

// write puts a new password in place of the present one, if that may be
// replaced, and forgets all devices but one.
func (p *Passwords) write(ctx context.Context, account string, rec record, device string, may func(old []byte) error) error {
	value, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode password record: %w", err)
	}
	err = p.Store.Update(ctx, key(account), func(old []byte) ([]byte, time.Duration, error) { return value, 0, may(old) })
	if errors.Is(err, auth.ErrInvalidState) {
		return err
	}
	if err != nil {
		return down("set password", err)
	}
	return p.Throttle.ForgetOthers(ctx, account, device)
}

// Unlock forgets the attempts on an account: its owner may try again at once.
// Errors: auth.ErrStoreDown.
func (p *Passwords) Unlock(ctx context.Context, account string) error {
	return p.Throttle.Unlock(ctx, account)
}

// WaitsUntil tells until when attempts on an account have to wait; zero: none
// has to. Errors: auth.ErrStoreDown.
func (p *Passwords) WaitsUntil(ctx context.Context, account string) (time.Time, error) {
	return p.Throttle.WaitsUntil(ctx, account)
}

// HasPassword reports whether the account has a password. Errors:
// auth.ErrStoreDown.
func (p *Passwords) HasPassword(ctx context.Context, account string) (bool, error) {
	value, _, err := p.read(ctx, account)
	return value != nil, err
}

// Holders returns the accounts that have a password. Errors:
// auth.ErrStoreDown.
func (p *Passwords) Holders(ctx context.Context) (map[string]bool, error) {
	holders, err := store.IDs(ctx, p.Store, prefix)
	if err != nil {
		return nil, down("list passwords", err)
	}
	return holders, nil
}

// Delete forgets the account's password, attempts and devices. Errors:
// auth.ErrStoreDown.
func (p *Passwords) Delete(ctx context.Context, account string) error {
	if err := errors.Join(p.Store.Delete(ctx, key(account)), p.Store.Delete(ctx, newestKey(account))); err != nil {
		return down("delete password", err)
	}
	return p.Throttle.Forget(ctx, account)
}

// rehash replaces a hash that was made with other parameters, or elsewhere. It writes only
// over the very value that was verified: were the password changed meanwhile,
// writing the old one back would undo a reset.
func (p *Passwords) rehash(ctx context.Context, account string, verified []byte, rec record, password string) {
	rec.Hash, rec.Foreign = p.Hasher.hash(password), false
	value, err := json.Marshal(rec)
	if err == nil {
		err = p.Store.Update(ctx, key(account), func(old []byte) ([]byte, time.Duration, error) {
			if string(old) != string(verified) {
				return nil, 0, store.ErrNoChange
			}
			return value, 0, nil
		})
	}
	if err != nil {
		p.warn(ctx, "password keeps its old hash parameters", account, err)
	}
}

// read returns the account's record as it rests and decoded; nil and zero when
// there is none.
func (p *Passwords) read(ctx context.Context, account string) ([]byte, record, error) {
	value, err := p.Store.Get(ctx, key(account))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, record{}, nil
	case err != nil:
		return nil, record{}, down("read password", err)
	}
	var rec record
	if err := json.Unmarshal(value, &rec); err != nil {
		return nil, record{}, fmt.Errorf("decode password record: %w", err)
	}
	return value, rec, nil
}

// closed tells the administrator what the person is not told.
func (p *Passwords) closed(ctx context.Context, account string) {
	if p.Log != nil {
		p.Log.InfoContext(ctx, "attempt not judged: too many under the account's other logins", "account", account)
	}
}

func (p *Passwords) warn(ctx context.Context, message, account string, err error) {
	if p.Log != nil {
		p.Log.WarnContext(ctx, message, "account", account, "error", err)
	}
}

func (p *Passwords) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

const prefix = "password:"

func key(account string) string { return prefix + account }

func down(doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, auth.ErrStoreDown, err)
}
