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
// no two share an id, username, e-mail or link, and gatehouse doctor finds
// nothing but traces of those who died.
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
	}
	h := Doctor(t, g)
	h.Wants(t, Finding.Trace)
	if !t.Failed() && h.Accounts < len(all) {
		t.Errorf("the doctor has looked at %d accounts of %d", h.Accounts, len(all))
	}
	return all
}

// Health is what gatehouse doctor --json says.
type Health struct {
	Accounts, Repaired int
	Findings           []Finding
	Counts             map[string]int
}

// Finding is something that the doctor has found.
type Finding struct {
	Code, Key, Account, Detail string
	Harmless, Repaired         bool
}

// Trace reports whether a finding is what a process leaves behind that dies:
// nobody notices it.
func (f Finding) Trace() bool { return f.Harmless }

// Lost reports whether a finding may be there after a fail-over, until it is
// repaired: besides traces, what the new master had not been told, be it an
// index entry of an account that lies elsewhere, the account of some entries and
// records, or the history of a change. It is never two accounts for one person.
func (f Finding) Lost() bool {
	switch f.Code {
	case "entry-missing", "orphan", "history-broken":
		return true
	}
	return f.Harmless
}

// Doctor runs gatehouse doctor.
func Doctor(t testing.TB, g *servers.Gateway, args ...string) Health {
	t.Helper()
	args = append(append([]string{"doctor", "--json"}, args...), "--config", g.Config)
	r := g.Run(t, "", args...)
	var h Health
	if err := json.Unmarshal([]byte(r.Stdout), &h); err != nil || r.Code > 1 {
		t.Errorf("gatehouse %v ended with %d: %v\n%s", args, r.Code, err, r.Stderr)
	}
	return h
}

// Wants fails the test unless all findings are of a kind that may be there.
func (h Health) Wants(t testing.TB, may func(Finding) bool) {
	t.Helper()
	for _, f := range h.Findings {
		if !f.Repaired && !may(f) {
			t.Errorf("the doctor finds %s at %s: %s", f.Code, f.Key, f.Detail)
		}
	}
}

// repaired lets the doctor repair, and fails the test unless it then finds
// nothing at all.
func repaired(t testing.TB, g *servers.Gateway) Health {
	t.Helper()
	h := Doctor(t, g, "--repair")
	h.Wants(t, func(Finding) bool { return false })
	Doctor(t, g).Wants(t, func(Finding) bool { return false })
	return h
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
