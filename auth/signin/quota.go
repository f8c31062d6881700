package signin

import (
	"net/netip"
	"sync"
	"time"
)

// Limits of sign-ins that one process lets begin at identity providers. They
// bound what a stranger can make the store hold (about 1 KiB each), and are far
// above what a whole company behind one address needs: a sign-in that goes on
// is given back. Who has come to the second factor is no stranger and is not counted:
// nobody behind the same address could keep him from it.
//
// Beyond maxPending each client still gets fewPerClient, up to twice as many
// in all: a handful of addresses cannot shut everybody else out.
const (
	maxPerClient = 10_000
	maxPending   = 50_000
	fewPerClient = 20
)

// warnEvery bounds the warnings about clients that look like a proxy: a
// stranger can send the header that they are about.
const warnEvery = time.Hour

// Quotas are what one process lets clients begin. The zero value is ready. They
// outlive a Flow: who makes the gateway begin anew would otherwise begin anew too.
type Quotas struct {
	away   quota // sign-ins that are away at an identity provider
	forgot quota // people who have forgotten their password
}

// quota counts what one process lets clients begin: sign-ins that are away at an identity provider, by client, in a
// window of pendingLife that begins anew when it is over; so at most twice the
// limit rests in the store.
// The zero value is ready. It holds at most 2*maxPending addresses.
type quota struct {
	mu     sync.Mutex
	until  time.Time // end of the window
	total  int
	client map[netip.Prefix]int
	warned time.Time
}

// take counts one sign-in and returns 0 where it may begin, otherwise how long
// it is until the window is over.
func (q *quota) take(addr netip.Addr, now time.Time) (wait time.Duration) {
	return q.takeUpTo(maxPerClient, addr, now)
}

// takeUpTo is take with another limit for each client.
func (q *quota) takeUpTo(limit int, addr netip.Addr, now time.Time) (wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !now.Before(q.until) || q.until.Sub(now) > pendingLife {
		q.until, q.total, q.client = now.Add(pendingLife), 0, map[netip.Prefix]int{}
	}
	g := group(addr)
	switch {
	case q.total >= 2*maxPending:
		limit = 0
	case q.total >= maxPending:
		limit = min(limit, fewPerClient)
	}
	if q.client[g] >= limit {
		return q.until.Sub(now)
	}
	q.total++
	q.client[g]++
	return 0
}

// warnAgain reports whether it is time to warn, and notes that it was done.
func (q *quota) warnAgain(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Before(q.warned.Add(warnEvery)) {
		return false
	}
	q.warned = now
	return true
}

// give takes back one sign-in that is no longer pending. One that began at
// another replica, or in another window, was not counted here.
func (q *quota) give(addr netip.Addr) {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := group(addr)
	if q.client[g] == 0 {
		return
	}
	q.total--
	if q.client[g]--; q.client[g] == 0 {
		delete(q.client, g)
	}
}

// group is what one customer of a network has: an IPv4 address, or an IPv6
// /56. Counting single IPv6 addresses would count nothing.
func group(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 56
	}
	prefix, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all such clients are one
	}
	return prefix
}
