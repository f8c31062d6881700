package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
)

// A link is printed once, by which its owner chooses a password, and leads to
// the page of this gateway.
func TestSetupLink(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			token := func(link string) string {
				t.Helper()
				u, err := url.Parse(strings.TrimSpace(link))
				if err != nil || u.Path != "/oauth2/password" {
					t.Fatalf("%q, %v", link, err)
				}
				return u.Query().Get("token")
			}
			added := token(p.must(t, "", "user", "add", "ada", "--setup-link").stdout)
			p.use(t, func(a *state) {
				if l, err := a.passwords.LookAtLink(t.Context(), added); err != nil || l.Kind != auth.LinkSetup || l.Mailed != "" {
					t.Errorf("%+v, %v", l, err)
				}
			})
			var v setupView
			if err := json.Unmarshal([]byte(p.must(t, "", "user", "setup-link", "ada", "--json").stdout), &v); err != nil {
				t.Fatal(err)
			}
			if left := time.Until(v.Expires); left < 71*time.Hour || left > 72*time.Hour {
				t.Errorf("it counts for %s", left)
			}
			p.use(t, func(a *state) {
				if _, err := a.passwords.LookAtLink(t.Context(), added); err == nil {
					t.Error("an older link counts")
				}
				if _, err := a.passwords.SetByLink(t.Context(), token(v.URL), goodPassword); err != nil {
					t.Error(err)
				}
			})
			if !p.shown(t, "ada").HasPassword {
				t.Error("there is no password")
			}
			var account struct {
				Username  string    `json:"username"`
				SetupLink setupView `json:"setup_link"`
			}
			if err := json.Unmarshal([]byte(p.must(t, "", "user", "add", "bea", "--setup-link", "--json").stdout), &account); err != nil {
				t.Fatal(err)
			}
			if token(account.SetupLink.URL) == "" || account.Username != "bea" {
				t.Errorf("%+v", account)
			}
			if out := p.must(t, "", "user", "show", "bea", "--json").stdout; strings.Contains(out, "setup_link") {
				t.Errorf("the link is shown again: %s", out)
			}
			p.refused(t, "no mail is sent", "user", "setup-link", "ada", "--mail")
			p.refused(t, "no mail is sent", "user", "add", "cleo", "--email", "c@corp.example", "--mail-setup-link")
			p.refused(t, "no account", "user", "show", "cleo")
			p.must(t, "", "user", "disable", "ada")
			p.refused(t, "enable the account first", "user", "setup-link", "ada")
		})
	}
}

// Whoever is invited by mail proves nothing more by a code to the same address.
// The administrator learns it from the command, not from the person who cannot
// come in.
func TestMailedLinkWhereCodesByMailAreAll(t *testing.T) {
	const mail = "mail: {address: \"127.0.0.1:1\", insecure_plaintext: true, tls: none, from: gate@corp.example}\n"
	for more, warns := range map[string]bool{
		"mfa: {methods: [email_code, recovery_code]}\n":               true,
		"mfa: {methods: [email_code, totp]}\n":                        false,
		"mfa: {methods: [email_code, recovery_code], enforce: off}\n": false,
	} {
		p := &place{config: writeConfig(t, routesText+mail+more)}
		for _, args := range [][]string{
			{"user", "add", "ada", "--email", "ada@corp.example", "--mail-setup-link"},
			{"user", "setup-link", "ada", "--mail"},
		} {
			if r := p.must(t, "", args...); strings.Contains(r.stderr, "only second factor") != warns {
				t.Errorf("%s%q: %s", more, args, r.stderr)
			}
		}
		if r := p.must(t, "", "user", "setup-link", "ada"); strings.Contains(r.stderr, "only second factor") {
			t.Errorf("%sof a printed link: %s", more, r.stderr)
		}
	}
}
