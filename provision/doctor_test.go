package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/bolt"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/redis"
	"gatehouse/test/servers"
)

// doctor is an examiner whose pauses take no time: it lives a little later
// than everybody else.
func (h *house) doctor(st store.Store) (*Directory, Examination) {
	d, _ := h.replica(st)
	var later time.Duration
	d.Now = func() time.Time { return h.clock.Now().Add(later) }
	return d, Examination{
		Pause: func(_ context.Context, long time.Duration) error {
			later += long
			return nil
		},
		Others: []Records{{
			Kind: "password", PerAccount: true, Cure: "set a password for ID",
			Read: func(_ string, value []byte) error {
				if string(value) != "hash" {
					return errors.New("it is no hash")
				}
				return nil
			},
		}},
	}
}

func (h *house) examine(repair bool) Health {
	h.t.Helper()
	d, how := h.doctor(h.store)
	how.Repair = repair
	health, err := d.Examine(h.t.Context(), how)
	if err != nil {
		h.t.Fatalf("Examine: %v", err)
	}
	return health
}

// healthy judges the store as an administrator would, by the doctor. A deletion
// that died is allowed, for somebody to finish, and the entry that somebody who
// died had just foretold of an account that is gone.
func healthy(t testing.TB, h *house) {
	t.Helper()
	for _, f := range h.examine(false).Findings {
		allowed := f.Code == FindDeletion || f.Code == FindOrphan && strings.HasPrefix(f.Key, historyPrefix)
		if !f.Harmless && !allowed {
			t.Errorf("the doctor finds %s at %s: %s", f.Code, f.Key, f.Detail)
		}
	}
}

// found is a finding as tables write it.
func (f Finding) short() string {
	s := string(f.Code)
	if f.Harmless {
		s += " harmless"
	}
	if f.Repaired {
		s += " repaired"
	}
	return s
}

func short(findings []Finding) []string {
	all := []string{}
	for _, f := range findings {
		all = append(all, f.short())
	}
	slices.Sort(all)
	return all
}

// put writes a record by hand, and drop removes one.
func (h *house) put(key string, value []byte) {
	h.t.Helper()
	err := h.store.Update(h.t.Context(), key, func([]byte) ([]byte, time.Duration, error) { return value, 0, nil })
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) drop(key string) {
	h.t.Helper()
	if err := h.store.Delete(h.t.Context(), key); err != nil {
		h.t.Fatal(err)
	}
}

// edited writes an account by hand, as no protocol would.
func (h *house) edited(id string, change func(a *Account)) {
	h.t.Helper()
	a, err := h.directory.read(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	change(a)
	h.put(accountKey(a.ID), a.encode())
}

// town is a house in which alice, who comes through acme, bob, who has a
// password, and carol live.
type town struct {
	*house
	alice, bob, carol View
}

func newTown(t testing.TB, st store.Store) *town {
	h := newHouse(t, st)
	w := &town{house: h}
	h.resolve(identity("acme", "alice"))
	w.alice = h.show("alice")
	w.bob = h.add(New{Username: "bob", Email: "bob@people.example"})
	h.put("password:"+w.bob.ID, []byte("hash"))
	h.resolve(identity("partner", "carol"))
	w.carol = h.show("carol")
	return w
}

func (w *town) link(v View) name { return w.directory.names().link(v.Links[0]) }

func (w *town) email(v View) name { return w.directory.names().email(v.Email) }

func (w *town) username(v View) name { return w.directory.names().username(v.Username) }

func (w *town) entry(account, owner string, until time.Time) []byte {
	return entry{Account: account, Owner: owner, Until: until}.encode()
}

// everybody comes in as who they were.
func (w *town) everybody(t *testing.T) {
	t.Helper()
	for who, want := range map[string]string{"acme alice": w.alice.ID, "partner carol": w.carol.ID} {
		conn, subject, _ := strings.Cut(who, " ")
		if o := w.resolve(identity(conn, subject)); o.Account != want {
			t.Errorf("%s came in as %+v, want account %s", who, o, want)
		}
	}
	for _, login := range []string{"bob", "bob@people.example"} {
		id, _, active, err := w.directory.ByLogin(t.Context(), login)
		if err != nil || id != w.bob.ID || !active {
			t.Errorf("%s is %q, %v, %v; want %s", login, id, active, err, w.bob.ID)
		}
	}
}

// damage is one thing that is wrong in a store.
type damage struct {
	name string
	do   func(w *town)
	// finds is what is wrong, and after what of it a repair leaves; the same
	// thing again for what only an administrator can put right.
	finds, after []string
	stays        bool // somebody cannot come in until an administrator has chosen
}

func damages() []damage {
	past := func(w *town) time.Time { return w.clock.Now().Add(-time.Hour) }
	both := func(finds ...string) ([]string, []string) {
		after := []string{}
		for _, f := range finds {
			after = append(after, f+" repaired")
		}
		return finds, after
	}
	one := func(name string, do func(w *town), finds ...string) damage {
		f, a := both(finds...)
		return damage{name: name, do: do, finds: f, after: a}
	}
	remains := func(name string, do func(w *town), finds ...string) damage {
		return damage{name: name, do: do, finds: finds, after: finds, stays: true}
	}
	return []damage{
		one("nothing", func(*town) {}),
		one("a link's entry is lost", func(w *town) { w.drop(w.link(w.alice).key) }, "entry-missing"),
		one("an e-mail's entry is lost", func(w *town) { w.drop(w.email(w.bob).key) }, "entry-missing"),
		one("a username's entry is lost", func(w *town) { w.drop(w.username(w.bob).key) }, "entry-missing"),
		one("every entry is lost", func(w *town) {
			for _, v := range []View{w.alice, w.bob, w.carol} {
				for _, n := range w.directory.names().of(&Account{Username: v.Username, Email: Email{Address: v.Email, Verified: true}, Links: v.Links}) {
					w.drop(n.key)
				}
			}
		}, slices.Repeat([]string{"entry-missing"}, 8)...),
		one("an entry of an account leads to nobody", func(w *town) {
			w.put(w.email(w.bob).key, w.entry(newID(), "OWNER", time.Time{}))
		}, "entry-missing", "entry-stale harmless"),
		one("an entry of an account leads to somebody else", func(w *town) {
			w.put(w.email(w.bob).key, w.entry(w.alice.ID, "OWNER", time.Time{}))
		}, "entry-missing", "entry-stale harmless"),
		one("an entry of an account is only reserved", func(w *town) {
			w.put(w.link(w.alice).key, w.entry(w.alice.ID, "OWNER", past(w)))
		}, "entry-missing"),
		one("an entry of an account cannot be read", func(w *town) {
			w.put(w.link(w.alice).key, []byte("\x00"))
		}, "entry-missing", "unreadable"),
		one("an entry of nobody cannot be read", func(w *town) {
			w.put("email:x", []byte("{"))
		}, "unreadable"),
		one("an entry leads to nobody", func(w *town) {
			w.put(w.directory.names().email("gone@people.example").key, w.entry(newID(), "OWNER", time.Time{}))
		}, "entry-stale harmless"),
		one("an entry of a former name", func(w *town) {
			w.put(w.directory.names().email("former@people.example").key, w.entry(w.bob.ID, "OWNER", time.Time{}))
		}, "entry-stale harmless"),
		one("a reservation that ran out", func(w *town) {
			w.put(w.directory.names().email("new@people.example").key, w.entry(newID(), "OWNER", past(w)))
		}, "reservation-expired harmless"),
		one("a reservation that ran out on a tombstone", func(w *town) {
			e := entry{Account: newID(), Owner: "OWNER", Until: past(w), Tomb: &tomb{Until: w.clock.Now().Add(time.Hour)}}
			w.put(w.directory.names().email("new@people.example").key, e.encode())
		}, "reservation-expired harmless"),
		one("a reservation that runs", func(w *town) {
			w.put(w.directory.names().email("new@people.example").key, w.entry(newID(), "OWNER", w.clock.Now().Add(time.Minute)))
		}),
		one("a tombstone", func(w *town) {
			e := entry{Account: newID(), Tomb: &tomb{Until: w.clock.Now().Add(time.Hour)}}
			w.put(w.directory.names().email("gone@people.example").key, e.encode())
		}),
		one("a tombstone that has outlived its time", func(w *town) {
			e := entry{Account: newID(), Tomb: &tomb{Until: past(w)}}
			w.put(w.directory.names().email("gone@people.example").key, e.encode())
		}, "entry-stale harmless"),
		one("an account that was never finished", func(w *town) {
			a := &Account{Version: accountVersion, ID: newID(), Status: Pending, Username: "dora", Change: &Change{Owner: "OWNER", Until: past(w)}}
			w.put(accountKey(a.ID), a.encode())
			w.put(w.directory.names().username("dora").key, w.entry(a.ID, "OWNER", time.Time{}))
		}, "account-unfinished harmless"),
		one("an account that is being made", func(w *town) {
			a := &Account{Version: accountVersion, ID: newID(), Status: Pending, Username: "dora", Change: &Change{Owner: "OWNER", Until: w.clock.Now().Add(time.Minute)}}
			w.put(accountKey(a.ID), a.encode())
			w.put(w.directory.names().username("dora").key, w.entry(a.ID, "OWNER", time.Time{}))
		}),
		one("a change that was never finished", func(w *town) {
			n := w.directory.names().email("new@people.example")
			w.edited(w.bob.ID, func(a *Account) { a.Change = &Change{Owner: "OWNER", Until: past(w), Email: n.value} })
			w.put(n.key, w.entry(w.bob.ID, "OWNER", time.Time{}))
		}, "change-unfinished harmless"),
		one("a lost entry that somebody else was about to get, and died", func(w *town) {
			n := w.email(w.bob)
			w.edited(w.carol.ID, func(a *Account) { a.Change = &Change{Owner: "OWNER", Until: past(w), Email: n.value} })
			w.put(n.key, w.entry(w.carol.ID, "OWNER", time.Time{}))
		}, "change-unfinished harmless", "entry-missing"),
		one("a deletion that died at once", func(w *town) {
			v := w.add(New{Username: "dora", Email: "dora@people.example"})
			w.edited(v.ID, func(a *Account) { a.Status, a.Deleted = Deleting, w.clock.Now() })
		}, "deletion-unfinished"),
		one("a deletion that died late", func(w *town) {
			v := w.add(New{Username: "dora", Email: "dora@people.example"})
			w.edited(v.ID, func(a *Account) { a.Status, a.Deleted = Deleting, w.clock.Now() })
			w.drop(w.email(v).key)
			w.drop(w.username(v).key)
		}, "deletion-unfinished"),
		one("an entry that leads to who is being deleted", func(w *town) {
			v := w.add(New{Username: "dora"})
			w.edited(v.ID, func(a *Account) {
				a.Status, a.Deleted = Deleting, w.clock.Now()
				a.Email = Email{Address: "bob@people.example", Verified: true}
			})
			w.put(w.email(w.bob).key, w.entry(v.ID, "OWNER", time.Time{}))
		}, "deletion-unfinished", "entry-missing"),
		one("records of an account that is gone", func(w *town) {
			id := newID()
			w.put("password:"+id, []byte("hash"))
			w.put(signInPrefix+id, []byte(`{"time":"2026-01-02T03:04:05Z"}`))
			w.put(historyKey(id), []byte(`{"v":1,"entries":[]}`))
		}, "orphan", "orphan", "orphan harmless"),
		one("a last sign-in that cannot be read", func(w *town) {
			w.put(signInPrefix+w.alice.ID, []byte("yesterday"))
		}, "unreadable"),
		one("a history that is lost", func(w *town) {
			if _, err := w.directory.Note(context.Background(), w.bob.ID, auth.EventPasswordSet); err != nil {
				w.t.Fatal(err)
			}
			w.drop(historyKey(w.bob.ID))
		}, "history-broken"),
		one("a history that cannot be read", func(w *town) {
			if _, err := w.directory.Note(context.Background(), w.bob.ID, auth.EventPasswordSet); err != nil {
				w.t.Fatal(err)
			}
			w.put(historyKey(w.bob.ID), []byte("[1"))
		}, "history-broken", "unreadable"),
		remains("a password that cannot be read", func(w *town) {
			w.put("password:"+w.carol.ID, []byte("rot13"))
		}, "unreadable"),
		remains("a history of another version", func(w *town) {
			w.put(historyKey(w.bob.ID), []byte(`{"v":7}`))
		}, "unreadable"),
		remains("an account that cannot be read", func(w *town) {
			w.put(accountKey(newID()), []byte("{"))
		}, "unreadable"),
		remains("an account of another version", func(w *town) {
			id := newID()
			w.put(accountKey(id), []byte(`{"v":7,"id":"`+id+`"}`))
			w.put(w.directory.names().username("dora").key, w.entry(id, "OWNER", time.Time{}))
		}, "unreadable"),
		remains("an account under another's id", func(w *town) {
			a, err := w.directory.read(context.Background(), w.bob.ID)
			if err != nil {
				w.t.Fatal(err)
			}
			w.put(accountKey(newID()), a.encode())
		}, "unreadable"),
		remains("two accounts with one link", func(w *town) {
			w.edited(w.bob.ID, func(a *Account) { a.Links = append(a.Links, w.alice.Links[0]) })
		}, "duplicate-link"),
		remains("two accounts with one e-mail", func(w *town) {
			w.edited(w.carol.ID, func(a *Account) { a.Email.Address = "BOB@people.example" })
			w.drop(w.email(w.carol).key)
		}, "duplicate-email"),
		remains("two accounts with one username", func(w *town) {
			w.edited(w.carol.ID, func(a *Account) { a.Username = "Bob" })
			w.drop(w.username(w.carol).key)
		}, "duplicate-username"),
		// Whoever the entry is given to would be who the other one is.
		remains("two accounts with one link, and no entry", func(w *town) {
			w.edited(w.bob.ID, func(a *Account) { a.Links = append(a.Links, w.alice.Links[0]) })
			w.drop(w.link(w.alice).key)
		}, "duplicate-link"),
		remains("two accounts with one link, and an entry that leads to nobody", func(w *town) {
			w.edited(w.bob.ID, func(a *Account) { a.Links = append(a.Links, w.alice.Links[0]) })
			w.put(w.link(w.alice).key, w.entry(w.carol.ID, "OWNER", past(w)))
		}, "duplicate-link", "reservation-expired harmless"),
		remains("three accounts with one e-mail", func(w *town) {
			for _, v := range []View{w.alice, w.carol} {
				w.edited(v.ID, func(a *Account) { a.Email = Email{Address: "bob@people.example", Verified: true} })
				w.drop(w.email(v).key)
			}
		}, "duplicate-email"),
	}
}

// TestDoctor damages a store by hand and looks what the doctor says, what a
// repair does, that a second one finds nothing to do, and that everybody comes
// in afterwards as who they were.
func TestDoctor(t *testing.T) {
	for name, open := range doctorStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, tt := range damages() {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					w := newTown(t, open(t, i))
					tt.do(w)
					before := dump(t, w.store)
					first := w.examine(false)
					if diff := cmp.Diff(slices.Sorted(slices.Values(tt.finds)), short(first.Findings), cmpEmpty); diff != "" {
						t.Errorf("found (-want +got):\n%s%+v", diff, first.Findings)
					}
					if diff := cmp.Diff(before, dump(t, w.store)); diff != "" {
						t.Errorf("an examination without repair has written:\n%s", diff)
					}
					repaired := w.examine(true)
					if tt.stays {
						left := slices.DeleteFunc(short(repaired.Findings), func(f string) bool { return strings.HasSuffix(f, "repaired") })
						want := slices.DeleteFunc(slices.Clone(tt.finds), func(f string) bool { return strings.Contains(f, "harmless") })
						if diff := cmp.Diff(want, left); diff != "" {
							t.Errorf("left (-want +got):\n%s%+v", diff, repaired.Findings)
						}
						if repaired.OK() {
							t.Error("it says that all is well")
						}
						return
					}
					if diff := cmp.Diff(slices.Sorted(slices.Values(tt.after)), short(repaired.Findings), cmpEmpty); diff != "" {
						t.Errorf("repaired (-want +got):\n%s%+v", diff, repaired.Findings)
					}
					if again := w.examine(true); len(again.Findings) != 0 || !again.OK() {
						t.Errorf("a second repair finds %+v", again.Findings)
					}
					w.everybody(t)
				})
			}
		})
	}
}

var cmpEmpty = cmp.Transformer("empty", func(s []string) string { return strings.Join(s, "\n") })

// doctorStores opens a store for each case.
func doctorStores(t *testing.T) map[string]func(t *testing.T, i int) store.Store {
	t.Helper()
	shared := func(mode string, addresses []string) func(t *testing.T, i int) store.Store {
		return func(t *testing.T, i int) store.Store {
			return openRedis(t, redis.Options{Mode: mode, Addresses: addresses, KeyPrefix: fmt.Sprintf("%d:", i), Timeout: 10 * time.Second})
		}
	}
	return map[string]func(t *testing.T, i int) store.Store{
		"memory": func(*testing.T, int) store.Store { return nil },
		"embedded": func(t *testing.T, _ int) store.Store {
			s, err := bolt.Open(bolt.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
			return closed(t, s, err)
		},
		"redis":         shared(redis.Standalone, []string{servers.Redis(t, servers.RedisOptions{}).Addr}),
		"redis cluster": shared(redis.Cluster, servers.RedisCluster(t)),
	}
}

// What an administrator is told must be enough to act on.
func TestDoctorTellsOfDuplicates(t *testing.T) {
	w := newTown(t, nil)
	w.edited(w.bob.ID, func(a *Account) { a.Links = append(a.Links, w.alice.Links[0]) })
	h := w.examine(true)
	if len(h.Findings) != 1 {
		t.Fatalf("%+v", h.Findings)
	}
	f := h.Findings[0]
	for _, want := range []string{`"alice"`, "acme"} {
		if !strings.Contains(f.Detail, want) {
			t.Errorf("detail %q does not tell %s", f.Detail, want)
		}
	}
	if !strings.Contains(f.Do, "gatehouse user unlink ID --connection acme") {
		t.Errorf("do %q", f.Do)
	}
	found := map[string]bool{}
	for _, b := range f.Accounts {
		found[b.ID] = b.Found
		if b.Username == "" || b.Created.IsZero() {
			t.Errorf("%+v", b)
		}
	}
	if diff := cmp.Diff(map[string]bool{w.alice.ID: true, w.bob.ID: false}, found); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(h)
	if err != nil || !strings.Contains(string(text), `"code":"duplicate-link"`) {
		t.Errorf("%s, %v", text, err)
	}
	// The administrator chooses, and all is well.
	if _, err := w.directory.Unlink(t.Context(), w.bob.ID, "acme", nil); err != nil {
		t.Fatal(err)
	}
	if h := w.examine(false); !h.OK() || len(h.Findings) > 0 {
		t.Errorf("%+v", h.Findings)
	}
	w.everybody(t)
}

// A store that does not answer is no clean bill of health.
func TestDoctorWithoutAStore(t *testing.T) {
	w := newTown(t, nil)
	w.drop(w.link(w.alice).key)
	for _, repair := range []bool{false, true} {
		for step, done := 1, false; !done; step++ {
			m := &mortal{left: step}
			d, how := w.doctor(m.store(w.store))
			how.Repair = repair
			_, err := d.Examine(t.Context(), how)
			if done = m.left > 0; !done && !errors.Is(err, auth.ErrStoreDown) {
				t.Fatalf("dead at %v: %v", m.ops, err)
			}
		}
	}
}

// More is wrong than is told one by one: all of it is counted, and repaired.
func TestDoctorOfManyFindings(t *testing.T) {
	w := newTown(t, &memory.Store{})
	for i := range MostFindings + 5 {
		w.put(fmt.Sprint("email:", i), w.entry("gone", "OWNER", time.Time{}))
	}
	w.drop(w.link(w.alice).key)
	h := w.examine(true)
	if len(h.Findings) != MostFindings || h.Counts[FindStale] != MostFindings+5 || h.Counts[FindMissing] != 1 || h.Repaired != MostFindings+6 {
		t.Errorf("%d findings, %v, %d repaired", len(h.Findings), h.Counts, h.Repaired)
	}
	if h := w.examine(false); !h.OK() || len(h.Findings) > 0 {
		t.Errorf("%+v", h)
	}
}
