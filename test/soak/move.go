package soak

import (
	"context"
	"testing"

	"gatehouse/test/servers"
)

// Move moves slots of a Redis Cluster while people sign in.
type Move struct {
	Bin      string
	Store    string // the store section of config.yaml
	Browsers int
	Cluster  *servers.Cluster
	Slots    int // how many of each master move to the next one, and back
	Batch    int // that are open at the same time
	Rounds   int
}

// Run runs it. Nobody notices anything: no sign-in fails, none is lost, and the
// doctor finds nothing, also while slots are on their way.
func (m Move) Run(t testing.TB) {
	t.Helper()
	f := Storm{Bin: m.Bin, Replicas: 2, Store: m.Store}.build(t)
	c := gather(f, "person", m.Browsers)
	t.Cleanup(c.stop)
	c.after(t, 2*m.Browsers)
	mover, ctx := m.Cluster.Mover(t), context.Background()
	moved := 0
	for range m.Rounds {
		for i, from := range m.Cluster.Masters {
			to, slots := m.Cluster.Masters[(i+1)%3], m.Cluster.Range(i)[:m.Slots]
			for _, way := range [][2]*servers.RedisServer{{from, to}, {to, from}} {
				for first := 0; first < len(slots); first += m.Batch {
					some := slots[first:min(first+m.Batch, len(slots))]
					if err := mover.Move(ctx, way[0], way[1], some...); err != nil {
						t.Fatal(err)
					}
					moved += len(some)
				}
				if way[0] == from {
					Doctor(t, f.gateways[i%2]).Wants(t, Finding.Trace)
				}
			}
		}
	}
	c.after(t, m.Browsers)
	c.stop()
	for _, err := range c.broken {
		t.Error(err)
	}
	if len(c.failures) > 0 {
		t.Errorf("sign-ins failed, by status: %v", c.failures)
	}
	all := Accounts(t, f.gateways[0])
	if lost := c.missing(all); len(lost) > 0 {
		t.Errorf("lost: %+v", lost)
	}
	t.Logf("%d sign-ins, %d accounts, %d slots have moved", len(c.told), len(all), moved)
}
