package test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.etcd.io/bbolt"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// diagnosis is what gatehouse doctor --json says.
type diagnosis struct {
	OK       bool           `json:"ok"`
	Accounts int            `json:"accounts"`
	Entries  int            `json:"entries"`
	Counts   map[string]int `json:"counts"`
	Repaired int            `json:"repaired"`
	Remain   int            `json:"remain"`
	Findings []struct {
		Code     string `json:"code"`
		Key      string `json:"key"`
		Account  string `json:"account"`
		Detail   string `json:"detail"`
		Repaired bool   `json:"repaired"`
	} `json:"findings"`
}

// doctor runs gatehouse doctor, which must end with that exit code.
func doctor(t testing.TB, g *servers.Gateway, code int, args ...string) diagnosis {
	t.Helper()
	r := g.Run(t, "", append([]string{"doctor", "--json", "--config", g.Config}, args...)...)
	if r.Code != code {
		t.Fatalf("doctor %v ended with %d, want %d:\n%s%s", args, r.Code, code, r.Stdout, r.Stderr)
	}
	var d diagnosis
	decode(t, r.Stdout, &d)
	return d
}

// vault is a store from below, as a restored backup or an eviction leaves it.
type vault interface {
	keys(prefix string) []string
	remove(key string)
	write(key, value string)
}

type redisVault struct {
	t      *testing.T
	all    []*redis.Client // every master
	client redis.UniversalClient
}

func (v redisVault) keys(prefix string) (found []string) {
	for _, master := range v.all {
		keys, err := master.Keys(context.Background(), "gatehouse:"+prefix+"*").Result()
		if err != nil {
			v.t.Fatal(err)
		}
		for _, key := range keys {
			found = append(found, strings.TrimPrefix(key, "gatehouse:"))
		}
	}
	slices.Sort(found)
	return found
}

func (v redisVault) remove(key string) {
	if err := v.client.Del(context.Background(), "gatehouse:"+key).Err(); err != nil {
		v.t.Fatal(err)
	}
}

func (v redisVault) write(key, value string) {
	if err := v.client.Set(context.Background(), "gatehouse:"+key, value, 0).Err(); err != nil {
		v.t.Fatal(err)
	}
}

// boltVault opens the file of a gateway that does not run: eight bytes of
// expiry, then the value.
type boltVault struct {
	t *testing.T
	g *servers.Gateway
}

func (v boltVault) use(f func(b *bbolt.Bucket) error) {
	v.g.Stop()
	db, err := bbolt.Open(filepath.Join(v.g.Dir, "data", "gatehouse.db"), 0o600, &bbolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		v.t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return f(tx.Bucket([]byte("records"))) }); err != nil {
		v.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		v.t.Fatal(err)
	}
	v.g.Start(v.t)
}

func (v boltVault) keys(prefix string) (found []string) {
	v.use(func(b *bbolt.Bucket) error {
		return b.ForEach(func(key, _ []byte) error {
			if strings.HasPrefix(string(key), prefix) {
				found = append(found, string(key))
			}
			return nil
		})
	})
	return found
}

func (v boltVault) remove(key string) {
	v.use(func(b *bbolt.Bucket) error { return b.Delete([]byte(key)) })
}

func (v boltVault) write(key, value string) {
	v.use(func(b *bbolt.Bucket) error { return b.Put([]byte(key), append(make([]byte, 8), value...)) })
}

// TestDoctorOnEveryStore: an index is damaged behind the back of a gateway that
// runs. The doctor finds that, repairs it, and people come in as who they were.
func TestDoctorOnEveryStore(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) (config string, v func(*servers.Gateway) vault){
		"embedded": func(t *testing.T) (string, func(*servers.Gateway) vault) {
			return "", func(g *servers.Gateway) vault { return boltVault{t, g} }
		},
		"redis": func(t *testing.T) (string, func(*servers.Gateway) vault) {
			s := servers.Redis(t, servers.RedisOptions{})
			c := s.Client(t)
			return redisStore(s, "gatehouse:"), func(*servers.Gateway) vault { return redisVault{t, []*redis.Client{c}, c} }
		},
		"sentinel": func(t *testing.T) (string, func(*servers.Gateway) vault) {
			group := servers.RedisSentinel(t, "correct horse", false)
			c := group.Master.Client(t)
			config := fmt.Sprintf("store: {redis: {mode: sentinel, addresses: %s, master_name: %s, password_file: %q}}",
				yamlList(group.Addrs), group.MasterName, secretFile(t, group.Password))
			return config, func(*servers.Gateway) vault { return redisVault{t, []*redis.Client{c}, c} }
		},
		"cluster": func(t *testing.T) (string, func(*servers.Gateway) vault) {
			addrs := servers.RedisCluster(t)
			whole := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
			t.Cleanup(func() { _ = whole.Close() })
			var masters []*redis.Client
			for _, addr := range addrs {
				c := redis.NewClient(&redis.Options{Addr: addr})
				t.Cleanup(func() { _ = c.Close() })
				masters = append(masters, c)
			}
			return clusterStore(addrs), func(*servers.Gateway) vault { return redisVault{t, masters, whole} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, idp := servers.StartApp(t), badidp.Start(t)
			config, open := open(t)
			g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}, config))
			for _, who := range []string{"pat", "kim", "lee"} {
				idp.SetPersona(who, person(who, nil), nil)
				comes(t, g, who, "acme")
			}
			before := map[string]string{}
			for _, a := range accounts(t, g) {
				before[a.Username] = a.ID
			}
			if d := doctor(t, g, 0); d.Accounts != 3 || d.Entries != 9 || len(d.Findings) > 0 {
				t.Errorf("of a healthy store: %+v", d)
			}

			v := open(g)
			links, emails := v.keys("link:"), v.keys("email:")
			v.remove(links[0])
			v.remove(emails[0])
			v.write(emails[1], "no JSON")
			v.write("password:nobody", "{}")
			v.write("link:"+strings.Repeat("0", 64), `{"account":"nobody","owner":"X"}`)
			d := doctor(t, g, 1)
			want := map[string]int{"entry-missing": 3, "unreadable": 1, "orphan": 1, "entry-stale": 1}
			if diff := cmp.Diff(want, d.Counts); diff != "" || d.OK || d.Remain != 5 {
				t.Errorf("%+v (-want +got):\n%s", d, diff)
			}
			if r := g.Run(t, "", "doctor", "--repair", "--config", g.Config); r.Code != 0 ||
				!strings.Contains(r.Stdout, "entry-missing (repaired)") || !strings.Contains(r.Stderr, "healthy: 6 repaired") {
				t.Errorf("the repair ended with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			if d := doctor(t, g, 0); len(d.Findings) > 0 {
				t.Errorf("after the repair: %+v", d)
			}
			for who, id := range before {
				comes(t, g, who, "acme")
				if a := showAccount(t, g, who+"@corp.example"); a.ID != id || len(a.Links) != 1 {
					t.Errorf("%s is %+v, was %s", who, a, id)
				}
			}
			if n := len(accounts(t, g)); n != 3 {
				t.Errorf("%d accounts", n)
			}
			g.Stop()
			if d := doctor(t, g, 0, "--repair"); d.Accounts != 3 || len(d.Findings) > 0 {
				t.Errorf("without a server: %+v", d)
			}
		})
	}
}

// TestDoctorDuringSignIns: doctors look, one of them repairing, while people
// come for the first time and again, through two replicas.
func TestDoctorDuringSignIns(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	s := servers.Redis(t, servers.RedisOptions{})
	text := configText(app.URL, []string{connectionText("acme", idp.URL()), connectionText("partner", idp.URL())}, redisStore(s, "gatehouse:"))
	a, b := servers.StartGateway(t, binary, text), servers.StartGateway(t, binary, text)
	const people = 12
	for i := range people {
		who := fmt.Sprint("p", i)
		idp.SetPersona(who, person(who, nil), nil)
	}
	ctx, stop := context.WithCancel(t.Context())
	var signIns, looks sync.WaitGroup
	for w, g := range []*servers.Gateway{a, b} {
		signIns.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				comes(t, g, fmt.Sprint("p", n%people), []string{"acme", "partner"}[(n/people+w)%2])
			}
		})
	}
	for _, args := range [][]string{nil, {"--repair"}} {
		looks.Go(func() {
			for range 8 {
				r := a.Run(t, "", append([]string{"doctor", "--json", "--config", a.Config}, args...)...)
				if r.Code != 0 || !strings.Contains(r.Stdout, `"findings":[]`) {
					t.Errorf("doctor %v ended with %d:\n%s%s", args, r.Code, r.Stdout, r.Stderr)
				}
			}
		})
	}
	looks.Wait()
	stop()
	signIns.Wait()
	if d := doctor(t, a, 0); d.Accounts == 0 || len(d.Findings) > 0 {
		t.Errorf("%+v", d)
	}
}
