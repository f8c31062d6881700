package test

import (
	"encoding/json"
	"testing"
	"time"

	"gatehouse/test/servers"
)

// account is what gatehouse user show --json says.
type account struct {
	ID            string                   `json:"id"`
	Status        string                   `json:"status"`
	Username      string                   `json:"username"`
	Email         string                   `json:"email"`
	EmailVerified bool                     `json:"email_verified"`
	Name          string                   `json:"name"`
	Groups        []string                 `json:"groups"`
	Attributes    map[string]accountDetail `json:"attributes"`
	Links         []accountLink            `json:"links"`
	HasPassword   bool                     `json:"has_password"`
	Factors       []string                 `json:"factors"`
}

type accountDetail struct {
	Values []string  `json:"values"`
	Source string    `json:"source"`
	Time   time.Time `json:"time"`
}

type accountLink struct {
	Connection string `json:"connection"`
	Issuer     string `json:"issuer"`
	Subject    string `json:"subject"`
}

// run runs a command with the gateway's config and fails the test unless it
// succeeds. It returns what the command printed for programs.
func run(t testing.TB, g *servers.Gateway, args ...string) string {
	t.Helper()
	r := g.Run(t, "", append(args, "--config", g.Config)...)
	if r.Code != 0 {
		t.Fatalf("gatehouse %v ended with %d:\n%s", args, r.Code, r.Stderr)
	}
	return r.Stdout
}

// accounts lists all accounts.
func accounts(t testing.TB, g *servers.Gateway) []account {
	t.Helper()
	var all []account
	decode(t, run(t, g, "user", "list", "--json"), &all)
	return all
}

// showAccount returns one account by username, e-mail or id.
func showAccount(t testing.TB, g *servers.Gateway, who string) account {
	t.Helper()
	var a account
	decode(t, run(t, g, "user", "show", who, "--json"), &a)
	return a
}

// decode reads JSON.
func decode(t testing.TB, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}
