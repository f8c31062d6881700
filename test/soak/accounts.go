package soak

import (
	"encoding/json"
	"testing"

	"gatehouse/test/servers"
)

// Account is what an account must not share with another one.
type Account struct {
	ID, Status, Username, Email string
	Links                       []Link
}

// Link ties an account to a person at an identity provider.
type Link struct{ Connection, Issuer, Subject string }

// Accounts lists the accounts and fails the test unless they are consistent:
// no two share an id, username, e-mail or link, and the indexes lead to each.
func Accounts(t testing.TB, g *servers.Gateway) []Account {
	t.Helper()
	var all []Account
	command(t, g, &all, "user", "list", "--json")
	owner := map[any]string{}
	claim := func(what any, id string) {
		if other, taken := owner[what]; taken {
			t.Errorf("accounts %s and %s share %v", other, id, what)
		}
		owner[what] = id
	}
	type name struct{ kind, value string }
	for _, a := range all {
		claim(name{"id", a.ID}, a.ID)
		claim(name{"username", a.Username}, a.ID)
		if a.Email != "" {
			claim(name{"e-mail", a.Email}, a.ID)
		}
		for _, l := range a.Links {
			claim(l, a.ID)
		}
		if a.Status != "active" {
			t.Errorf("account %s (%s) is %s", a.ID, a.Username, a.Status)
		}
		for _, who := range []string{a.Username, a.Email} {
			var found Account
			if command(t, g, &found, "user", "show", who, "--json"); found.ID != a.ID {
				t.Errorf("%s leads to account %s, not to %s", who, found.ID, a.ID)
			}
		}
	}
	return all
}

func command(t testing.TB, g *servers.Gateway, v any, args ...string) {
	t.Helper()
	r := g.Run(t, "", append(args, "--config", g.Config)...)
	if r.Code != 0 {
		t.Errorf("gatehouse %v ended with %d:\n%s", args, r.Code, r.Stderr)
		return
	}
	if err := json.Unmarshal([]byte(r.Stdout), v); err != nil {
		t.Errorf("gatehouse %v: %v in:\n%s", args, err, r.Stdout)
	}
}
