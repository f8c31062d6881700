package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/provision"
)

// nobodyOpen: nobody has a session, or a password.
type nobodyOpen struct{}

func (nobodyOpen) Open(context.Context, string, func(*auth.Session) error) error { return nil }
func (nobodyOpen) List(context.Context, func(*auth.Session) error) error         { return nil }
func (nobodyOpen) EndAccount(context.Context, string) (int, error)               { return 0, nil }
func (nobodyOpen) HasPassword(context.Context, string) (bool, error)             { return false, nil }

func (nobodyOpen) HasFactor(context.Context, string) (bool, error)  { return false, nil }
func (nobodyOpen) KeepsEmail(context.Context, string) (bool, error) { return false, nil }

func (nobodyOpen) Forget(context.Context, string) error { return nil }

// kept is an installation whose accounts were made by the commands.
func kept(t *testing.T, in config.Inactive, names ...string) (*provision.Directory, store.Store) {
	t.Helper()
	st := memory.New()
	ring, err := seal.NewKeyring([]string{strings.Repeat("k", 43)})
	if err != nil {
		t.Fatal(err)
	}
	index, err := seal.LoadIndexKey(t.Context(), st, ring)
	if err != nil {
		t.Fatal(err)
	}
	d := &provision.Directory{Store: st, Index: index, Credentials: nobodyOpen{}, Inactive: in, Log: slog.New(slog.DiscardHandler)}
	for _, name := range names {
		if _, err := d.Add(t.Context(), provision.New{Username: name}); err != nil {
			t.Fatal(err)
		}
	}
	return d, st
}

func rule(d *provision.Directory) func() *provision.Inactivity {
	return func() *provision.Inactivity { return &provision.Inactivity{Directory: d, Sessions: nobodyOpen{}} }
}

func disabled(t *testing.T, d *provision.Directory) (n int) {
	t.Helper()
	all, _, err := d.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Status == provision.Disabled {
			n++
		}
	}
	return n
}

// A gateway leaves accounts alone when it has just started, and then looks
// every hour, once for all replicas.
func TestCaretaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, st := kept(t, config.Inactive{DisableAfter: 48 * time.Hour}, "ann", "ben")
		var log bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan struct{}, 3)
		for range 3 {
			c := &caretaker{rule: rule(d), store: st, log: slog.New(slog.NewTextHandler(&log, nil))}
			go func() { c.run(ctx); ran <- struct{}{} }()
		}
		time.Sleep(47 * time.Hour)
		if n := disabled(t, d); n > 0 {
			t.Errorf("%d are disabled too early", n)
		}
		time.Sleep(3*time.Hour + time.Minute)
		if n := disabled(t, d); n != 2 {
			t.Errorf("%d of 2 are disabled", n)
		}
		stop()
		for range 3 {
			<-ran
		}
		if n := strings.Count(log.String(), "disabled=2"); n != 1 {
			t.Errorf("it is told %d times:\n%s", n, log.String())
		}
	})
}

// What would end all accounts at once: a machine whose clock is a year ahead,
// until it has asked what time it is, or for good.
func TestCaretakerAndAWrongClock(t *testing.T) {
	tests := []struct {
		name     string
		accounts int
		wrong    time.Duration // after the start
		refusals bool
	}{
		{"right after the start", 2, quietStart - time.Second, false},
		{"for good", 20, 100 * time.Hour, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var names []string
				for i := range tt.accounts {
					names = append(names, fmt.Sprint("ann", i))
				}
				d, st := kept(t, config.Inactive{DisableAfter: 48 * time.Hour}, names...)
				start := time.Now()
				d.Now = func() time.Time {
					now := time.Now()
					if now.Sub(start) < tt.wrong {
						now = now.AddDate(1, 0, 0)
					}
					return now
				}
				var log bytes.Buffer
				c := &caretaker{rule: rule(d), store: st, log: slog.New(slog.NewTextHandler(&log, nil))}
				ctx, stop := context.WithCancel(t.Context())
				ran := make(chan struct{})
				go func() { defer close(ran); c.run(ctx) }()
				time.Sleep(10 * time.Hour)
				stop()
				<-ran
				if n := disabled(t, d); n > 0 {
					t.Errorf("%d are disabled", n)
				}
				told := strings.Contains(log.String(), "20 of 20 accounts") && strings.Contains(log.String(), "--force")
				if told != tt.refusals || strings.Count(log.String(), "\n") > 11 {
					t.Errorf("the log:\n%s", log.String())
				}
			})
		})
	}
}

// Without a rule nothing is done, until there is one.
func TestCaretakerFollowsTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, st := kept(t, config.Inactive{}, "ann")
		later := &provision.Directory{
			Store: st, Index: d.Index, Credentials: nobodyOpen{}, Log: d.Log, Inactive: config.Inactive{DisableAfter: 48 * time.Hour},
		}
		var reloaded atomic.Bool
		c := &caretaker{store: st, log: slog.New(slog.DiscardHandler), rule: func() *provision.Inactivity {
			if reloaded.Load() {
				return rule(later)()
			}
			return rule(d)()
		}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); c.run(ctx) }()
		time.Sleep(72 * time.Hour)
		if _, err := st.Get(t.Context(), inactiveTurn); !errors.Is(err, store.ErrNotFound) || disabled(t, d) > 0 {
			t.Errorf("without a rule a turn was taken (%v)", err)
		}
		reloaded.Store(true)
		time.Sleep(2 * inactiveEvery)
		if n := disabled(t, later); n != 1 {
			t.Errorf("%d of 1 are disabled", n)
		}
		stop()
		<-ended
	})
}
