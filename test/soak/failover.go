package soak

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/test/servers"
)

// Failover kills a master of Redis while people sign in, and looks what became
// of what they had been told.
//
// Redis replicates asynchronously, so a sign-in may be lost that was
// acknowledged in the moment before the master died. Which ones may, is told by
// the replication offsets: the master's is read all the time, and what it had
// when it was no further than the replica at the end is on the replica.
type Failover struct {
	Bin      string
	Store    string // the store section of config.yaml
	Browsers int
	SignIns  int // before the master dies, and again afterwards
	Master   *servers.RedisServer
	Replica  *servers.RedisServer // takes its place
	// Cut is how long before its death the master stops telling the replica
	// anything, as in a network that breaks: what is acknowledged then is lost.
	Cut time.Duration
}

// Run runs it. People see 503 at worst. All that was acknowledged before the
// window of the replication, or after the fail-over, is there; the doctor finds
// no two accounts of one person, mends what the new master was not told, and
// then finds nothing; and everybody comes back and has one account.
func (f Failover) Run(t testing.TB) {
	t.Helper()
	field := Storm{Bin: f.Bin, Replicas: 2, Store: f.Store}.build(t)
	master, replica := f.Master.Client(t), f.Replica.Client(t)
	c := gather(field, "person", f.Browsers)
	stopped := sync.OnceFunc(c.stop)
	t.Cleanup(stopped)
	w := watch(master)
	t.Cleanup(w.stop)
	c.after(t, f.SignIns)
	if f.Cut > 0 {
		cut(t, master)
		<-time.After(f.Cut)
	}
	f.Master.Kill()
	killed := time.Now()
	w.stop()
	safe := w.safe(t, replica)
	servers.WaitFor(t, "the replica to become the master", func(ctx context.Context) bool {
		return strings.Contains(replica.Info(ctx, "replication").Val(), "role:master")
	})
	promoted := time.Now()
	c.after(t, f.SignIns)
	stopped()

	for _, err := range c.broken {
		t.Errorf("somebody is told neither to try again nor what is wrong: %v", err)
	}
	gateway := field.gateways[0]
	// A new process may ask a Sentinel, or a node, that has not heard of it yet.
	servers.WaitFor(t, "a command to find the new master", func(context.Context) bool {
		return gateway.Run(t, "", "user", "list", "--config", gateway.Config).Code == 0
	})
	var all []Account
	command(t, gateway, &all, "user", "list", "--json")
	lost := c.missing(all)
	for _, s := range lost {
		if s.told.Before(safe) || s.began.After(killed) {
			t.Errorf("%s came in through %s at %v, and that is lost: the replica knew all until %v, the master died at %v",
				s.name, s.connection, s.told, safe, killed)
		}
	}
	if f.Cut > 0 && len(lost) == 0 {
		t.Error("nothing is lost although the replica heard nothing for a while: this test sees nothing")
	}
	Doctor(t, gateway).Wants(t, Finding.Lost)
	h := repaired(t, gateway)
	t.Logf("%d sign-ins were acknowledged, %d lost; failures by status: %v; the replica was %v behind and became the master after %v; repaired: %v",
		len(c.told), len(lost), c.failures, killed.Sub(safe).Round(time.Millisecond), promoted.Sub(killed).Round(time.Millisecond), h.Counts)

	field.everybodyReturns(t, c.some(lost, mostReturn))
	Accounts(t, gateway)
}

// mostReturn is how many people come back after a fail-over, besides those whose
// sign-in was lost.
const mostReturn = 12

// cut takes the right to follow the master away from the replica.
func cut(t testing.TB, master *redis.Client) {
	t.Helper()
	ctx := context.Background()
	for _, args := range [][]any{{"acl", "setuser", "default", "-psync", "-sync"}, {"client", "kill", "type", "replica"}} {
		if err := master.Do(ctx, args...).Err(); err != nil {
			t.Fatalf("redis %v: %v", args, err)
		}
	}
}

// watcher reads how far a master is, all the time.
type watcher struct {
	stop func()

	mu      sync.Mutex
	samples []sample
}

// sample is what a master had written when it was asked, or a moment later.
type sample struct {
	asked  time.Time
	offset int64
}

func watch(master *redis.Client) *watcher {
	w := &watcher{}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			asked := time.Now()
			info, err := master.Info(ctx, "replication").Result()
			if offset, ok := field64(info, "master_repl_offset:"); err == nil && ok {
				w.mu.Lock()
				w.samples = append(w.samples, sample{asked, offset})
				w.mu.Unlock()
			}
			<-time.After(2 * time.Millisecond)
		}
	})
	w.stop = func() {
		cancel()
		wg.Wait()
	}
	return w
}

// safe is the last moment of which it is certain that the replica, whose master
// is dead, has all that was acknowledged until then.
func (w *watcher) safe(t testing.TB, replica *redis.Client) (at time.Time) {
	t.Helper()
	var offset int64
	servers.WaitFor(t, "the replica to see that its master is gone", func(ctx context.Context) bool {
		info, err := replica.Info(ctx, "replication").Result()
		if err != nil || strings.Contains(info, "master_link_status:up") {
			return false
		}
		// It goes on counting from there when it has become the master, but
		// nobody writes to it before it is: this is read at once.
		var ok bool
		offset, ok = field64(info, "slave_repl_offset:")
		return ok
	})
	for _, s := range w.samples {
		if s.offset <= offset {
			at = s.asked
		}
	}
	return at
}

// field64 returns a number of INFO.
func field64(info, name string) (int64, bool) {
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
