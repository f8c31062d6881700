package provision

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/storetest"
)

// ledger is what the people of a storm were told: what has been acknowledged
// must be true afterwards.
type ledger struct {
	mu       sync.Mutex
	now      int // counts what was begun or ended, so that one can tell what came first
	accounts map[string]*ledgerAccount
	order    []string // ids as they became known

	signIns, changes, failures int
}

type ledgerAccount struct {
	sync.Mutex                 // held by the administrator who works on it
	links      map[Link]bool   // of those who came in
	left       map[string]bool // connections that an administrator wanted to cut; "": deletion
	closed     bool            // an administrator wanted to disable or delete it
	shut       int             // when it was acknowledged to be disabled or deleted; 0: it was not
	groups     []string        // the lists of local groups that it may have
}

// begin forgets the accounts of the last round.
func (l *ledger) begin() { l.accounts, l.order = map[string]*ledgerAccount{}, nil }

func (l *ledger) account(id string) *ledgerAccount {
	a := l.accounts[id]
	if a == nil {
		a = &ledgerAccount{links: map[Link]bool{}, left: map[string]bool{}, groups: []string{"[]"}}
		l.accounts[id] = a
		l.order = append(l.order, id)
	}
	return a
}

func (l *ledger) locked(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *ledger) tick() (now int) {
	l.locked(func() { l.now++; now = l.now })
	return now
}

func (l *ledger) failed() { l.locked(func() { l.failures++ }) }
func (l *ledger) change() { l.locked(func() { l.changes++ }) }

// acknowledge notes a sign-in that began at some moment. It returns what is
// wrong with it, if anything.
func (l *ledger) acknowledge(id string, link Link, began int) (wrong string) {
	l.locked(func() {
		a := l.account(id)
		l.signIns++
		if a.shut > 0 && a.shut < began {
			wrong = "which had been disabled or deleted before they began"
		}
		a.links[link] = true
	})
	return wrong
}

// someAccount is the id of an account that somebody has come in as; "": none.
func (l *ledger) someAccount(random *rand.Rand) (id string) {
	n := random.Uint64()
	l.locked(func() {
		if len(l.order) > 0 {
			id = l.order[n%uint64(len(l.order))]
		}
	})
	return id
}

// alone makes the caller the only administrator of an account, until it calls
// what is returned.
func (l *ledger) alone(id string) (done func()) {
	var a *ledgerAccount
	l.locked(func() { a = l.account(id) })
	a.Lock()
	return a.Unlock
}

func (l *ledger) leave(id, connection string) {
	l.locked(func() { l.account(id).left[connection] = true })
}

func (l *ledger) close(id string) { l.locked(func() { l.account(id).closed = true }) }

func (l *ledger) closing(id string) (yes bool) {
	l.locked(func() { yes = l.accounts[id] != nil && l.accounts[id].closed })
	return yes
}

func (l *ledger) shut(id string) { l.locked(func() { l.now++; l.account(id).shut = l.now }) }

func (l *ledger) reopen(id string) { l.locked(func() { l.account(id).shut = 0 }) }

// assigned notes the one local group that an administrator has given to an
// account. What failed may have been done.
func (l *ledger) assigned(id, group string, err error) {
	l.locked(func() {
		a := l.account(id)
		switch {
		case err == nil:
			a.groups = []string{"[" + group + "]"}
		case errors.Is(err, auth.ErrStoreDown):
			a.groups = append(a.groups, "["+group+"]")
		}
	})
}

// allows reports whether the account may have this list of local groups.
func (a *ledgerAccount) allows(groups string) bool { return slices.Contains(a.groups, groups) }

// mishap is what goes wrong in one process.
type mishap struct {
	mu            sync.Mutex
	random        *rand.Rand
	before, after float64 // chance of each operation to fail, or of its answer to be lost
	dies, sleeps  int     // at which operation it ends, or hangs; 0: never
	done          bool    // it dies when that operation is done
	n             int     // the operation it is at
}

func newMishap(random *rand.Rand) *mishap {
	m := &mishap{random: rand.New(rand.NewPCG(random.Uint64(), 0)), done: random.IntN(2) == 0}
	switch random.IntN(6) {
	case 0:
		m.before = 0.1
	case 1:
		m.after = 0.1
	case 2:
		m.dies = 1 + random.IntN(16)
	case 3:
		m.sleeps = 1 + random.IntN(16)
	}
	return m
}

func (m *mishap) store(st store.Store) store.Store {
	return &storetest.Faulty{Store: st, Before: m.ahead, After: m.behind}
}

func (m *mishap) ahead(string, string) error {
	m.mu.Lock()
	m.n++
	hangs := m.n == m.sleeps
	fails := m.random.Float64() < m.before || m.dies > 0 && (m.n > m.dies || m.n == m.dies && !m.done)
	m.mu.Unlock()
	if hangs {
		<-time.After(2 * lease / stormSpeed)
	}
	if fails {
		return errDead
	}
	return nil
}

func (m *mishap) behind(string, string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.random.Float64() < m.after || m.n == m.dies && m.done {
		return errDead
	}
	return nil
}
