package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"

	"gatehouse/auth/local"
	"gatehouse/auth/mfa"
	"gatehouse/auth/session"
	"gatehouse/internal/config"
	"gatehouse/internal/cookie"
	"gatehouse/internal/mail"
	"gatehouse/internal/seal"
	"gatehouse/internal/throttle"
	"gatehouse/provision"
	"gatehouse/proxy"
)

// state is everything that rests in the store, as one configuration has it. A
// server and a command that runs beside it open the same state.
type state struct {
	*process
	keys
	cfg *config.Config

	directory *provision.Directory
	resolver  *provision.Resolver
	passwords *local.Passwords
	totp      *mfa.TOTP
	emailCode *mfa.EmailCode
	passkeys  *mfa.Passkeys
	recovery  *mfa.Recovery
	demands   *mfa.Demands
	factors   mfa.Factors
	turns     *mfa.Turns
	sessions  *session.Sessions
	cookies   cookie.Policy
	mail      *mail.Outbox  // nil: no mail is sent
	resets    *local.Resets // nil: nobody has a link mailed by which they choose another password
}

// keys open what rests in the store.
type keys struct {
	keyring *seal.Keyring
	index   *seal.IndexKey
	// rotating: there are older keys beside the first.
	rotating bool
	// generated are the keys in use that the store keeps; none where the
	// configuration has its own.
	generated []string
}

// openState opens the store and its keys, generating those that do not exist.
// Errors: bolt.ErrLocked, store.ErrDown, and keys that do not fit the store.
func openState(ctx context.Context, cfg *config.Config, log *slog.Logger) (*state, error) {
	p, err := openProcess(cfg, log)
	if err != nil {
		return nil, err
	}
	s, err := p.newState(ctx, cfg, nil)
	if err != nil {
		return nil, errors.Join(err, p.store.Close())
	}
	return s, nil
}

// newState makes the state of a configuration. Keys that are known are not opened
// again. Errors: store.ErrDown, and keys that do not fit the store.
func (p *process) newState(ctx context.Context, cfg *config.Config, known *keys) (*state, error) {
	s := &state{process: p, cfg: cfg}
	if known != nil {
		s.keys = *known
	} else if err := s.openKeys(ctx); err != nil {
		return nil, err
	}
	if err := s.wire(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *state) wire() error {
	public, err := url.Parse(s.cfg.Server.PublicURL)
	if err != nil {
		return fmt.Errorf("read public_url: %w", err)
	}
	if s.mail, err = s.outbox(public); err != nil {
		return err
	}
	attempts := &throttle.Throttle{Store: s.store, Index: s.index}
	s.directory = &provision.Directory{
		Store: s.store, Bus: s.bus, Index: s.index, Credentials: credentials{s},
		Fits:       proxy.Fits,
		Quarantine: s.cfg.JITProvisioning.Quarantine, Inactive: s.cfg.JITProvisioning.Inactive,
		CacheTTL: s.cfg.Session.CacheTTL, Log: s.log,
	}
	s.resolver = provision.NewResolver(s.cfg, s.directory)
	s.resolver.Decided = s.metrics.Provisioned
	s.passwords = &local.Passwords{
		Store: s.store, Accounts: s.directory, Throttle: attempts,
		Hasher: s.hasher,
		Policy: local.Policy{MinLength: s.cfg.Local.Password.MinLength, MinStrength: s.cfg.Local.Password.MinStrength}, Log: s.log,
	}
	s.totp = &mfa.TOTP{Store: s.store, Keyring: s.keyring, Throttle: attempts, Issuer: s.cfg.MFA.TOTP.Issuer, Log: s.log}
	where := addresses{s.directory, s.passwords}
	s.emailCode = &mfa.EmailCode{Store: s.store, Index: s.index, Throttle: attempts, Addresses: where, Log: s.log}
	if s.mail != nil {
		s.emailCode.Mailer = s.mail
		if s.cfg.Local.Enabled && s.cfg.Local.Password.Reset {
			s.resets = local.NewResets(local.Resets{
				Passwords: s.passwords, Addresses: where, Mailer: s.mail, Log: s.log,
				URL: func(token string) string { return passwordURL(s.cfg, token) },
			})
		}
	}
	s.passkeys = &mfa.Passkeys{
		Store: s.store, Throttle: attempts, Party: mfa.RelyingPartyOf(s.cfg.Server.PublicURL, s.cfg.MFA.TOTP.Issuer), Log: s.log,
	}
	s.recovery = &mfa.Recovery{Store: s.store, Index: s.index, Throttle: attempts, Log: s.log}
	s.demands, s.turns = &mfa.Demands{Store: s.store}, &mfa.Turns{Store: s.store}
	s.factors = mfa.Factors{Kinds: []mfa.Keeper{s.totp, s.passkeys, s.emailCode, s.recovery}, Demands: s.demands}

	s.cookies = cookie.Policy{
		Name:     s.cfg.Session.CookieName,
		Domain:   s.cfg.Session.CookieDomain,
		Secure:   public.Scheme == "https",
		SameSite: sameSite(s.cfg.Session.SameSite),
	}
	s.sessions, err = session.New(session.Config{
		Store: s.store, Bus: s.bus, Index: s.index, People: s.resolver, Cookie: s.cookies,
		Idle: s.cfg.Session.IdleTimeout, Lifetime: s.cfg.Session.Lifetime, CacheTTL: s.cfg.Session.CacheTTL,
		Log: s.log, Ended: s.metrics.SessionEnded,
	})
	return err
}

// reseal completes a rotation of secrets.keys: what an older key sealed is
// sealed under the first, so that the older one can go.
func (s *state) reseal(ctx context.Context) {
	if !s.rotating {
		return
	}
	n, err := s.totp.Reseal(ctx)
	if s.mail != nil && err == nil {
		var mails int
		mails, err = s.mail.Reseal(ctx)
		n += mails
	}
	if err != nil {
		s.log.WarnContext(ctx, "not every secret is sealed under the first of secrets.keys; the next start tries again: keep the older keys", "error", err)
		return
	}
	s.log.InfoContext(ctx, "every secret is sealed under the first of secrets.keys; older keys can go once all replicas have started with it", "sealed_anew", n)
}

// openKeys reads the keys of the configuration, or those that the store keeps
// when the file has none, and the index key that they seal.
func (s *state) openKeys(ctx context.Context) error {
	var keys []string
	for _, k := range s.cfg.Secrets.Keys {
		keys = append(keys, k.Reveal())
	}
	generated, err := seal.GeneratedKeys(ctx, s.store)
	if len(keys) == 0 {
		generated, err = seal.StoredKeys(ctx, s.store)
		s.generated = generated
	}
	if err != nil {
		return fmt.Errorf("read the generated keys: %w", err)
	}
	// An installation that is given keys of its own, as it was advised to, has
	// sealed with generated ones before: to leave them is a rotation too.
	keys = append(keys, generated...)
	s.rotating = len(keys) > 1
	if s.keyring, err = seal.NewKeyring(keys); err != nil {
		return fmt.Errorf("read secrets.keys: %w", err)
	}
	if s.index, err = seal.LoadIndexKey(ctx, s.store, s.keyring); err != nil {
		return fmt.Errorf("open the index key: %w", err)
	}
	return nil
}

// changed drops what is cached under a key.
func (s *state) changed(key string) {
	s.sessions.Changed(key)
	s.directory.Changed(key)
}

// messenger mails the owners of accounts.
func (s *state) messenger() messenger {
	return messenger{directory: s.directory, mail: s.mail, log: s.log}
}

func (s *state) close() error { return s.store.Close() }

// administration returns what the user and session commands work on.
func (s *state) administration() *administration {
	a := &administration{state: s, inactivity: s.inactivityRule()}
	for _, c := range s.cfg.Connections {
		if !c.JIT.Enabled && !c.Disabled {
			a.passThrough = append(a.passThrough, c.ID)
		}
	}
	return a
}

// inactivityRule is the rule for accounts that nobody uses. It spares whoever is in
// a group that the file protects in any way: they administer something.
func (s *state) inactivityRule() *provision.Inactivity {
	groups := append(slices.Clone(s.cfg.JITProvisioning.ProtectedGroups), s.cfg.Admin.Groups...)
	for _, c := range s.cfg.Connections {
		groups = append(groups, c.JIT.LinkProtectedGroups...)
	}
	return &provision.Inactivity{Directory: s.directory, Sessions: s.sessions, Groups: groups}
}

// credentials tells provision what an account can prove itself with.
type credentials struct{ s *state }

func (c credentials) HasPassword(ctx context.Context, account string) (bool, error) {
	return c.s.passwords.HasPassword(ctx, account)
}

func (c credentials) HasFactor(ctx context.Context, account string) (bool, error) {
	all, err := c.s.factors.All(ctx, account)
	return mfa.Satisfies(all), err
}

// KeepsEmail: whoever controls a connection would otherwise move the address to
// which a reset, or the code of the next factor, is mailed.
func (c credentials) KeepsEmail(ctx context.Context, account string) (bool, error) {
	if has, err := c.HasPassword(ctx, account); has || err != nil {
		return has, err
	}
	codes, err := c.s.emailCode.Enrolled(ctx, account)
	return len(codes) > 0, err
}

func (c credentials) Forget(ctx context.Context, account string) error {
	if _, err := c.s.sessions.EndAccount(ctx, account); err != nil {
		return err
	}
	return errors.Join(c.s.passwords.Delete(ctx, account), c.s.factors.Reset(ctx, account))
}

// sameSite is the value of session.same_site, which is valid.
func sameSite(value string) http.SameSite {
	switch value {
	case "strict":
		return http.SameSiteStrictMode
	case "none":
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}
