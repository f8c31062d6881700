package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/provision"
)

// profiles shows accounts to their owners.
type profiles struct{ directory *provision.Directory }

// Profile returns the account with that id. Errors: auth.ErrNotFound,
// auth.ErrStoreDown.
func (p profiles) Profile(ctx context.Context, account string) (auth.Profile, error) {
	v, err := p.directory.Show(ctx, account)
	if err != nil {
		return auth.Profile{}, err
	}
	of := func(source string, at time.Time, values ...string) auth.Value {
		return auth.Value{Values: values, Source: source, Time: at}
	}
	profile := auth.Profile{
		ID: v.ID, Username: v.Username, UsernameSource: v.UsernameSource, UsernameTime: v.UsernameTime, Name: v.Name, Verified: v.EmailVerified, Active: v.Status == provision.Active,
		Attributes: map[string]auth.Value{}, Created: v.Created,
	}
	if v.Email != "" {
		profile.Email = of(v.EmailSource, v.EmailTime, v.Email)
	}
	for _, g := range v.GroupSources {
		profile.Groups = append(profile.Groups, of(g.Source, g.Time, g.Name))
	}
	for name, a := range v.Attributes {
		profile.Attributes[name] = of(a.Source, a.Time, a.Values...)
	}
	for _, l := range v.Links {
		profile.Links = append(profile.Links, auth.LinkedIdentity{Connection: l.Connection, Issuer: l.Issuer, Subject: l.Subject, Time: l.Time})
	}
	return profile, nil
}

// mostActivity is how many entries of their history people see.
const mostActivity = 20

// Activity returns what happened to the account lately, newest first. Which
// administrator did something is not told: their names are none of the
// person's business. Errors: auth.ErrNotFound, auth.ErrStoreDown.
func (p profiles) Activity(ctx context.Context, account string) ([]auth.Activity, error) {
	h, err := p.directory.History(ctx, account)
	if err != nil {
		return nil, err
	}
	var all []auth.Activity
	for _, e := range slices.Backward(h.Entries) {
		if len(all) == mostActivity {
			break
		}
		a := auth.Activity{Time: e.Time, Event: e.Event, Detail: changedFields(e.Changes)}
		switch e.Actor.Kind {
		case provision.ActorPerson:
			if a.Detail == "" {
				a.Detail = e.Why // what the chronicle was told
			}
		case provision.ActorConnection:
			a.By = e.Actor.Name
		case provision.ActorAdministrator:
			a.By = "an administrator"
		default:
			a.By = "the system"
		}
		all = append(all, a)
	}
	return all, nil
}

// changedFields names what a change changed, each once.
func changedFields(changes []provision.HistoryChange) string {
	var names []string
	for _, c := range changes {
		name := c.Field
		if c.Name != "" {
			name = c.Name
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
