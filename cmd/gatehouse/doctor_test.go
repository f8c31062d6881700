package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/adminsock"
	"gatehouse/provision"
	"gatehouse/test/servers"
)

// seen is what gatehouse doctor --json says.
type seen struct {
	OK       bool                `json:"ok"`
	Accounts int                 `json:"accounts"`
	Entries  int                 `json:"entries"`
	Records  map[string]int      `json:"records"`
	Findings []provision.Finding `json:"findings"`
	Counts   map[string]int      `json:"counts"`
	Repaired int                 `json:"repaired"`
	Remain   int                 `json:"remain"`
	Harmless int                 `json:"harmless"`
}

func (p *place) examined(t *testing.T, code int, args ...string) seen {
	t.Helper()
	r := p.command("", append([]string{"doctor", "--json"}, args...)...)
	if r.code != code {
		t.Fatalf("doctor %v: exit code %d, want %d\n%s%s", args, r.code, code, r.stdout, r.stderr)
	}
	var v seen
	dec := json.NewDecoder(strings.NewReader(r.stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	if v.OK != (code == exitOK) || v.Findings == nil {
		t.Errorf("exit code %d, and %+v", code, v)
	}
	return v
}

// The story of an administrator, wherever the store is.
func TestDoctorStory(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, goodPassword+"\n", "user", "add", "ada", "--email", "ada@corp.example", "--password-stdin")
			ada := p.shown(t, "ada")
			if r := p.must(t, "", "doctor"); !strings.Contains(r.stdout, "looked at 1 account, 2 entries") || r.stderr != "healthy\n" {
				t.Errorf("%s%s", r.stdout, r.stderr)
			}
			if v := p.examined(t, exitOK); v.Accounts != 1 || v.Entries != 2 || v.Records["password"] != 1 || len(v.Findings) > 0 {
				t.Errorf("%+v", v)
			}

			var email, username string
			p.use(t, func(s *state) {
				find := func(prefix string) (found string) {
					err := s.store.Scan(t.Context(), prefix, func(key string, _ []byte) error {
						found = key
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
					return found
				}
				email, username = find("email:"), find("username:")
				for _, key := range []string{email, username} {
					if err := s.store.Delete(t.Context(), key); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.store.Create(t.Context(), "password:nobody", []byte("{}"), 0); err != nil {
					t.Fatal(err)
				}
			})
			p.refused(t, `no account "ada"`, "user", "show", "ada")
			v := p.examined(t, exitFailed)
			if v.Counts["entry-missing"] != 2 || v.Counts["orphan"] != 1 || v.Remain != 3 {
				t.Errorf("%+v", v)
			}
			r := p.command("", "doctor")
			for _, want := range []string{"entry-missing", "record   " + email, "account  " + ada.ID, "ada bears the username ada", "orphan", "password:nobody"} {
				if r.code != exitFailed || !strings.Contains(r.stdout, want) {
					t.Errorf("exit code %d, and %q is not in\n%s", r.code, want, r.stdout)
				}
			}
			if r.stderr != "3 findings\n" {
				t.Errorf("it ends with %q", r.stderr)
			}
			if v := p.examined(t, exitOK, "--repair"); v.Repaired != 3 || v.Remain != 0 || !v.Findings[0].Repaired {
				t.Errorf("%+v", v)
			}
			if v := p.examined(t, exitOK, "--repair"); len(v.Findings) != 0 {
				t.Errorf("a second repair: %+v", v)
			}
			if got := p.shown(t, "ada"); got.ID != ada.ID || !got.HasPassword {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A password that cannot be read is told with what to do, by the account's id.
func TestDoctorOfCredentials(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.must(t, goodPassword+"\n", "user", "add", "ada", "--password-stdin")
	ada := p.shown(t, "ada")
	p.use(t, func(s *state) {
		for _, key := range []string{"password:" + ada.ID, "totp:" + ada.ID} {
			err := s.store.Update(t.Context(), key, func([]byte) ([]byte, time.Duration, error) {
				return []byte(`{"hash":"hunter2","secret":"aHVudGVyMg=="}`), 0, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	r := p.command("", "doctor", "--repair")
	if r.code != exitFailed || strings.Contains(r.stdout, "hunter2") {
		t.Errorf("exit code %d:\n%s", r.code, r.stdout)
	}
	for _, want := range []string{"gatehouse user set-password " + ada.ID, "gatehouse user reset-mfa " + ada.ID} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in\n%s", want, r.stdout)
		}
	}
	p.must(t, goodPassword+"\n", "user", "set-password", ada.ID, "--password-stdin")
	p.must(t, "", "user", "reset-mfa", ada.ID)
	p.examined(t, exitOK)
}

func TestDoctorUsage(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	for _, args := range [][]string{{"doctor", "ada"}, {"doctor", "--mend"}, {"doctor", "--repair=maybe"}} {
		if r := p.command("", args...); r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, "usage: gatehouse doctor") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := p.command("", "doctor", "--help"); r.code != exitOK || !strings.Contains(r.stdout, "--repair") {
		t.Errorf("%+v", r)
	}
}

// Nobody must take "it does not answer" for a clean bill of health.
func TestDoctorWithoutAStore(t *testing.T) {
	p := &place{config: writeConfig(t, redisText(servers.FreeAddr(t)))}
	p.refused(t, "the store does not answer", "doctor")
	p.refused(t, "the store does not answer", "doctor", "--repair", "--json")
}

// What people see: nothing that acts on their terminal, what is wrong first,
// and what was not told one by one.
func TestWriteHealth(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	h := provision.Health{
		Accounts: 2, Entries: 1, Records: map[string]int{"account": 2, "link": 1},
		Findings: []provision.Finding{
			{
				Code: provision.FindDuplicateMail, Key: "email:1", Account: "a", Detail: "\x1b[2J bears", Do: "choose",
				Accounts: []provision.Bearer{
					{ID: "a", Username: "ada", Email: "x@y", Status: provision.Active, Created: day, LastSignIn: day, Found: true},
					{ID: "b", Username: "bob", Email: "x@y", Status: provision.Active, Created: day},
				},
			},
			{Code: provision.FindStale, Key: "email:2", Detail: "leads nowhere", Do: "a repair removes it", Harmless: true},
			{Code: provision.FindMissing, Key: "email:3", Account: "c", Detail: "was lost", Do: "a repair makes it", Repaired: true},
		},
		Counts:   map[provision.FindingCode]int{provision.FindDuplicateMail: 1, provision.FindStale: 5, provision.FindMissing: 1},
		Repaired: 1, Remain: 1, Harmless: 5,
	}
	want := `looked at 2 accounts, 1 entry
  account  2
  link     1

duplicate-email
  record   email:1
  account  a
  what     ` + "\ufffd" + `[2J bears
           a: username ada, e-mail x@y, active, created 2026-03-01T00:00:00Z, last signed in 2026-03-01, is found
           b: username bob, e-mail x@y, active, created 2026-03-01T00:00:00Z, never signed in
  do       choose

entry-stale (harmless)
  record   email:2
  what     leads nowhere
  do       a repair removes it

entry-missing (repaired)
  record   email:3
  account  c
  what     was lost

and 4 more; by kind:
  duplicate-email      1
  entry-missing        1
  entry-stale          5
`
	var out strings.Builder
	if err := writeHealth(&out, h); err != nil || out.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out.String(), want)
	}
	for want, h := range map[string]provision.Health{
		"healthy":                      {},
		"healthy: 1 harmless leftover": {Harmless: 1},
		"healthy: 2 repaired, 3 harmless leftovers": {Repaired: 2, Harmless: 3},
		"1 finding": {Remain: 1},
		"2 findings, 1 repaired, 5 harmless leftovers": {Remain: 2, Repaired: 1, Harmless: 5},
	} {
		if got := diagnosis(h); got != want {
			t.Errorf("diagnosis %q, want %q", got, want)
		}
	}
}

// The walk through a large store takes longer than other commands may.
func TestDoctorMayTakeLong(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	cfg := p.load(t)
	left := make(chan time.Duration, 1)
	s := &adminsock.Server{Log: slog.New(slog.DiscardHandler), Run: func(ctx context.Context, c adminsock.Command, _, _ io.Writer) int {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		return len(c.Args)
	}}
	if err := s.Listen(cfg.Server.AdminSocket); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	p.command("", "doctor")
	if d := <-left; d < time.Hour {
		t.Errorf("a doctor has %s", d)
	}
	p.command("", "session", "list")
	if d := <-left; d > commandTimeout {
		t.Errorf("another command has %s", d)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
