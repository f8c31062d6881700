package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatehouse/auth"
	"gatehouse/provision"
)

// factorView is something that an account proves itself with, as programs read
// it.
type factorView struct {
	ID    string    `json:"id"`
	Kind  string    `json:"kind"`
	Name  string    `json:"name,omitempty"`
	Since time.Time `json:"since"`
	Used  time.Time `json:"used,omitzero"`
	// Left is how many recovery codes are not used.
	Left *int `json:"left,omitempty"`
	// Barred says that it cannot prove anything now.
	Barred bool `json:"barred,omitempty"`
}

// factorsView is what an account proves itself with, as programs read it.
type factorsView struct {
	Factors []factorView `json:"factors"`
	// Demanded: the next local sign-in enrols one.
	Demanded bool `json:"enrolment_demanded"`
}

func factorViews(all []auth.Authenticator) []factorView {
	views := []factorView{}
	for _, f := range all {
		v := factorView{ID: f.ID, Kind: f.Kind, Name: f.Name, Since: f.Since.UTC(), Used: f.Used, Barred: f.Barred}
		if f.Kind == auth.KindRecovery {
			v.Left = &f.Left
		}
		views = append(views, v)
	}
	return views
}

// factorLines are authenticators for people.
func factorLines(views []factorView) (lines []string) {
	for _, v := range views {
		lines = append(lines, v.Kind+v.remark())
	}
	return lines
}

// remark is what there is to say of an authenticator beside its kind.
func (v factorView) remark() string {
	text := ""
	if v.Name != "" {
		text += " " + fmt.Sprintf("%q", v.Name)
	}
	if v.Left != nil {
		text += fmt.Sprintf(" (%d left)", *v.Left)
	}
	if v.Barred {
		text += " (cannot be used now)"
	}
	return text
}

// listFactors prints what an account proves itself with.
func (a *administration) listFactors(ctx context.Context, c *userCommand, account provision.View, stdout io.Writer) error {
	all, err := a.factors.All(ctx, account.ID)
	if err != nil {
		return err
	}
	v := factorsView{Factors: factorViews(all)}
	if v.Demanded, err = a.factors.Demands.Demanded(ctx, account.ID); err != nil {
		return err
	}
	if c.json {
		return writeJSON(stdout, v)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tFACTOR\tSINCE\tLAST USED")
	for _, f := range v.Factors {
		used := "never"
		if !f.Used.IsZero() {
			used = f.Used.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable(f.ID), printable(f.Kind+f.remark()), f.Since.Format(time.RFC3339), used)
	}
	if err := table.Flush(); err != nil || !v.Demanded {
		return err
	}
	_, err = fmt.Fprintln(stdout, "The next local sign-in enrols another.")
	return err
}

// resetMFA forgets all factors, or one of them. What a lost or stolen app has
// opened closes: before it, whoever has the turn, and after it in the same turn,
// or who is in a session could enrol a factor just then that stays. A factor that
// there is none of ends nothing.
func (a *administration) resetMFA(ctx context.Context, c *userCommand, id string, stderr io.Writer) (decision string, err error) {
	event, detail := auth.EventFactorsReset, ""
	forget := func(ctx context.Context) error { return a.factors.Reset(ctx, id) }
	if c.factor.given {
		f, err := a.factor(ctx, id, c.factor.value)
		if err != nil {
			return "", err
		}
		event, detail = auth.EventFactorRemoved, strings.TrimSpace(f.Kind+" "+f.Name)
		forget = func(ctx context.Context) error { return a.factors.Remove(ctx, id, f.Kind, f.ID) }
	}
	if err := a.endAll(ctx, id, stderr); err != nil {
		return "", err
	}
	done := false
	err = a.turns.Alone(ctx, id, func(ctx context.Context) error {
		if err := forget(ctx); err != nil {
			return err
		}
		done = true
		return a.endAll(ctx, id, stderr)
	})
	if !done {
		return "", err
	}
	return a.noteDetail(ctx, id, event, detail, stderr), err
}

// factor finds one factor of an account.
func (a *administration) factor(ctx context.Context, account, id string) (auth.Authenticator, error) {
	all, err := a.factors.All(ctx, account)
	if err != nil {
		return auth.Authenticator{}, err
	}
	i := slices.IndexFunc(all, func(f auth.Authenticator) bool { return f.ID == id })
	if i < 0 {
		return auth.Authenticator{}, fmt.Errorf("the account has no factor %q; gatehouse user factors lists them", id)
	}
	return all[i], nil
}

// requireMFA demands that the next local sign-in enrols a factor. It refuses what
// would never be met.
func (a *administration) requireMFA(ctx context.Context, id string, stderr io.Writer) (decision string, err error) {
	switch {
	case !a.cfg.Local.Enabled:
		return "", errors.New("nobody signs in locally, so nobody would be asked: local.enabled is false")
	case !a.cfg.MFA.CanEnrol():
		return "", errors.New("there is no second factor that could be enrolled: mfa.methods names none")
	}
	if err := a.factors.Demands.Demand(ctx, id); err != nil {
		return "", err
	}
	return a.note(ctx, id, auth.EventEnrolmentForced, stderr), nil
}
