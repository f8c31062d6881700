package main

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/auth/mfa"
)

// fillAccount gives an account something of every kind that is kept.
func fillAccount(t *testing.T, a *state, id, address string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	addApp(t, a, id, "phone")
	must(a.recovery.Keep(ctx, id, a.recovery.Generate()))
	for key, value := range map[string]string{
		mfa.EmailRecordKind: `{"address":"` + address + `","since":"2026-01-01T00:00:00Z"}`,
		auth.KindPasskey:    `{"keys":[{"id":"k","name":"key","since":"2026-01-01T00:00:00Z"}]}`,
	} {
		must(a.store.Create(ctx, key+":"+id, []byte(value), 0))
	}
	_, err := a.emailCode.Challenge(ctx, auth.Claimant{Account: id, Purpose: auth.PurposeSignIn, Binding: "x"})
	must(err)
	must(a.demands.Demand(ctx, id))
	_, _, err = a.passwords.Remember(ctx, id)
	must(err)
	_, _, err = a.passwords.NewLink(ctx, id, auth.LinkReset, address)
	must(err)
}

// traces are the kinds of records that tell of an account: by their key, or by
// what can be read in them.
func traces(t *testing.T, a *state, id, address string) []string {
	t.Helper()
	kinds := map[string]bool{}
	err := a.store.Scan(t.Context(), "", func(key string, value []byte) error {
		text := key + string(value)
		if strings.Contains(text, id) || strings.Contains(text, address) {
			kind, _, _ := strings.Cut(key, ":")
			kinds[kind] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(kinds))
}

// A deletion leaves nothing that does not go by itself soon: the mails that
// wait, and a link that leads nowhere any more. A reset of the factors leaves
// nothing of them. The doctor knows every kind that would stay.
func TestTracesOfAnAccount(t *testing.T) {
	const address = "ada@acme.example"
	for name, open := range places(t, "mail: {address: \"127.0.0.1:9\", from: gate@acme.example}\n") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, goodPassword+"\n", "user", "add", "ada", "--email", address, "--password-stdin")
			id := p.shown(t, "ada").ID
			p.signIn(t, id)
			factors := []string{"emailcode", "emailsent", "enrolment", "passkey", "recovery_code", "totp"}
			kept := []string{"account", "history", "password"}
			for range 2 {
				p.use(t, func(a *state) {
					fillAccount(t, a, id, address)
					for _, kind := range slices.Concat(factors, kept, []string{"newestlink", "setlink", "mailqueue"}) {
						if has := traces(t, a, id, address); !slices.Contains(has, kind) {
							t.Errorf("nothing of %s was kept, only %v", kind, has)
						}
					}
				})
				var v exportView
				if err := json.Unmarshal([]byte(p.must(t, "", "user", "export", "ada").stdout), &v); err != nil {
					t.Fatal(err)
				}
				kinds := map[string]bool{}
				for _, f := range v.Factors {
					kinds[f.Kind] = true
				}
				if len(kinds) != 4 || v.CodesMailed != address || !v.EnrolmentDemanded {
					t.Errorf("the export: %+v, codes to %q, demanded %v", v.Factors, v.CodesMailed, v.EnrolmentDemanded)
				}
				p.must(t, "", "user", "reset-mfa", "ada")
				p.use(t, func(a *state) {
					for _, kind := range traces(t, a, id, address) {
						if slices.Contains(factors, kind) {
							t.Errorf("%s outlives a reset of the factors", kind)
						}
					}
				})
			}
			p.use(t, func(a *state) { fillAccount(t, a, id, address) })
			p.must(t, "", "user", "delete", "ada")
			p.use(t, func(a *state) {
				if diff := cmp.Diff([]string{"mailqueue", "setlink"}, traces(t, a, id, address)); diff != "" {
					t.Errorf("kept after the deletion (-want +got):\n%s", diff)
				}
			})

			// What a process that died in a deletion has left, or written after it.
			p.use(t, func(a *state) { fillAccount(t, a, id, address) })
			p.command("", "doctor", "--repair")
			p.use(t, func(a *state) {
				left := slices.DeleteFunc(traces(t, a, id, address), func(kind string) bool {
					return slices.Contains([]string{"emailsent", "newestlink", "setlink", "mailqueue", "devices"}, kind) // they expire
				})
				if len(left) != 0 {
					t.Errorf("kept after a repair: %v", left)
				}
			})
		})
	}
}

// An export says from where each session is, and where links were mailed.
func TestExportOfSessionsAndLinks(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.must(t, goodPassword+"\n", "user", "add", "ada", "--email", "ada@acme.example", "--password-stdin")
	id := p.shown(t, "ada").ID
	proved := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p.use(t, func(a *state) {
		token, _, err := a.passwords.NewLink(t.Context(), id, auth.LinkReset, "ada@acme.example")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.passwords.SetByLink(t.Context(), token, "another long and good password"); err != nil {
			t.Fatal(err)
		}
	})
	p.use(t, func(a *state) {
		r := httptest.NewRequest("GET", "/", nil)
		r = r.WithContext(auth.WithClient(r.Context(), auth.Client{Address: "192.0.2.7", Agent: "Firefox"}))
		_, err := a.sessions.Start(httptest.NewRecorder(), r, auth.Session{
			Account: id, Identity: auth.Identity{Connection: auth.Local, Subject: id}, Proved: proved,
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	var v exportView
	if err := json.Unmarshal([]byte(p.must(t, "", "user", "export", "ada").stdout), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Sessions) != 1 || v.Sessions[0].Address != "192.0.2.7" || v.Sessions[0].Agent != "Firefox" || !v.Sessions[0].Proved.Equal(proved) {
		t.Errorf("sessions: %+v", v.Sessions)
	}
	if v.PasswordMailed != "ada@acme.example" {
		t.Errorf("mailed to %q", v.PasswordMailed)
	}
}
