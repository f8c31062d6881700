package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"gatehouse/internal/store"
	"gatehouse/provision"
)

const (
	// quietStart is how long a gateway that has just started leaves inactive
	// accounts alone: the clock of a machine that has just started may be wrong.
	quietStart = 10 * time.Minute
	// inactiveEvery is how often the rule runs, at all replicas together.
	inactiveEvery = time.Hour
	// inactiveTurn is the record of the replica that runs the rule. As long as it
	// lives the others do not.
	inactiveTurn = "meta:inactive"
)

// caretaker runs the rule for inactive accounts from time to time.
type caretaker struct {
	rule  func() *provision.Inactivity // of today
	store store.Store
	log   *slog.Logger
}

// run runs until ctx ends. Replicas that start together do not run together.
func (c *caretaker) run(ctx context.Context) {
	for err := wait(ctx, quietStart, inactiveEvery); err == nil; err = wait(ctx, inactiveEvery, inactiveEvery/10) {
		if err := c.turn(ctx); err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "the rule for inactive accounts did not run to its end; it is tried again in an hour", "error", forPeople(err))
		}
	}
}

// turn runs the rule, where there is one, if no replica has within the hour.
func (c *caretaker) turn(ctx context.Context) error {
	rule := c.rule()
	if rule.String() == "" {
		return nil
	}
	err := c.store.Create(ctx, inactiveTurn, []byte("1"), inactiveEvery-time.Minute)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	turnout, err := rule.Act(ctx, false, func(provision.Idle) error { return nil })
	if err == nil && turnout.Disable+turnout.Delete > 0 {
		c.log.InfoContext(ctx, "the rule for inactive accounts has run", "accounts", turnout.Accounts, "disabled", turnout.Disable, "deleted", turnout.Delete)
	}
	return err
}

// wait waits for a time, and for up to another one by chance.
func wait(ctx context.Context, least, chance time.Duration) error {
	timer := time.NewTimer(least + rand.N(chance))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
