package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/provision"
)

// Everything that is kept about a person comes in one document, and no secret.
func TestExport(t *testing.T) {
	const connections = `
connections:
  - {id: acme, name: Acme, type: oidc, issuer: "https://id.acme.example", client_id: x, client_secret: s, jit: {attribute_sync: preserve_local}}
`
	for name, open := range places(t, connections) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, goodPassword+"\n", "user", "add", "ada", "--email", "ada@corp.example", "--group", "ops", "--attr", "site=", "--password-stdin")
			p.must(t, "", "user", "add", "grace")
			id := p.shown(t, "ada").ID
			session, _ := p.signIn(t, id)
			other, _ := p.signIn(t, p.shown(t, "grace").ID)
			var hash string
			p.use(t, func(a *state) {
				if _, err := a.resolver.Resolve(t.Context(), auth.Identity{
					Connection: "acme", Issuer: "https://id.acme.example", Subject: "s1", Username: "ada",
					Email: "ada@corp.example", EmailVerified: true, Groups: []string{"staff"},
				}); err != nil {
					t.Fatal(err)
				}
				if err := a.resolver.SignedIn(t.Context(), id, false); err != nil {
					t.Fatal(err)
				}
				enrolApp(t, a, id)
				if _, _, err := a.passwords.Remember(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				record, err := a.store.Get(t.Context(), "password:"+id)
				if err != nil {
					t.Fatal(err)
				}
				hash = string(record)
			})
			text := p.must(t, "", "user", "export", "Ada@corp.example").stdout
			var v exportView
			dec := json.NewDecoder(strings.NewReader(text))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&v); err != nil {
				t.Fatal(err)
			}
			if v.ID != id || v.Username != "ada" || v.Email != "ada@corp.example" || !v.HasPassword || v.Source != "local" ||
				len(v.Links) != 1 || v.Links[0].Subject != "s1" || v.Links[0].Time.IsZero() ||
				len(v.GroupSources) != 2 || v.GroupSources[1].Source != "acme" ||
				v.Attributes["site"].Source != "local" || v.LastSignIn.IsZero() {
				t.Errorf("the account: %+v", v.View)
			}
			if time.Since(v.PasswordSet) > time.Minute || len(v.Factors) != 1 || v.Factors[0].Kind != "totp" || time.Since(v.Factors[0].Since) > time.Minute {
				t.Errorf("what it proves itself with: %s, %+v", v.PasswordSet, v.Factors)
			}
			if len(v.KnownDevices) != 1 || time.Since(v.KnownDevices[0].LastSignIn) > time.Minute {
				t.Errorf("known devices: %+v", v.KnownDevices)
			}
			if len(v.Sessions) != 1 || v.Sessions[0].ID != session || v.Sessions[0].Username != "ada" {
				t.Errorf("sessions: %+v", v.Sessions)
			}
			events := ""
			for _, e := range v.History {
				events += e.Event + " "
			}
			if !strings.HasPrefix(events, "created ") || !strings.Contains(events, "linked") {
				t.Errorf("history: %s", events)
			}
			for what, secret := range map[string]string{"the password": goodPassword, "its hash": "argon2", "the record of it": hash} {
				if strings.Contains(text, secret) {
					t.Errorf("%s is in the export: %s", what, text)
				}
			}
			for _, secret := range []string{"secret", "hash", other} {
				if strings.Contains(text, secret) {
					t.Errorf("%q is in the export: %s", secret, text)
				}
			}
			p.refused(t, `there is no account "eve"`, "user", "export", "eve")

			// Of all, a line each: of no name lists are missing.
			lines := strings.Split(strings.TrimSpace(p.must(t, "", "user", "export", "--all").stdout), "\n")
			seen := map[string]exportView{}
			for _, line := range lines {
				var v exportView
				if err := json.Unmarshal([]byte(line), &v); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(line, "null") {
					t.Errorf("null in %s", line)
				}
				seen[v.Username] = v
			}
			if len(lines) != 2 || len(seen) != 2 || seen["ada"].ID != id || len(seen["grace"].Sessions) != 1 || seen["grace"].Sessions[0].ID != other {
				t.Errorf("export of all: %q", lines)
			}
		})
	}
}

// Many accounts come through, each once; one that cannot be read is left out,
// and nobody is told that all went well.
func TestExportOfMany(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.serve(t)
	for i := range 300 {
		if _, err := p.server.directory.Add(t.Context(), provision.New{Username: fmt.Sprint("user", i), Attributes: map[string][]string{"long": {strings.Repeat("x", 2000)}}}); err != nil {
			t.Fatal(err)
		}
	}
	lines := func(text string) map[string]int {
		seen := map[string]int{}
		for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
			var v exportView
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
			seen[v.Username]++
		}
		return seen
	}
	seen := lines(p.must(t, "", "user", "export", "--all").stdout)
	for i := range 300 {
		if seen[fmt.Sprint("user", i)] != 1 {
			t.Errorf("user%d comes %d times", i, seen[fmt.Sprint("user", i)])
		}
	}
	err := p.server.store.Update(t.Context(), "account:"+p.shown(t, "user7").ID, func([]byte) ([]byte, time.Duration, error) {
		return []byte(`{"v":99}`), store.KeepTTL, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r := p.command("", "user", "export", "--all")
	if r.code != exitFailed || !strings.Contains(r.stderr, "1 account cannot be read") || len(lines(r.stdout)) != 299 {
		t.Errorf("exit code %d, %d accounts, %s", r.code, len(lines(r.stdout)), r.stderr)
	}
	// The list, too, shows whom it can.
	r = p.command("", "user", "list")
	if r.code != exitFailed || !strings.Contains(r.stderr, "1 account cannot be read") || strings.Count(r.stdout, "user") != 299 {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}

// enrolApp gives an account an authenticator app.
func enrolApp(t *testing.T, a *state, id string) {
	t.Helper()
	e, err := a.totp.Offer(t.Context(), auth.Claimant{Account: id, Label: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(e.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.totp.Confirm(t.Context(), auth.Claimant{Account: id}, e, code); err != nil {
		t.Fatal(err)
	}
}
