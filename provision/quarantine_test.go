package provision

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/bolt"
	"gatehouse/internal/store/redis"
	"gatehouse/test/servers"
)

const month = 30 * 24 * time.Hour

// buried is an installation where alice, who came through acme and partner, was
// deleted under a quarantine of a month. It returns her former id.
func buried(t *testing.T) (h *house, former string) {
	t.Helper()
	h = newHouse(t, nil)
	h.conf.JITProvisioning.Quarantine = month
	h.open()
	former = h.resolve(identity("acme", "alice")).Account
	if o := h.resolve(identity("partner", "alice-2", email("alice@people.example", true))); o.Account != former {
		t.Fatalf("not linked: %+v", o)
	}
	if err := h.directory.Delete(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	return h, former
}

// Who takes over a mailbox, or a name, of somebody who has left is not taken
// for them. The attack: an address that is given to a new employee, who then
// comes into what the applications keep under it.
func TestQuarantine(t *testing.T) {
	mail := email("alice@people.example", true)
	tests := []struct {
		name  string
		who   auth.Identity
		after time.Duration
		want  auth.Reason // "": comes in
		user  string      // then: as this user; "": under a fallback name
		email string
	}{
		{"another subject", identity("acme", "eve", mail), 0, auth.DeniedQuarantine, "", ""},
		{"the same address in other letters", identity("acme", "eve", email("ALICE@People.Example", true)), 0, auth.DeniedQuarantine, "", ""},
		{"another subject at the last moment", identity("acme", "eve", mail), month - time.Millisecond, auth.DeniedQuarantine, "", ""},
		{"the subject of another connection", identity("partner", "alice", mail), 0, auth.DeniedQuarantine, "", ""},
		{"the subject of the other connection at this one", identity("acme", "alice-2", mail), 0, auth.DeniedQuarantine, "", ""},
		{"the username alone", identity("acme", "eve", username("alice")), 0, "", "", "eve@people.example"},
		{"the username in other letters", identity("acme", "eve", username("ALICE")), 0, "", "", "eve@people.example"},
		{"the address unverified", identity("acme", "eve", email("alice@people.example", false), username("alice")), 0, "", "", "alice@people.example"},
		{"somebody else", identity("acme", "eve"), 0, "", "eve", "eve@people.example"},
		{"the same subject", identity("acme", "alice"), 0, "", "alice", "alice@people.example"},
		{"the same subject with another address", identity("acme", "alice", email("a@people.example", true)), 0, "", "alice", "a@people.example"},
		{"the subject of the second link", identity("partner", "alice-2", mail, username("alice")), 0, "", "alice", "alice@people.example"},
		{"another subject when it is over", identity("acme", "eve", mail, username("alice")), month, "", "alice", "alice@people.example"},
	}
	for _, tt := range tests {
		for _, link := range []string{config.LinkAuto, config.LinkAlways} {
			t.Run(tt.name+"/"+link, func(t *testing.T) {
				h, former := buried(t)
				h.conn("acme").JIT.LinkExisting, h.conn("partner").JIT.LinkExisting = link, link
				h.open()
				h.clock.add(tt.after)
				if tt.want != "" {
					before := fmt.Sprint(dump(t, h.store))
					if got := h.refused(tt.who); got != tt.want {
						t.Errorf("refused as %q, want %q", got, tt.want)
					}
					if after := fmt.Sprint(dump(t, h.store)); after != before {
						t.Errorf("the refusal changed the store:\n%s\n%s", before, after)
					}
					return
				}
				o := h.resolve(tt.who)
				v := h.show(o.Account)
				if o.Verdict != auth.Created || o.Account == former || v.Email != tt.email {
					t.Errorf("%+v: %+v", o, v)
				}
				if tt.user == "" && !strings.HasPrefix(v.Username, tt.who.Connection+"-") || tt.user != "" && v.Username != tt.user {
					t.Errorf("the username is %q, want %q", v.Username, tt.user)
				}
				audit(t, h)
			})
		}
	}
}

// The same identities may come and go as often as they like.
func TestQuarantineOfWhoComesBack(t *testing.T) {
	h, former := buried(t)
	seen := map[string]bool{former: true}
	for range 3 {
		o := h.resolve(identity("acme", "alice"))
		if v := h.show(o.Account); seen[o.Account] || v.Username != "alice" || v.Email != "alice@people.example" || len(v.Links) != 1 {
			t.Fatalf("%+v, seen %v", v, seen)
		}
		seen[o.Account] = true
		if err := h.directory.Delete(t.Context(), o.Account); err != nil {
			t.Fatal(err)
		}
		if got := h.refused(identity("acme", "eve", email("alice@people.example", true))); got != auth.DeniedQuarantine {
			t.Errorf("another subject is refused as %q", got)
		}
	}
}

// An account that is there keeps its address where the new one is barred.
func TestQuarantineOfAChangedEmail(t *testing.T) {
	h, _ := buried(t)
	eve := h.resolve(identity("acme", "eve")).Account
	h.resolve(identity("acme", "eve", email("alice@people.example", true)))
	if v := h.show(eve); v.Email != "eve@people.example" {
		t.Errorf("e-mail %q", v.Email)
	}
	h.resolve(identity("acme", "alice", email("new@people.example", true)))
	h.resolve(identity("acme", "alice"))
	if v := h.show("alice"); v.Email != "alice@people.example" {
		t.Errorf("who it was may have it again: %q", v.Email)
	}
	audit(t, h)
}

// An administrator knows whose a name is, and ends the quarantine by giving
// it. What is refused gives nothing.
func TestQuarantineAndAdministrators(t *testing.T) {
	eve := identity("acme", "eve", email("alice@people.example", true))
	t.Run("add", func(t *testing.T) {
		h, former := buried(t)
		h.add(New{Username: "bob"})
		if _, err := h.directory.Add(t.Context(), New{Username: "bob", Email: "alice@people.example"}); !isRefused(err) {
			t.Fatalf("%v", err)
		}
		if got := h.refused(eve); got != auth.DeniedQuarantine {
			t.Errorf("after an account that was not added: %q", got)
		}
		if v := h.add(New{Username: "alice", Email: "alice@people.example"}); v.ID == former {
			t.Error("the id is the former one")
		}
		audit(t, h)
		if err := h.directory.Delete(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		// She had no link this time: nobody is known to be her.
		if got := h.refused(identity("acme", "alice")); got != auth.DeniedQuarantine {
			t.Errorf("%q", got)
		}
	})
	t.Run("set", func(t *testing.T) {
		h, _ := buried(t)
		h.add(New{Username: "bob"})
		address := "alice@people.example"
		if _, err := h.directory.Set(t.Context(), "bob", Edit{Email: &address}); err != nil {
			t.Fatal(err)
		}
		if o := h.resolve(eve); o.Account != h.show("bob").ID {
			t.Errorf("%+v", o)
		}
		audit(t, h)
		// Once he gives it back, it is as free as any other.
		none := ""
		if _, err := h.directory.Unlink(t.Context(), "bob", "acme", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := h.directory.Set(t.Context(), "bob", Edit{Email: &none}); err != nil {
			t.Fatal(err)
		}
		if o := h.resolve(eve); o.Verdict != auth.Created || h.show(o.Account).Email != "alice@people.example" {
			t.Errorf("%+v", o)
		}
		audit(t, h)
	})
}

// noPause: nobody else is at work.
func noPause(context.Context, time.Duration) error { return nil }

func isRefused(err error) bool {
	refused, ok := errors.AsType[*RefusedError](err)
	return ok && refused.Problem != ""
}

// A deletion that dies at any step can be finished by the name that was typed,
// and bars others as one that did not.
func TestQuarantineDyingAtEveryStep(t *testing.T) {
	for step, done := 1, false; !done; step++ {
		for _, after := range []bool{false, true} {
			h := newHouse(t, nil)
			h.conf.JITProvisioning.Quarantine = month
			h.open()
			o := h.resolve(identity("acme", "alice"))
			m := &mortal{left: step, after: after}
			d, _ := h.replica(m.store(h.store))
			err := d.Delete(t.Context(), "alice")
			if m.left > 0 {
				done = true
				continue
			}
			if err == nil {
				t.Fatalf("died at %v, and said nothing", m.ops)
			}
			h.clock.add(time.Hour)
			eve := identity("acme", "eve", email("alice@people.example", true))
			eve.Username = "alice"
			begun := h.begun(o.Account)
			if begun {
				if _, err := h.resolver.Resolve(t.Context(), eve); !errors.Is(err, auth.ErrForbidden) {
					t.Fatalf("died at %v: %v", m.ops, err)
				}
			}
			if err := h.directory.Delete(t.Context(), "alice"); err != nil && !errors.Is(err, auth.ErrNotFound) {
				t.Fatalf("died at %v: delete again: %v", m.ops, err)
			}
			if got := h.refused(eve); got != auth.DeniedQuarantine {
				t.Fatalf("died at %v: refused as %q", m.ops, got)
			}
			for key, value := range dump(t, h.store) {
				if e, err := decodeEntry([]byte(value)); err != nil || !e.isTombstone() {
					t.Fatalf("died at %v: %s is left: %s", m.ops, key, value)
				}
			}
			if health, err := h.directory.Examine(t.Context(), Examination{Pause: noPause}); err != nil || len(health.Findings) > 0 {
				t.Fatalf("died at %v: the doctor finds %+v (%v)", m.ops, health.Findings, err)
			}
			// It counts from when the deletion began, and goes by itself.
			h.clock.add(month - time.Hour)
			if !begun {
				h.clock.add(time.Hour)
			}
			if left := dump(t, h.store); len(left) > 0 {
				t.Fatalf("died at %v: left for ever: %v", m.ops, left)
			}
		}
	}
}

// begun reports whether the deletion of an account has reached its record.
func (h *house) begun(id string) bool {
	a, err := h.directory.read(h.t.Context(), id)
	return err != nil || a.Status == Deleting
}

// Who may have the names again, and dies on the way, gives them to nobody else.
func TestQuarantineOutlivesAReservation(t *testing.T) {
	eve := identity("acme", "eve", email("alice@people.example", true))
	for step, done := 1, false; !done; step++ {
		for _, after := range []bool{false, true} {
			h, _ := buried(t)
			m := &mortal{left: step, after: after}
			_, r := h.replica(m.store(h.store))
			_, err := r.Resolve(t.Context(), identity("acme", "alice"))
			if m.left > 0 {
				done = true
				continue
			}
			if err == nil {
				t.Fatalf("died at %v, and said nothing", m.ops)
			}
			for _, wait := range []time.Duration{lease, remains, 0} {
				h.clock.add(wait + time.Millisecond)
				got := auth.Reason("")
				if _, err := h.resolver.Resolve(t.Context(), eve); err != nil {
					denied, _ := errors.AsType[*auth.Denied](err)
					got = denied.Reason
				}
				live := audit(t, h)
				if len(live) > 0 && live[0].linked("acme", issuerOf("acme"), "alice") {
					break // the last write was made: she is there, and links by e-mail as always
				}
				if got != auth.DeniedQuarantine {
					t.Fatalf("died at %v: refused as %q", m.ops, got)
				}
				if wait == remains { // and whatever a repair puts right
					if _, err := h.directory.Examine(t.Context(), Examination{Repair: true, Pause: noPause}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if v := h.show(h.resolve(identity("acme", "alice")).Account); v.Username != "alice" || v.Email != "alice@people.example" {
				t.Fatalf("died at %v: she is %+v", m.ops, v)
			}
			audit(t, h)
		}
	}
}

// Who takes one name over from somebody that died on the way gives the other
// names of theirs to nobody.
func TestQuarantineOutlivesATakeover(t *testing.T) {
	for step, done := 1, false; !done; step++ {
		h, _ := buried(t)
		m := &mortal{left: step, after: true}
		_, r := h.replica(m.store(h.store))
		_, err := r.Resolve(t.Context(), identity("acme", "alice"))
		if done = m.left > 0; done {
			break
		}
		if err == nil {
			t.Fatalf("died at %v, and said nothing", m.ops)
		}
		h.clock.add(lease + time.Millisecond)
		if _, err := h.directory.Add(t.Context(), New{Username: "alice"}); err != nil && !isRefused(err) {
			t.Fatal(err)
		}
		if slices.ContainsFunc(audit(t, h), func(a *Account) bool { return len(a.Links) > 0 }) {
			continue // her last write was made
		}
		if got := h.refused(identity("acme", "eve", email("alice@people.example", true))); got != auth.DeniedQuarantine {
			t.Fatalf("died at %v: refused as %q", m.ops, got)
		}
	}
}

// On a store of an installation a tombstone bars, lets its own in, and goes by
// itself.
func TestQuarantineOnRealStores(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) store.Store{
		"embedded": func(t *testing.T) store.Store {
			s, err := bolt.Open(bolt.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
			return closed(t, s, err)
		},
		"redis": func(t *testing.T) store.Store {
			return openRedis(t, redis.Options{Mode: redis.Standalone, Addresses: []string{servers.Redis(t, servers.RedisOptions{}).Addr}, Timeout: 10 * time.Second})
		},
		"redis cluster": func(t *testing.T) store.Store {
			return openRedis(t, redis.Options{Mode: redis.Cluster, Addresses: servers.RedisCluster(t), Timeout: 10 * time.Second})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, open(t))
			h.conf.JITProvisioning.Quarantine = time.Hour
			h.open()
			h.resolve(identity("acme", "alice"))
			h.resolve(identity("acme", "bob"))
			for _, who := range []string{"alice", "bob"} {
				if err := h.directory.Delete(t.Context(), who); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if got := h.refused(identity("acme", "eve", email("alice@people.example", true))); got != auth.DeniedQuarantine {
					t.Errorf("refused as %q", got)
				}
			}
			storm(t, 20, func(int) (auth.Identity, *Resolver) { return identity("acme", "alice"), h.resolver })
			if v := h.show("alice"); v.Email != "alice@people.example" {
				t.Errorf("%+v", v)
			}
			audit(t, h)
			// Of what lasts a moment nothing is left.
			h.conf.JITProvisioning.Quarantine = 20 * time.Millisecond
			h.open()
			if err := h.directory.Delete(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			servers.WaitFor(t, "the tombstones of alice to go", func(ctx context.Context) bool {
				return len(dump(t, h.store)) == 2 // those of bob
			})
		})
	}
}
