package provision

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"gatehouse/auth"
	"gatehouse/internal/store/redis"
	"gatehouse/test/servers"
)

// crowd is an installation on a Redis of its own that has many accounts.
type crowd struct {
	*house
	redis *goredis.Client
	n     int
	bytes int // that Redis uses for each
	next  int // person who has never been there
}

// newCrowd fills a Redis with the records of n people who have come in once
// through acme, as a sign-in would have left them.
func newCrowd(t testing.TB, n int) *crowd {
	t.Helper()
	server := servers.Redis(t, servers.RedisOptions{})
	s, err := redis.New(redis.Options{Mode: redis.Standalone, Addresses: []string{server.Addr}, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c := &crowd{house: newHouse(t, s), redis: server.Client(t), n: n, next: n}
	before := c.memory()
	const batch = 2000
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for first := worker * batch; first < n; first += 4 * batch {
				_, err := c.redis.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
					for i := first; i < min(first+batch, n); i++ {
						for key, value := range c.records(i) {
							p.Set(t.Context(), key, value, 0)
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	c.bytes = (c.memory() - before) / max(n, 1)
	return c
}

func (c *crowd) person(i int) auth.Identity { return identity("acme", fmt.Sprintf("person-%07d", i)) }

// records are what the first sign-in of a person writes, by its own encoders.
func (c *crowd) records(i int) map[string][]byte {
	id, now := c.person(i), c.directory.now()
	a := provisioned(c.resolver.connections["acme"], admitted{Identity: id}, now)
	a.ID, a.Status, a.Username = newID(), Active, id.Username
	a.Origin = newDecision()
	a.Decision = a.Origin
	noted, err := json.Marshal(signInRecord{Time: now})
	if err != nil {
		c.t.Fatal(err)
	}
	all := map[string][]byte{accountKey(a.ID): a.encode(), signInPrefix + a.ID: noted}
	for _, n := range c.directory.names().of(a) {
		all[n.key] = entry{Account: a.ID, Owner: rand.Text(), Try: 1}.encode()
	}
	return all
}

// memory is how many bytes of data Redis holds, with its tables.
func (c *crowd) memory() int {
	info, err := c.redis.InfoMap(c.t.Context(), "memory").Result()
	if err != nil {
		c.t.Fatal(err)
	}
	used, err := strconv.Atoi(info["Memory"]["used_memory"])
	if err != nil {
		c.t.Fatal(err)
	}
	return used
}

// newcomer is somebody who has no account.
func (c *crowd) newcomer() auth.Identity {
	c.next++
	return c.person(c.next - 1)
}

// regular is somebody who has one.
func (c *crowd) regular() auth.Identity { return c.person(mathrand.IntN(c.n)) }

// commands counts what Redis executes while f runs, by command.
func (c *crowd) commands(f func()) string {
	calls := func() map[string]int {
		info, err := c.redis.InfoMap(c.t.Context(), "commandstats").Result()
		if err != nil {
			c.t.Fatal(err)
		}
		all := map[string]int{}
		for name, stat := range info["Commandstats"] {
			count, _, _ := strings.Cut(strings.TrimPrefix(stat, "calls="), ",")
			all[strings.TrimPrefix(name, "cmdstat_")], _ = strconv.Atoi(count)
		}
		return all
	}
	before := calls()
	f()
	after := calls()
	var list []string
	// A compare-and-swap is one round trip, whose script reads and writes.
	for _, name := range []string{"get", "set", "evalsha", "eval", "getdel", "del", "scan", "publish"} {
		if n := after[name] - before[name]; n > 0 {
			list = append(list, fmt.Sprintf("%s %d", name, n))
		}
	}
	return strings.Join(list, ", ")
}

// TestCommandsOfASignIn: what a sign-in asks of Redis is the same for one
// account and for thousands. It runs no command that looks at more than one
// key.
func TestCommandsOfASignIn(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := newCrowd(t, n)
			c.resolve(c.newcomer()) // Redis knows the scripts from now on
			for _, step := range []struct {
				name    string
				id      auth.Identity
				verdict auth.Verdict
				want    string
			}{
				// 2 reads, 5 creations and 4 updates: 15 round trips, since an update is a
				// read and a script, which counts as a read and a write once more.
				{"first", c.newcomer(), auth.Created, "get 10, set 9, evalsha 4"},
				{"again", c.regular(), auth.Unchanged, "get 3"},
				{"with another group", identity("acme", c.regular().Subject, groups("other")), auth.Updated, "get 6, set 2, evalsha 1"},
			} {
				var o auth.Outcome
				got := c.commands(func() { o = c.resolve(step.id) })
				if o.Verdict != step.verdict || got != step.want {
					t.Errorf("%s: %s, Redis executes: %s; want %s, %s", step.name, o.Verdict, got, step.verdict, step.want)
				}
			}
			// What a benchmark is built on is what sign-ins leave behind.
			h, err := c.directory.Examine(t.Context(), Examination{Pause: func(context.Context, time.Duration) error { return nil }})
			if err != nil || len(h.Findings) > 0 || h.Accounts != n+2 {
				t.Errorf("the doctor finds %+v, %v", h, err)
			}
			if n > 1000 && c.bytes > 2500 {
				t.Errorf("%d bytes of Redis for each account", c.bytes)
			}
		})
	}
}

// BenchmarkSignIn is a first and a repeated sign-in among a thousand, a hundred
// thousand and a million accounts in Redis, for which it needs 2 GB of memory. A
// size is made when it is first asked for: one alone costs only itself.
//
//	go test -run '^$' -bench SignIn ./provision
//	go test -run '^$' -bench 'SignIn/.*/accounts=1000$' ./provision
func BenchmarkSignIn(b *testing.B) {
	sizes := []int{1_000, 100_000, 1_000_000}
	made := map[int]*crowd{}
	of := func(n int) *crowd {
		if made[n] == nil {
			made[n] = newCrowd(b, n)
		}
		return made[n]
	}
	kinds := []struct {
		name   string
		people func(*crowd) auth.Identity
	}{{"first", (*crowd).newcomer}, {"again", (*crowd).regular}}
	for _, kind := range kinds {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/accounts=%d", kind.name, n), func(b *testing.B) {
				c := of(n)
				for b.Loop() {
					c.resolve(kind.people(c))
				}
				b.ReportMetric(float64(c.bytes), "bytes/account")
			})
		}
	}
	// How flat that is shows only when the sizes take turns: the machine has
	// moods. The best of many short turns is compared.
	for _, kind := range kinds {
		b.Run(kind.name+"/flat", func(b *testing.B) {
			best := make([]time.Duration, len(sizes))
			var crowds []*crowd
			for _, n := range sizes {
				crowds = append(crowds, of(n))
			}
			for b.Loop() {
				for i, c := range crowds {
					const turn = 100
					began := time.Now()
					for range turn {
						c.resolve(kind.people(c))
					}
					if took := time.Since(began) / turn; best[i] == 0 || took < best[i] {
						best[i] = took
					}
				}
			}
			for i, c := range crowds {
				b.ReportMetric(float64(best[i].Microseconds()), fmt.Sprintf("µs/%d", c.n))
			}
			b.ReportMetric(float64(best[2])/float64(best[0]), "ratio")
		})
	}
}
