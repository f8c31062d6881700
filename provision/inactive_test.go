package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

const aDay = 24 * time.Hour

// openings is who has an open session, and when it was last used.
type openings struct {
	mu    sync.Mutex
	seen  map[string]time.Time
	ended []string
}

func (o *openings) Open(_ context.Context, account string, f func(*auth.Session) error) error {
	o.mu.Lock()
	seen, open := o.seen[account]
	o.mu.Unlock()
	if !open {
		return nil
	}
	return f(&auth.Session{Account: account, Seen: seen})
}

func (o *openings) List(ctx context.Context, f func(*auth.Session) error) error {
	o.mu.Lock()
	accounts := slices.Collect(maps.Keys(o.seen))
	o.mu.Unlock()
	for _, id := range accounts {
		if err := o.Open(ctx, id, f); err != nil {
			return err
		}
	}
	return nil
}

func (o *openings) EndAccount(_ context.Context, account string) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = append(o.ended, account)
	delete(o.seen, account)
	return 0, nil
}

// quiet is an installation with a rule: disabled after 90 days, deleted after
// 180.
func quiet(t *testing.T) (*house, *Inactivity, *openings) {
	t.Helper()
	h := newHouse(t, nil)
	o := &openings{seen: map[string]time.Time{}}
	return h, h.rule(o, config.Inactive{DisableAfter: 90 * aDay, DeleteAfter: 180 * aDay, ExemptGroups: []string{"admins"}}), o
}

func (h *house) rule(o *openings, in config.Inactive) *Inactivity {
	h.directory.Inactive = in
	return &Inactivity{Directory: h.directory, Sessions: o, Groups: []string{"operators"}}
}

// run runs the rule and returns what it did, by username.
func (h *house) run(r *Inactivity, force bool) (map[string]Act, error) {
	h.t.Helper()
	acts := map[string]Act{}
	_, err := r.Act(h.t.Context(), force, func(i Idle) error {
		if !i.Done {
			h.t.Errorf("not done: %+v", i)
		}
		acts[i.Username] = i.Act
		return nil
	})
	return acts, err
}

// What the rule does, and when. The last sign-in is known to a day, so it may
// come a day late, and never early.
func TestInactive(t *testing.T) {
	tests := []struct {
		name string
		live func(t *testing.T, h *house, o *openings) // of the account alice
		want map[int]Act                               // after so many days, run each day
	}{
		{"never signed in", func(_ *testing.T, h *house, _ *openings) {
			h.add(New{Username: "alice"})
		}, map[int]Act{90: ActDisable, 180: ActDelete}},
		{"signed in once", func(_ *testing.T, h *house, _ *openings) {
			h.resolve(identity("acme", "alice"))
		}, map[int]Act{91: ActDisable, 181: ActDelete}},
		{"signed in later", func(_ *testing.T, h *house, _ *openings) {
			h.add(New{Username: "alice", Email: "alice@people.example"})
			h.clock.add(50 * aDay)
			h.resolve(identity("acme", "alice"))
		}, map[int]Act{91: ActDisable, 181: ActDelete}},
		{"signed in twice within a day", func(_ *testing.T, h *house, _ *openings) {
			h.resolve(identity("acme", "alice"))
			h.clock.add(23 * time.Hour)
			h.resolve(identity("acme", "alice"))
		}, map[int]Act{91: ActDisable, 181: ActDelete}}, // 90 days and an hour after the second
		{"administrator", func(_ *testing.T, h *house, _ *openings) {
			h.add(New{Username: "alice", Groups: []string{"admins"}})
		}, nil},
		{"administrator by their identity provider", func(_ *testing.T, h *house, _ *openings) {
			h.resolve(identity("acme", "alice", groups("staff", "admins")))
		}, nil},
		{"in a protected group", func(_ *testing.T, h *house, _ *openings) {
			h.resolve(identity("acme", "alice", groups("operators")))
		}, nil},
		{"in a group of like name", func(_ *testing.T, h *house, _ *openings) {
			h.add(New{Username: "alice", Groups: []string{"Admins", "admins2"}})
		}, map[int]Act{90: ActDisable, 180: ActDelete}},
		{"disabled by an administrator", func(t *testing.T, h *house, _ *openings) {
			h.add(New{Username: "alice"})
			if _, err := h.directory.Disable(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
		}, nil}, // deleted, they would come back as somebody new
		{"disabled by the rule", func(t *testing.T, h *house, _ *openings) {
			h.add(New{Username: "alice"})
			h.clock.add(90 * aDay)
			if _, err := h.directory.alter(t.Context(), "alice", func(ctx context.Context, b *booking, a, next *Account) error {
				next.Status, next.Unused = Disabled, true
				return b.replace(ctx, a, next)
			}); err != nil {
				t.Fatal(err)
			}
		}, map[int]Act{90: ActDelete}},
		{"disabled, and enabled after a year", func(t *testing.T, h *house, _ *openings) {
			h.add(New{Username: "alice"})
			if _, err := h.directory.Disable(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			h.clock.add(365 * aDay)
			if _, err := h.directory.Enable(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
		}, map[int]Act{90: ActDisable, 180: ActDelete}},
		{"in a session for as long", func(_ *testing.T, h *house, o *openings) {
			o.seen[h.resolve(identity("acme", "alice")).Account] = h.clock.Now()
			h.clock.add(300 * aDay)
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, r, o := quiet(t)
			tt.live(t, h, o)
			got := map[int]Act{}
			for day := range 200 {
				found := map[string]Act{}
				if _, err := r.Find(t.Context(), func(i Idle) error { found[i.Username] = i.Act; return nil }); err != nil {
					t.Fatal(err)
				}
				acts, err := h.run(r, false)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(found, acts); diff != "" {
					t.Errorf("day %d: what a dry run finds and what is done differ:\n%s", day, diff)
				}
				if act := acts["alice"]; act != "" {
					got[day] = act
				}
				h.clock.add(aDay)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" && len(tt.want)+len(got) > 0 {
				t.Errorf("acts by day (-want +got):\n%s", diff)
			}
		})
	}
}

// A rule with one half does not do the other.
func TestInactiveHalves(t *testing.T) {
	for _, tt := range []struct {
		rule config.Inactive
		want map[int]Act
	}{
		{config.Inactive{}, map[int]Act{}},
		{config.Inactive{DisableAfter: aDay}, map[int]Act{1: ActDisable}},
		{config.Inactive{DeleteAfter: 3 * aDay}, map[int]Act{3: ActDelete}},
	} {
		h := newHouse(t, nil)
		r := h.rule(&openings{}, tt.rule)
		h.add(New{Username: "alice"})
		got := map[int]Act{}
		for day := range 6 {
			acts, err := h.run(r, false)
			if err != nil {
				t.Fatal(err)
			}
			if len(acts) > 0 {
				got[day] = acts["alice"]
			}
			h.clock.add(aDay)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.rule, diff)
		}
	}
}

// A session that has lasted for longer than the rule waits is use up to its
// end: the day after, its person is not somebody who was away for long.
func TestInactiveAfterALongSession(t *testing.T) {
	h, r, o := quiet(t)
	id := h.resolve(identity("acme", "alice")).Account
	for range 200 {
		h.clock.add(aDay)
		o.seen[id] = h.clock.Now()
		if acts, err := h.run(r, false); err != nil || len(acts) > 0 {
			t.Fatalf("%v, %v", acts, err)
		}
	}
	delete(o.seen, id)
	days := 0
	for {
		acts, err := h.run(r, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(acts) > 0 {
			break
		}
		h.clock.add(aDay)
		days++
	}
	if days != 91 {
		t.Errorf("disabled %d days after the end of the session, want 91", days)
	}
	if v := h.show(id); !v.LastSignIn.Equal(newClock().now) {
		t.Errorf("the last sign-in is told as %s", v.LastSignIn)
	}
}

// What the rule ends is ended as by an administrator: nobody comes in, the
// sessions end, all of it goes, and it is told.
func TestInactiveEnds(t *testing.T) {
	h, r, o := quiet(t)
	var log bytes.Buffer
	h.directory.Log = slog.New(slog.NewTextHandler(&log, nil))
	id := h.resolve(identity("acme", "alice")).Account
	h.creds.passwords[id] = true
	h.clock.add(91 * aDay)
	if acts, err := h.run(r, false); err != nil || acts["alice"] != ActDisable {
		t.Fatalf("%v, %v", acts, err)
	}
	if got := h.refused(identity("acme", "alice")); got != auth.DeniedDisabled {
		t.Errorf("refused as %q", got)
	}
	if !slices.Equal(o.ended, []string{id}) {
		t.Errorf("sessions ended of %v", o.ended)
	}
	history, err := h.directory.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	last := history.Entries[len(history.Entries)-1]
	if last.Event != EventDisabled || last.Actor != (Actor{Kind: ActorRule, Name: "inactive"}) || !strings.Contains(last.Why, "2026-03-01") {
		t.Errorf("history: %+v", last)
	}
	h.clock.add(91 * aDay)
	if acts, err := h.run(r, false); err != nil || acts["alice"] != ActDelete {
		t.Fatalf("%v, %v", acts, err)
	}
	if left := dump(t, h.store); len(left) > 0 || h.creds.passwords[id] {
		t.Errorf("left behind: %v", left)
	}
	for _, part := range []string{"act=disable", "act=delete", "account=" + id, "nobody has used it since 2026-03-01"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log does not say %q:\n%s", part, log.String())
		}
	}
}

// A clock that jumps ahead by a year must not end everybody's account.
func TestInactiveGuard(t *testing.T) {
	for _, tt := range []struct {
		name            string
		idle, busy, off int
		refused         bool
	}{
		{"all of few", 10, 0, 0, false},
		{"all of more", 11, 0, 0, true},
		{"half", 20, 20, 0, false},
		{"more than half", 21, 20, 0, true},
		{"those who are disabled already do not hide it", 21, 20, 100, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, r, _ := quiet(t)
			r.Directory.Inactive.DeleteAfter = 0
			add := func(kind string, n int) {
				for i := range n {
					h.add(New{Username: fmt.Sprint(kind, i)})
				}
			}
			add("idle", tt.idle)
			add("off", tt.off)
			for i := range tt.off {
				if _, err := h.directory.Disable(t.Context(), fmt.Sprint("off", i)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 30 { // who is exempt is no excuse
				h.add(New{Username: fmt.Sprint("admin", i), Groups: []string{"admins"}})
			}
			h.clock.add(91 * aDay)
			add("busy", tt.busy)
			before := fmt.Sprint(dump(t, h.store))
			acts, err := h.run(r, false)
			if !tt.refused {
				if err != nil || len(acts) != tt.idle {
					t.Errorf("%d acts, %v", len(acts), err)
				}
				return
			}
			if !isRefused(err) || len(acts) > 0 || fmt.Sprint(dump(t, h.store)) != before {
				t.Fatalf("not refused: %v, %v", acts, err)
			}
			if !strings.Contains(err.Error(), fmt.Sprintf("%d of %d accounts", tt.idle, tt.idle+tt.busy)) {
				t.Errorf("does not say how many: %v", err)
			}
			if acts, err := h.run(r, true); err != nil || len(acts) != tt.idle {
				t.Errorf("forced: %d acts, %v", len(acts), err)
			}
		})
	}
}

// Somebody who comes back while the rule is at work keeps their account.
func TestInactiveAndWhoComesBack(t *testing.T) {
	h, r, o := quiet(t)
	signedIn := h.resolve(identity("acme", "alice")).Account
	enabled := h.add(New{Username: "bob"}).ID
	promoted := h.add(New{Username: "carol"}).ID
	open := h.add(New{Username: "dave"}).ID
	h.clock.add(200 * aDay)
	for id, back := range map[string]func(){
		signedIn: func() { h.resolve(identity("acme", "alice")) },
		enabled: func() {
			for _, f := range []func(context.Context, string) (View, error){h.directory.Disable, h.directory.Enable} {
				if _, err := f(t.Context(), enabled); err != nil {
					t.Fatal(err)
				}
			}
		},
		promoted: func() {
			if _, err := h.directory.Set(t.Context(), promoted, Edit{Groups: &[]string{"admins"}}); err != nil {
				t.Fatal(err)
			}
		},
		open: func() { o.seen[open] = h.clock.Now() },
	} {
		// Found, and then they are back.
		now := h.directory.now()
		a, err := h.directory.read(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if due, err := r.judge(t.Context(), a, now); err != nil || due == nil {
			t.Fatalf("%s is not due (%v)", a.Username, err)
		}
		back()
		if ended, err := r.end(t.Context(), id, now); err != nil || ended != nil || h.show(id).Status != Active {
			t.Errorf("%s was ended: %+v, %v", a.Username, ended, err)
		}
	}
}

// The rule dies at any step; the next run finishes what it left.
func TestInactiveDyingAtEveryStep(t *testing.T) {
	for _, days := range []int{100, 200} {
		for step, done := 1, false; !done; step++ {
			h, r, o := quiet(t)
			h.resolve(identity("acme", "alice"))
			h.clock.add(time.Duration(days) * aDay)
			m := &mortal{left: step, after: step%2 == 0}
			d, _ := h.replica(m.store(h.store))
			d.Inactive = r.Directory.Inactive
			_, err := (&Inactivity{Directory: d, Sessions: o}).Act(t.Context(), false, func(Idle) error { return nil })
			if m.left > 0 {
				done = true
				continue
			}
			if !errors.Is(err, auth.ErrStoreDown) {
				t.Fatalf("died at %v: %v", m.ops, err)
			}
			h.clock.add(lease)
			if _, err := h.run(r, false); err != nil {
				t.Fatalf("died at %v: %v", m.ops, err)
			}
			for _, a := range audit(t, h) {
				if days == 200 || a.Status != Disabled {
					t.Fatalf("died at %v: left %+v", m.ops, a)
				}
			}
		}
	}
}

// Two replicas run the rule at once, and each account is ended once.
func TestInactiveAtTwoReplicas(t *testing.T) {
	h, r, o := quiet(t)
	for i := range 30 {
		h.add(New{Username: fmt.Sprint("idle", i)})
	}
	h.clock.add(91 * aDay)
	other, _ := h.replica(h.store)
	other.Inactive = r.Directory.Inactive
	var mu sync.Mutex
	acts := map[string]int{}
	var wg sync.WaitGroup
	for _, rule := range []*Inactivity{r, {Directory: other, Sessions: o}} {
		wg.Go(func() {
			_, err := rule.Act(context.Background(), true, func(i Idle) error {
				mu.Lock()
				defer mu.Unlock()
				acts[i.Username]++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for name, n := range acts {
		if n != 1 {
			t.Errorf("%s was ended %d times", name, n)
		}
	}
	if len(acts) != 30 {
		t.Errorf("%d of 30 were ended", len(acts))
	}
	audit(t, h)
}

// A young account costs the rule no read of its own, and a record that cannot
// be read is nobody's reason to stop.
func TestInactiveCost(t *testing.T) {
	h, r, _ := quiet(t)
	for i := range 5 {
		h.resolve(identity("acme", fmt.Sprint("p", i)))
	}
	if err := h.store.Create(t.Context(), "account:broken", []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	m := &mortal{left: 1 << 30}
	d, _ := h.replica(m.store(h.store))
	d.Inactive = r.Directory.Inactive
	turnout, err := (&Inactivity{Directory: d, Sessions: &openings{}}).Act(t.Context(), false, nil)
	if err != nil || turnout.Accounts != 5 {
		t.Errorf("%+v, %v", turnout, err)
	}
	if got := strings.Join(m.ops, ", "); got != "scan account" {
		t.Errorf("operations: %s", got)
	}
}
