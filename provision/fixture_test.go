package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that only tests move.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	speed int // times as fast as the wall clock; 0: it stands still
	last  time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tick()
}

func (c *clock) tick() time.Time {
	wall := time.Now()
	if !c.last.IsZero() {
		c.now = c.now.Add(time.Duration(c.speed) * wall.Sub(c.last))
	}
	c.last = wall
	return c.now
}

// run sets how fast the clock runs.
func (c *clock) run(speed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick()
	c.speed = speed
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// credentials is who has a password or a factor.
type credentials struct {
	mu        sync.Mutex
	passwords map[string]bool
	factors   map[string]bool
	mailed    map[string]bool // gets codes by mail
	err       error
}

func (c *credentials) HasPassword(_ context.Context, id string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passwords[id], c.err
}

func (c *credentials) HasFactor(_ context.Context, id string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.factors[id], c.err
}

func (c *credentials) KeepsEmail(_ context.Context, id string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passwords[id] || c.mailed[id], c.err
}

func (c *credentials) Forget(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.passwords, id)
	delete(c.factors, id)
	return c.err
}

// house is an installation: one store, and any number of replicas.
type house struct {
	t     testing.TB
	store store.Store
	index *seal.IndexKey
	creds *credentials
	clock *clock
	conf  *config.Config
	bus   *store.LocalBus
	saw   *witness

	directory *Directory
	resolver  *Resolver
}

// newHouse builds an installation with the connections acme and partner, JIT
// on, and guest, JIT off. Change conf and call open for something else.
func newHouse(t testing.TB, st store.Store) *house {
	t.Helper()
	h := &house{
		t: t, store: st, clock: newClock(), bus: &store.LocalBus{}, saw: &witness{},
		creds: &credentials{passwords: map[string]bool{}, factors: map[string]bool{}, mailed: map[string]bool{}},
		conf: &config.Config{
			Local: config.Local{Enabled: true},
			Connections: []config.Connection{
				jitConnection("acme"), jitConnection("partner"),
				{ID: "guest", Issuer: issuerOf("guest"), TrustEmail: config.TrustClaim, User: "{connection}:{subject}"},
			},
		},
	}
	if st == nil {
		h.store = &memory.Store{Now: h.clock.Now}
	}
	ring, err := seal.NewKeyring([]string{strings.Repeat("k", 43)})
	if err != nil {
		t.Fatal(err)
	}
	h.index, err = seal.LoadIndexKey(t.Context(), h.store, ring)
	if err != nil {
		t.Fatal(err)
	}
	h.open()
	return h
}

func issuerOf(connection string) string { return "https://" + connection + ".example" }

func jitConnection(id string) config.Connection {
	return config.Connection{
		ID: id, Issuer: issuerOf(id), TrustEmail: config.TrustClaim,
		JIT: config.JIT{
			Enabled: true, Create: true,
			AttributeSync: config.SyncOverrideAll, GroupSync: config.GroupsSync, LinkExisting: config.LinkAuto,
		},
	}
}

// compiled is a connection as a resolver has it.
func compiled(c config.Connection) *connection { return newConnection(c, config.JITProvisioning{}) }

func (h *house) conn(id string) *config.Connection {
	c := h.conf.Connection(id)
	if c == nil {
		h.t.Fatalf("no connection %s", id)
	}
	return c
}

// open starts the replica, anew after a change of conf.
func (h *house) open() { h.directory, h.resolver = h.replica(h.store) }

// replica starts another one.
func (h *house) replica(st store.Store) (*Directory, *Resolver) {
	d := &Directory{
		Store: h.saw.over(st), Bus: h.bus, Index: h.index, Credentials: h.creds,
		CacheTTL: 5 * time.Second, Quarantine: h.conf.JITProvisioning.Quarantine, Now: h.clock.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Fits: func(user, email string) error {
			if len(user) > 8<<10 || len(email) > 8<<10 {
				return errors.New("user or e-mail is longer than 8 KiB")
			}
			return nil
		},
	}
	return d, NewResolver(h.conf, d)
}

// identity is what a person's sign-in at a connection proves.
func identity(connection, subject string, more ...func(*auth.Identity)) auth.Identity {
	id := auth.Identity{
		Connection: connection, Issuer: issuerOf(connection), Subject: subject,
		Email: subject + "@people.example", EmailVerified: true, Username: subject,
		Groups:     []string{"staff"},
		Attributes: map[string][]string{"name": {"Name of " + subject}, "department": {"research"}},
	}
	for _, f := range more {
		f(&id)
	}
	return id
}

func email(address string, verified bool) func(*auth.Identity) {
	return func(id *auth.Identity) { id.Email, id.EmailVerified = address, verified }
}

func username(name string) func(*auth.Identity) {
	return func(id *auth.Identity) { id.Username = name }
}

func groups(names ...string) func(*auth.Identity) {
	return func(id *auth.Identity) { id.Groups = names }
}

func attributes(a map[string][]string) func(*auth.Identity) {
	return func(id *auth.Identity) { id.Attributes = a }
}

func (h *house) resolve(id auth.Identity) auth.Outcome {
	h.t.Helper()
	o, err := h.resolver.Resolve(h.t.Context(), id)
	if err != nil {
		h.t.Fatalf("Resolve(%s %s): %v", id.Connection, id.Subject, err)
	}
	h.signedIn(o)
	return o
}

// signedIn finishes the sign-in of an outcome, where it is one.
func (h *house) signedIn(o auth.Outcome) {
	h.t.Helper()
	if o.Account == "" {
		return
	}
	if err := h.resolver.SignedIn(h.t.Context(), o.Account, o.Verdict == auth.Created); err != nil {
		h.t.Fatalf("SignedIn(%s): %v", o.Account, err)
	}
}

// refused resolves an identity that must be denied, and returns why.
func (h *house) refused(id auth.Identity) auth.Reason {
	h.t.Helper()
	o, err := h.resolver.Resolve(h.t.Context(), id)
	var denied *auth.Denied
	if !errors.As(err, &denied) {
		h.t.Fatalf("Resolve(%s %s) = %+v, %v; want a denial", id.Connection, id.Subject, o, err)
	}
	return denied.Reason
}

func (h *house) show(who string) View {
	h.t.Helper()
	v, err := h.directory.Show(h.t.Context(), who)
	if err != nil {
		h.t.Fatalf("Show(%s): %v", who, err)
	}
	return v
}

func (h *house) add(n New) View {
	h.t.Helper()
	v, err := h.directory.Add(h.t.Context(), n)
	if err != nil {
		h.t.Fatalf("Add(%s): %v", n.Username, err)
	}
	return v
}

// session is the session of a sign-in.
func session(o auth.Outcome) *auth.Session {
	id := o.Identity
	if o.Account != "" {
		id = auth.Identity{Connection: id.Connection, Issuer: id.Issuer, Subject: id.Subject, AMR: id.AMR}
	}
	return &auth.Session{
		Account: o.Account, Identity: id, Rules: o.Rules,
		JIT: id.Connection != auth.Local && o.Verdict != auth.PassThrough,
	}
}

// dump is every record of the user store.
func dump(t testing.TB, st store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, prefix := range []string{"account:", "link:", "email:", "username:", "signin:", "history:", "password:", "totp:"} {
		err := st.Scan(context.Background(), prefix, func(key string, value []byte) error {
			all[key] = string(value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// audit judges the whole user store: no account twice, each name of each
// account leads to it, and its history tells what happened to it. It returns
// those accounts; what is being made or deleted is none.
func audit(t testing.TB, h *house) []*Account {
	t.Helper()
	healthy(t, h)
	records := dump(t, h.store)
	var live []*Account
	owners := map[string]string{}
	for key, value := range records {
		if !strings.HasPrefix(key, "account:") {
			continue
		}
		a, err := decodeAccount([]byte(value))
		if err != nil {
			t.Fatal(err)
		}
		if a.Status == Pending || a.Status == Deleting {
			continue
		}
		live = append(live, a)
		log, err := decodeHistory([]byte(records[historyKey(a.ID)]))
		if err != nil {
			t.Fatal(err)
		}
		h.saw.judge(t, a, log)
		for _, n := range h.directory.names().of(a) {
			if other, twice := owners[n.key]; twice {
				t.Errorf("accounts %s and %s both have %s", other, a.ID, describe(n))
			}
			owners[n.key] = a.ID
			e, err := decodeEntry([]byte(records[n.key]))
			if err != nil || e.Account != a.ID || !e.Until.IsZero() {
				t.Errorf("%s of account %s leads to %+v (%v)", describe(n), a.ID, e, err)
			}
		}
	}
	return live
}

func describe(n name) string { return fmt.Sprintf("%s (%s%s)", n.key[:12], n.value, n.link.Subject) }
