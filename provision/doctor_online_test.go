package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

// doctorSpeed is how fast time goes where doctors really wait: a machine that
// is busy with other tests must not seem dead for longer than a lease.
const doctorSpeed = 5

// wall is an examination that waits as the clock of the house runs.
func (h *house) wall(repair bool) Examination {
	_, how := h.doctor(h.store)
	how.Repair = repair
	how.Pause = func(ctx context.Context, long time.Duration) error {
		return pause(ctx, long/doctorSpeed)
	}
	return how
}

// Doctors look at a healthy store while people sign in, change their addresses,
// and come and go: none of it is a finding.
func TestDoctorWhilePeopleSignIn(t *testing.T) {
	const people, doctors, lasts = 8, 3, 2 * time.Second
	for name, open := range doctorStores(t) {
		t.Run(name, func(t *testing.T) {
			st := open(t, 0)
			if st == nil {
				st = &memory.Store{}
			}
			h := newHouse(t, st)
			h.clock.run(doctorSpeed)
			ctx, stop := context.WithCancel(t.Context())
			var signIns, looks sync.WaitGroup
			for p := range people {
				for _, conn := range []string{"acme", "partner"} {
					signIns.Go(func() {
						for n := 0; ctx.Err() == nil; n++ {
							_, r := h.replica(h.store)
							id := identity(conn, fmt.Sprint("p", p), email(fmt.Sprintf("p%d-%d@people.example", p, n/4%3), true))
							if _, err := r.Resolve(context.Background(), id); err != nil {
								t.Errorf("%s at %s: %v", id.Subject, conn, err)
								return
							}
						}
					})
				}
			}
			signIns.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					d, _ := h.replica(h.store)
					who := fmt.Sprint("temp", n%3)
					if _, err := d.Add(context.Background(), New{Username: who, Email: who + "@people.example"}); err != nil {
						t.Errorf("add %s: %v", who, err)
						return
					}
					if err := d.Delete(context.Background(), who); err != nil {
						t.Errorf("delete %s: %v", who, err)
						return
					}
				}
			})
			for i := range doctors {
				looks.Go(func() {
					for began := time.Now(); time.Since(began) < lasts; {
						d, _ := h.replica(h.store)
						health, err := d.Examine(t.Context(), h.wall(i == 0))
						if err != nil {
							t.Errorf("Examine: %v", err)
						}
						for _, f := range health.Findings {
							t.Errorf("%s at %s: %s", f.short(), f.Key, f.Detail)
						}
					}
				})
			}
			looks.Wait()
			stop()
			signIns.Wait()
			if health := h.examine(false); len(health.Findings) > 0 || health.Accounts == 0 {
				t.Errorf("%+v", health)
			}
		})
	}
}

// ill is a town with many kinds of damage at once, all of which a repair puts
// right.
func ill(t *testing.T, st store.Store) *town {
	w := newTown(t, st)
	for _, tt := range damages() {
		switch tt.name {
		case "a link's entry is lost", "an entry of an account leads to somebody else", "a username's entry is lost",
			"an entry leads to nobody", "an entry of a former name", "a reservation that ran out",
			"a change that was never finished", "a deletion that died late", "records of an account that is gone",
			"a last sign-in that cannot be read", "a history that cannot be read":
			tt.do(w)
		}
	}
	return w
}

// Several doctors repair at once, while people sign in.
func TestDoctorsAtOnce(t *testing.T) {
	for name, open := range doctorStores(t) {
		t.Run(name, func(t *testing.T) {
			st := open(t, 0)
			if st == nil {
				st = &memory.Store{}
			}
			w := ill(t, st)
			w.clock.run(doctorSpeed)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					d, _ := w.replica(w.store)
					if _, err := d.Examine(t.Context(), w.wall(true)); err != nil {
						t.Errorf("Examine: %v", err)
					}
				})
				wg.Go(func() {
					_, r := w.replica(w.store)
					o, err := r.Resolve(context.Background(), identity("partner", "carol"))
					if err != nil || o.Account != w.carol.ID {
						t.Errorf("carol came in as %+v, %v", o, err)
					}
				})
			}
			wg.Wait()
			w.clock.run(0)
			w.examine(true)
			if h := w.examine(false); len(h.Findings) > 0 {
				t.Errorf("%+v", h.Findings)
			}
			w.everybody(t)
		})
	}
}

// A doctor dies before or after each of its operations. Another one finishes.
func TestDoctorDies(t *testing.T) {
	for _, tt := range damages() {
		if tt.stays || tt.name == "every entry is lost" { // which is one lost entry many times, and slow
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			for step, done := 1, false; !done; step++ {
				for _, after := range []bool{false, true} {
					w := newTown(t, nil)
					tt.do(w)
					m := &mortal{left: step, after: after}
					d, how := w.doctor(m.store(w.store))
					how.Repair = true
					_, err := d.Examine(t.Context(), how)
					if m.left > 0 {
						done = true
					} else if !errors.Is(err, auth.ErrStoreDown) {
						t.Fatalf("died at %v: %v", m.ops, err)
					}
					w.examine(true)
					if h := w.examine(true); len(h.Findings) > 0 {
						t.Fatalf("died at %v: %+v", m.ops, h.Findings)
					}
					w.everybody(t)
				}
			}
		})
	}
}

// Sign-ins and administrators die at every step. What they leave is harmless,
// or a deletion to be finished; a repair leaves nothing of it; and a live
// sign-in that only seemed dead loses nothing by it.
func TestDoctorAfterDeaths(t *testing.T) {
	stories := []struct {
		name string
		do   func(d *Directory, r *Resolver, w *town) error
	}{
		{"create", func(_ *Directory, r *Resolver, _ *town) error {
			_, err := r.Resolve(context.Background(), identity("acme", "dora"))
			return err
		}},
		{"link", func(_ *Directory, r *Resolver, _ *town) error {
			_, err := r.Resolve(context.Background(), identity("partner", "alice"))
			return err
		}},
		{"another e-mail", func(_ *Directory, r *Resolver, _ *town) error {
			_, err := r.Resolve(context.Background(), identity("acme", "alice", email("new@people.example", true)))
			return err
		}},
		{"add", func(d *Directory, _ *Resolver, _ *town) error {
			_, err := d.Add(context.Background(), New{Username: "dora", Email: "dora@people.example"})
			return err
		}},
		{"unlink", func(d *Directory, _ *Resolver, w *town) error {
			_, err := d.Unlink(context.Background(), w.alice.ID, "acme", nil)
			return err
		}},
		{"delete", func(d *Directory, _ *Resolver, w *town) error {
			return d.Delete(context.Background(), w.alice.ID)
		}},
		{"delete into quarantine", func(d *Directory, _ *Resolver, w *town) error {
			d.Quarantine = 30 * 24 * time.Hour
			return d.Delete(context.Background(), w.alice.ID)
		}},
	}
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			for step, done := 1, false; !done; step++ {
				for _, after := range []bool{false, true} {
					w := newTown(t, nil)
					m := &mortal{left: step, after: after}
					d, r := w.replica(m.store(w.store))
					err := story.do(d, r, w)
					if m.left > 0 {
						if err != nil {
							t.Fatal(err)
						}
						done = true
					}
					healthy(t, w.house)
					w.clock.add(lease + time.Millisecond)
					healthy(t, w.house)
					if h := w.examine(true); !h.OK() || h.Harmless > 0 {
						t.Fatalf("died at %v: %+v", m.ops, h.Findings)
					}
					if h := w.examine(false); len(h.Findings) > 0 {
						t.Fatalf("died at %v: repaired, and yet %+v", m.ops, h.Findings)
					}
					if t.Failed() {
						t.Fatalf("died at %v", m.ops)
					}
					w.resolve(identity("partner", "carol"))
					w.resolve(identity("acme", "alice"))
					audit(t, w.house)
				}
			}
		})
	}
}

// A sign-in sleeps longer than its lease, at every step, and a doctor clears up
// behind it. It must come in all the same, as one account.
func TestDoctorAndSleepers(t *testing.T) {
	for step := 1; step < 16; step++ {
		for who, id := range map[string]auth.Identity{
			"create": identity("acme", "dora"),
			"link":   identity("partner", "alice"),
			"e-mail": identity("acme", "alice", email("new@people.example", true)),
		} {
			t.Run(fmt.Sprint(who, step), func(t *testing.T) {
				w := newTown(t, nil)
				n := 0
				_, sleeper := w.replica(&sleepy{Store: w.store, before: func() {
					if n++; n == step {
						w.clock.add(lease + time.Second)
						if h := w.examine(true); !h.OK() {
							t.Errorf("%+v", h.Findings)
						}
					}
				}})
				o, err := sleeper.Resolve(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if o.Account != w.alice.ID && who != "create" {
					t.Errorf("%+v, want account %s", o, w.alice.ID)
				}
				if h := w.examine(false); len(h.Findings) > 0 {
					t.Errorf("%+v", h.Findings)
				}
				audit(t, w.house)
			})
		}
	}
}

// sleepy is a store whose user does something before each operation.
type sleepy struct {
	store.Store
	before func()
}

func (s *sleepy) Get(ctx context.Context, key string) ([]byte, error) {
	s.before()
	return s.Store.Get(ctx, key)
}

func (s *sleepy) Create(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s.before()
	return s.Store.Create(ctx, key, value, ttl)
}

func (s *sleepy) Update(ctx context.Context, key string, f func([]byte) ([]byte, time.Duration, error)) error {
	s.before()
	return s.Store.Update(ctx, key, f)
}

// A lost entry must not be given back while its name is on the way to somebody
// else: their last write would make a second bearer.
func TestDoctorWaitsForWhoIsAtWork(t *testing.T) {
	w := newTown(t, nil)
	n := w.email(w.bob)
	w.edited(w.carol.ID, func(a *Account) {
		a.Change = &Change{Owner: "OWNER", Until: w.clock.Now().Add(time.Hour), Email: n.value}
	})
	w.put(n.key, w.entry(w.carol.ID, "OWNER", time.Time{}))
	before := dump(t, w.store)
	h := w.examine(true)
	if len(h.Findings) != 1 || h.Findings[0].Code != FindMissing || h.Findings[0].Repaired || h.OK() {
		t.Errorf("%+v", h.Findings)
	}
	for key, value := range dump(t, w.store) {
		if before[key] != value && !strings.HasPrefix(key, "history:") {
			t.Errorf("%s was written: %s", key, value)
		}
	}
}

// Whoever dies on the way to a name in quarantine leaves it there, and so does
// who clears up behind them: else anybody could have the name.
func TestDoctorLeavesQuarantines(t *testing.T) {
	w := newTown(t, nil)
	key := w.directory.names().email("gone@people.example").key
	for name, until := range map[string]time.Time{"reserved": w.clock.Now().Add(-time.Hour), "confirmed": {}} {
		t.Run(name, func(t *testing.T) {
			grave := &tomb{Until: w.clock.Now().Add(time.Hour), Links: []string{}}
			w.put(key, entry{Account: newID(), Owner: "OWNER", Until: until, Tomb: grave}.encode())
			if h := w.examine(true); h.Repaired != 1 {
				t.Errorf("%+v", h.Findings)
			}
			e, err := decodeEntry([]byte(dump(t, w.store)[key]))
			if err != nil || !e.isTombstone() || !e.Tomb.holds(w.clock.Now()) {
				t.Errorf("what is left is %+v, %v", e, err)
			}
		})
	}
}

// What changes under the doctor's eyes is somebody's work, however odd it looks
// each time.
func TestDoctorSeesWork(t *testing.T) {
	w := newTown(t, nil)
	n := w.directory.names().email("new@people.example")
	reserve := func(owner string) { w.put(n.key, w.entry(newID(), owner, w.clock.Now().Add(-time.Hour))) }
	reserve("FIRST")
	d, how := w.doctor(w.store)
	how.Repair = true
	wait := how.Pause
	how.Pause = func(ctx context.Context, long time.Duration) error {
		reserve("SECOND")
		return wait(ctx, long)
	}
	h, err := d.Examine(t.Context(), how)
	if err != nil || len(h.Findings) > 0 {
		t.Errorf("%+v, %v", h.Findings, err)
	}
	if !strings.Contains(dump(t, w.store)[n.key], "SECOND") {
		t.Error("the doctor took away what somebody has just reserved")
	}
}

// Between the judgement and the repair somebody may still be faster: only the
// very bytes that were judged are touched.
func TestDoctorIsOvertaken(t *testing.T) {
	for _, tt := range damages() {
		if tt.stays {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t, nil)
			tt.do(w)
			overtaken := map[string]string{}
			d, how := w.doctor(&storetest.Faulty{Store: w.store, Before: func(op, key string) error {
				kind, _, _ := strings.Cut(key, ":")
				kinds := append([]string{"signin", "password"}, entryKinds[:]...)
				if op == "update" && slices.Contains(kinds, kind) && overtaken[key] == "" {
					value := w.entry(w.carol.ID, "FASTER", w.clock.Now().Add(time.Hour))
					overtaken[key] = string(value)
					w.put(key, value)
				}
				return nil
			}})
			how.Repair = true
			if _, err := d.Examine(t.Context(), how); err != nil {
				t.Fatal(err)
			}
			for key, value := range overtaken {
				if now := dump(t, w.store)[key]; now != value {
					t.Errorf("%s is %s, somebody wrote %s", key, now, value)
				}
			}
		})
	}
}

// Whoever was about to get a name whose entry had been lost must not get it any
// more once the entry is back.
func TestDoctorDisarms(t *testing.T) {
	w := newTown(t, nil)
	n := w.email(w.bob)
	w.edited(w.carol.ID, func(a *Account) {
		a.Change = &Change{Owner: "OWNER", Until: w.clock.Now().Add(time.Second), Email: n.value}
	})
	w.put(n.key, w.entry(w.carol.ID, "OWNER", time.Time{}))
	if h := w.examine(true); short(h.Findings)[0] != "entry-missing repaired" {
		t.Errorf("%+v", h.Findings)
	}
	if a, err := w.directory.read(t.Context(), w.carol.ID); err != nil || a.Change != nil {
		t.Errorf("carol can still finish: %+v, %v", a.Change, err)
	}
	w.everybody(t)
}

// An account gives a name up in the moment in which its lost entry is put back.
func TestDoctorComesTooLate(t *testing.T) {
	w := newTown(t, nil)
	n := w.email(w.bob)
	w.drop(n.key)
	gone := false
	d, how := w.doctor(&storetest.Faulty{Store: w.store, Before: func(op, key string) error {
		if op == "update" && key == n.key && !gone {
			gone = true
			none := ""
			if _, err := w.directory.Set(t.Context(), "bob", Edit{Email: &none}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}})
	how.Repair = true
	if _, err := d.Examine(t.Context(), how); err != nil || !gone {
		t.Fatal(err, gone)
	}
	if value, left := dump(t, w.store)[n.key]; left {
		t.Errorf("an entry of nobody is left: %s", value)
	}
}

// While the doctor reads an entry its account gives the name up, and takes
// another one: nothing is missing.
func TestDoctorReadsTwice(t *testing.T) {
	w := newTown(t, nil)
	n := w.email(w.bob)
	walks := 0
	d, how := w.doctor(&storetest.Faulty{Store: w.store, Before: func(op, key string) error {
		if op == "scan" && key == "email:" {
			// Seen with the accounts, gone when the entries are looked at.
			w.drop(n.key)
		}
		if op == "get" && key == n.key {
			if walks++; walks%2 == 0 {
				none, again := "", "bob@people.example"
				for _, e := range []*string{&none, &again} {
					if _, err := w.directory.Set(t.Context(), "bob", Edit{Email: e}); err != nil {
						t.Error(err)
					}
				}
				w.drop(n.key)
			}
		}
		return nil
	}})
	if h, err := d.Examine(t.Context(), how); err != nil || h.Counts[FindMissing] != 0 {
		t.Errorf("%+v, %v", h.Findings, err)
	}
}
