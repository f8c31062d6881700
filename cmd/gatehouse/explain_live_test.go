package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
)

const liveConnections = `connections:
  - id: acme
    issuer: https://id.acme.example
    client_id: gatehouse
    client_secret: not shown
  - id: other
    issuer: https://id.other.example
    client_id: gatehouse
    client_secret: not shown
`

const annsClaims = `{"sub": "17", "email": "ann@acme.example", "email_verified": true, "preferred_username": "ann", "groups": ["staff"]}`

// records is everything that a store holds.
func records(t *testing.T, p *place) map[string]string {
	t.Helper()
	all := map[string]string{}
	p.use(t, func(s *state) {
		if err := s.store.Scan(t.Context(), "", func(key string, value []byte) error {
			all[key] = string(value)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	return all
}

// explained runs explain --live and reads what it says.
func explained(t *testing.T, p *place, connection, claims string, code int) explanation {
	t.Helper()
	r := p.command(claims, "explain", "--live", "--connection", connection, "--claims", "-", "--json")
	var e explanation
	if err := json.Unmarshal([]byte(r.stdout), &e); err != nil || r.code != code || r.stderr != "" {
		t.Fatalf("exit code %d, want %d, %v: %s%s", r.code, code, err, r.stdout, r.stderr)
	}
	if !e.Live {
		t.Error("it does not say that it looked at the store")
	}
	return e
}

// Wherever the store is, explain knows who is in it, and leaves it as it is.
func TestExplainLive(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			p := open(t)
			// It is the file that counts, not what a server has read before.
			appendConfig(t, p.config, liveConnections)
			p.must(t, "", "user", "add", "ann", "--email", "ann@acme.example", "--group", "ops", "--attr", "desk=12")
			e := explained(t, p, "acme", annsClaims, exitOK)
			if e.Verdict != auth.Linked || e.Account == nil || e.Account.ID == "" || e.Account.Username != "ann" || len(e.Candidates) != 2 {
				t.Errorf("%+v", e)
			}
			if diff := cmp.Diff([]string{"ops", "staff"}, e.Groups); diff != "" {
				t.Error(diff)
			}
			e = explained(t, p, "acme", `{"sub": "18", "email": "bob@acme.example", "email_verified": true}`, exitOK)
			if e.Verdict != auth.Created || e.Account.ID != "" {
				t.Errorf("%+v", e)
			}
			p.must(t, "correct horse battery staple\n", "user", "set-password", "ann", "--password-stdin")
			replaceInConfig(t, p.config, "issuer: https://id.acme", "jit: {link_existing: confirm}\n    issuer: https://id.acme")
			e = explained(t, p, "acme", annsClaims, exitConfirm)
			if e.Verdict != auth.Confirm || e.Admitted || e.Confirmation == nil || !e.Confirmation.Password || e.Confirmation.Username != "ann" {
				t.Errorf("%+v", e)
			}
			p.must(t, "", "user", "disable", "ann")
			before := records(t, p)
			e = explained(t, p, "acme", annsClaims, exitFailed)
			if e.Reason != auth.DeniedDisabled || len(e.Candidates) != 2 {
				t.Errorf("%+v", e)
			}
			if diff := cmp.Diff(before, records(t, p)); diff != "" {
				t.Errorf("the store has changed:\n%s", diff)
			}
		})
	}
}

func appendConfig(t *testing.T, path, text string) {
	t.Helper()
	old, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(old, text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func replaceInConfig(t *testing.T, path, old, text string) {
	t.Helper()
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(was), old) {
		t.Fatalf("no %q in\n%s", old, was)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(was), old, text, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A store that nobody has used has no keys, and gets none; one that is used is
// not changed by a byte.
func TestExplainLiveMakesNothing(t *testing.T) {
	p := &place{config: writeConfig(t, routesText+liveConnections)}
	cfg := p.load(t)
	if e := explained(t, p, "acme", annsClaims, exitOK); e.Verdict != auth.Created {
		t.Errorf("%+v", e)
	}
	if _, err := os.Stat(filepath.Dir(cfg.Store.Embedded.Path)); !os.IsNotExist(err) {
		t.Errorf("the store was begun: %v", err)
	}
	p.must(t, "", "user", "add", "ann", "--email", "ann@acme.example")
	before := folder(t, filepath.Dir(cfg.Store.Embedded.Path))
	if e := explained(t, p, "acme", annsClaims, exitOK); e.Verdict != auth.Linked {
		t.Errorf("%+v", e)
	}
	if diff := cmp.Diff(before, folder(t, filepath.Dir(cfg.Store.Embedded.Path)), cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("something was written:\n%.500s", diff)
	}
}

// folder is every file below a directory.
func folder(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The largest claims that are read go through the socket, too.
func TestExplainLiveLargeClaims(t *testing.T) {
	p := places(t)["embedded, server runs"](t)
	appendConfig(t, p.config, liveConnections)
	claims := `{"sub": "17", "other": "`
	claims += strings.Repeat("x", maxClaims-len(claims)-2) + `"}`
	explained(t, p, "acme", claims, exitOK)
}

func TestExplainLiveStoreDown(t *testing.T) {
	p := &place{config: writeConfig(t, redisText("127.0.0.1:1")+liveConnections)}
	r := p.command(annsClaims, "explain", "--live", "--connection", "acme", "--claims", "-")
	if r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, "does not answer") {
		t.Errorf("exit code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
}
