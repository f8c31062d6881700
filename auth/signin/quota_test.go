package signin

import (
	"net/netip"
	"testing"
	"time"
)

func addr(a, b, c, d int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a), byte(b), byte(c), byte(d)})
}

// A few addresses must not shut everybody out, and all together must not make
// the store grow without end.
func TestQuota(t *testing.T) {
	var q quota
	now := time.Unix(1_800_000_000, 0)
	take := func(a netip.Addr, n int) (taken int) {
		for range n {
			if q.take(a, now) == 0 {
				taken++
			}
		}
		return taken
	}
	for i := range 5 {
		if got := take(addr(10, 0, 0, i), maxPerClient+1); got != maxPerClient {
			t.Fatalf("client %d: %d", i, got)
		}
	}
	if got := take(addr(10, 1, 0, 0), fewPerClient+1); got != fewPerClient {
		t.Errorf("a client beside five that fill everything: %d", got)
	}
	for i := 0; q.total < 2*maxPending; i++ {
		take(addr(11, i>>16, i>>8, i), fewPerClient)
	}
	if got := take(addr(12, 0, 0, 0), 1); got != 0 {
		t.Errorf("beyond the last limit: %d", got)
	}
	q.give(addr(10, 0, 0, 0))
	if got := take(addr(12, 0, 0, 0), 1); got != 1 {
		t.Errorf("after one was given back: %d", got)
	}
	now = now.Add(pendingLife)
	if got := take(addr(10, 0, 0, 0), 2); got != 2 || len(q.client) != 1 {
		t.Errorf("in the next window: %d, %d clients", got, len(q.client))
	}
	// What was not counted here is not given back.
	q.give(addr(10, 9, 9, 9))
	if q.total != 2 {
		t.Errorf("total %d", q.total)
	}
}

// Counting single IPv6 addresses counts nothing: everybody has 2^64 of them.
func TestGroup(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1/32",
		"2001:db8:1:2ff::1":      "2001:db8:1:200::/56",
		"2001:db8:1:2ff:a:b:c:d": "2001:db8:1:200::/56",
		"fe80::1%eth0":           "fe80::/56",
		"":                       "invalid Prefix",
	} {
		a, _ := netip.ParseAddr(in)
		if got := group(a).String(); got != want {
			t.Errorf("group(%s) = %s, want %s", in, got, want)
		}
	}
}
