package provision

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

func TestLinkOwn(t *testing.T) {
	h := newHouse(t, nil)
	own := h.add(New{Username: "al", Email: "al@home.example", Groups: []string{"keepers"}})
	h.creds.passwords[own.ID] = true
	o, err := h.resolver.LinkOwn(t.Context(), identity("acme", "alice"), own.ID)
	if err != nil || o.Verdict != auth.Linked || o.Account != own.ID || o.Decision == "" {
		t.Fatalf("%+v, %v", o, err)
	}
	if o, err = h.resolver.LinkOwn(t.Context(), identity("acme", "alice"), own.ID); err != nil || o.Verdict != auth.Unchanged {
		t.Fatalf("once more: %+v, %v", o, err)
	}
	if o, err = h.resolver.LinkOwn(t.Context(), identity("acme", "alice", groups("board")), own.ID); err != nil || o.Verdict != auth.Updated {
		t.Fatalf("with other groups: %+v, %v", o, err)
	}
	v := h.show(own.ID)
	if diff := cmp.Diff([]string{"keepers", "board"}, v.Groups); diff != "" {
		t.Error(diff)
	}
	if v.Email != "al@home.example" || len(v.Links) != 1 {
		t.Errorf("e-mail %s, links %+v", v.Email, v.Links)
	}
	if o := h.resolve(identity("acme", "alice")); o.Account != own.ID {
		t.Errorf("the identity signs in as %s", o.Account)
	}
	history, err := h.directory.History(t.Context(), own.ID)
	if err != nil || history.Entries[1].Event != EventLinked || history.Entries[1].Actor.Kind != ActorPerson {
		t.Errorf("history %+v, %v", history, err)
	}
	audit(t, h)
}

// A person links what is theirs and nobody's yet, where the connection admits
// it; after a refusal the store is what it was.
func TestLinkOwnIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		id      auth.Identity
		prepare func(h *house, own string)
		want    auth.Reason
	}{
		// The attack: somebody who got hold of a colleague's identity for a
		// moment takes it, and all later sign-ins, into an account of their own.
		{"another account's", identity("acme", "bob"), func(h *house, _ string) { h.resolve(identity("acme", "bob")) }, auth.DeniedTaken},
		{"disabled account", identity("acme", "alice"), func(h *house, own string) {
			if _, err := h.directory.Disable(h.t.Context(), own); err != nil {
				h.t.Fatal(err)
			}
		}, auth.DeniedDisabled},
		{"account that is gone", identity("acme", "alice"), func(h *house, own string) {
			if err := h.directory.Delete(h.t.Context(), own); err != nil {
				h.t.Fatal(err)
			}
		}, auth.DeniedNoAccount},
		{"JIT off", identity("guest", "alice"), func(*house, string) {}, auth.DeniedLink},
		{"link_existing: deny", identity("acme", "alice"), func(h *house, _ string) {
			h.conn("acme").JIT.LinkExisting = config.LinkDeny
		}, auth.DeniedLink},
		{"not admitted", identity("acme", "alice"), func(h *house, _ string) {
			h.conn("acme").Require.Groups = []string{"board"}
		}, auth.DeniedRequirement},
		{"unknown connection", identity("nowhere", "alice"), func(*house, string) {}, auth.DeniedConnection},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, nil)
			own := h.add(New{Username: "al"})
			c.prepare(h, own.ID)
			h.open()
			before := dump(t, h.store)
			o, err := h.resolver.LinkOwn(t.Context(), c.id, own.ID)
			if denied, ok := errors.AsType[*auth.Denied](err); !ok || denied.Reason != c.want || denied.Decision == "" {
				t.Errorf("%+v, %v; want %s", o, err, c.want)
			}
			if diff := cmp.Diff(before, dump(t, h.store)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// One identity that twenty people link to their accounts at once, and sign in
// with at the same time, is one account's.
func TestLinkOwnRaces(t *testing.T) {
	h := newHouse(t, yielding(memory.New()))
	var accounts []string
	for _, name := range []string{"a", "b", "c", "d"} {
		accounts = append(accounts, h.add(New{Username: name}).ID)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, r := h.replica(h.store)
			var err error
			if i%5 == 4 {
				_, err = r.Resolve(t.Context(), identity("acme", "alice"))
			} else {
				_, err = r.LinkOwn(t.Context(), identity("acme", "alice"), accounts[i%4])
			}
			if denied, ok := errors.AsType[*auth.Denied](err); err != nil && (!ok || denied.Reason != auth.DeniedTaken) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	owners := 0
	for _, a := range audit(t, h) {
		if a.linked("acme", issuerOf("acme"), "alice") {
			owners++
		}
	}
	if owners != 1 {
		t.Errorf("the identity is linked to %d accounts", owners)
	}
}

// yielding lets others run before each operation.
func yielding(st store.Store) store.Store {
	return &storetest.Faulty{Store: st, Before: func(string, string) error {
		runtime.Gosched()
		return nil
	}}
}

func linked(connection, subject string) auth.LinkedIdentity {
	return auth.LinkedIdentity{Connection: connection, Issuer: issuerOf(connection), Subject: subject}
}

func TestUnlinkOwn(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(h *house, account string)
		link    auth.LinkedIdentity
		want    error
	}{
		{"another identity is left", func(h *house, account string) {
			if _, err := h.resolver.LinkOwn(h.t.Context(), identity("partner", "alice"), account); err != nil {
				h.t.Fatal(err)
			}
		}, linked("acme", "alice"), nil},
		{"the password is left", func(h *house, account string) { h.creds.passwords[account] = true }, linked("acme", "alice"), nil},
		{"nothing is left", func(*house, string) {}, linked("acme", "alice"), auth.ErrLastWay},
		{"a password that opens nothing", func(h *house, account string) {
			h.creds.passwords[account], h.conf.Local.Enabled = true, false
		}, linked("acme", "alice"), auth.ErrLastWay},
		{"an identity that opens nothing", func(h *house, account string) {
			if _, err := h.resolver.LinkOwn(h.t.Context(), identity("partner", "alice"), account); err != nil {
				h.t.Fatal(err)
			}
			h.conn("partner").Disabled = true
		}, linked("acme", "alice"), auth.ErrLastWay},
		{"not linked", func(h *house, account string) { h.creds.passwords[account] = true }, linked("acme", "bob"), auth.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, nil)
			account := h.resolve(identity("acme", "alice")).Account
			c.prepare(h, account)
			h.open()
			before := len(h.show(account).Links)
			if err := h.resolver.UnlinkOwn(t.Context(), account, c.link); !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			after := len(h.show(account).Links)
			if gone := before - after; (gone == 1) != (c.want == nil) {
				t.Errorf("%d links, before %d", after, before)
			}
			audit(t, h)
		})
	}
}

// Two tabs that each unlink what the other leaves: the guard must not be judged
// on what was, or nobody could sign in any more.
func TestUnlinkOwnRaces(t *testing.T) {
	for range 5 {
		h := newHouse(t, nil)
		account := h.resolve(identity("acme", "alice")).Account
		if _, err := h.resolver.LinkOwn(t.Context(), identity("partner", "alice"), account); err != nil {
			t.Fatal(err)
		}
		// Both have read the account before either writes it.
		var done, last, arrived atomic.Int64
		both := make(chan struct{})
		meeting := &storetest.Faulty{Store: h.store, Before: func(op, key string) error {
			if op == "update" && strings.HasPrefix(key, accountPrefix) {
				if arrived.Add(1) == 2 {
					close(both)
				}
				<-both
			}
			return nil
		}}
		var wg sync.WaitGroup
		for _, connection := range []string{"acme", "partner"} {
			wg.Go(func() {
				_, r := h.replica(meeting)
				switch err := r.UnlinkOwn(t.Context(), account, linked(connection, "alice")); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, auth.ErrLastWay):
					last.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if done.Load() != 1 || last.Load() != 1 || len(h.show(account).Links) != 1 {
			t.Fatalf("%d cut, %d refused, left %+v", done.Load(), last.Load(), h.show(account).Links)
		}
		audit(t, h)
	}
}
