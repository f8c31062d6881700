package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pquerna/otp/totp"

	"gatehouse/auth"
	"gatehouse/auth/mfa"
	"gatehouse/internal/store/storetest"
)

// addApp gives the account an authenticator app beside those that it has.
func addApp(t *testing.T, a *state, account, name string) {
	t.Helper()
	by := auth.Claimant{Account: account, Label: "ada", Purpose: auth.PurposeEnrol}
	e, err := a.totp.Offer(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	e.Name = name
	code, err := totp.GenerateCode(e.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.totp.Confirm(t.Context(), by, e, code); err != nil {
		t.Fatal(err)
	}
}

func TestFactorCommands(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, "", "user", "add", "ada")
			id := p.shown(t, "ada").ID
			listed := func() (v factorsView) {
				if err := json.Unmarshal([]byte(p.must(t, "", "user", "factors", "ada", "--json").stdout), &v); err != nil {
					t.Fatal(err)
				}
				return v
			}
			if got := listed(); got.Factors == nil || len(got.Factors) != 0 || got.Demanded {
				t.Errorf("of a new account: %+v", got)
			}
			p.use(t, func(a *state) {
				addApp(t, a, id, "phone")
				addApp(t, a, id, "tablet")
				if err := a.recovery.Keep(t.Context(), id, a.recovery.Generate()); err != nil {
					t.Fatal(err)
				}
			})
			p.must(t, "", "user", "require-mfa", "ada")
			ten := 10
			want := factorsView{Factors: []factorView{
				{Kind: "totp", Name: "phone"}, {Kind: "totp", Name: "tablet"}, {ID: "recovery_code", Kind: "recovery_code", Left: &ten},
			}, Demanded: true}
			ids := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ID" }, cmp.Comparer(func(a, b string) bool { return (a == "") != (b == "") || a == b }))
			has := listed()
			if d := cmp.Diff(want, has, ids, cmpopts.IgnoreFields(factorView{}, "Since")); d != "" {
				t.Errorf("factors (-want +got):\n%s", d)
			}
			shown := p.shown(t, "ada")
			if d := cmp.Diff([]string{"totp", "recovery_code"}, shown.Factors); d != "" {
				t.Errorf("kinds (-want +got):\n%s", d)
			}
			if d := cmp.Diff(has.Factors, shown.Authenticators); d != "" {
				t.Errorf("authenticators (-listed +shown):\n%s", d)
			}
			for _, part := range []string{`totp "phone"`, "(10 left)", "never", "enrols another"} {
				if out := p.must(t, "", "user", "factors", "ada").stdout; !strings.Contains(out, part) {
					t.Errorf("the list does not say %q:\n%s", part, out)
				}
			}

			p.refused(t, "no factor", "user", "reset-mfa", "ada", "--factor", "none")
			_, alive := p.signIn(t, id)
			p.must(t, "", "user", "reset-mfa", "ada", "--factor", has.Factors[0].ID)
			if alive() {
				t.Error("a session outlives its factor")
			}
			if out := p.must(t, "", "user", "history", "ada").stdout; !strings.Contains(out, "second factor removed by administrator") || !strings.Contains(out, "totp phone") {
				t.Errorf("the history does not say what was removed:\n%s", out)
			}
			if got := p.shown(t, "ada"); len(got.Authenticators) != 2 || got.Authenticators[0].Name != "tablet" {
				t.Errorf("left: %+v", got.Authenticators)
			}
		})
	}
}

// Attack: recovery codes that are left alone count as a second factor, so that
// none is enrolled or asked for.
func TestRecoveryCodesAloneAreNoFactor(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, "", "user", "add", "ada")
			id := p.shown(t, "ada").ID
			p.use(t, func(a *state) {
				if err := a.recovery.Keep(t.Context(), id, a.recovery.Generate()); err != nil {
					t.Fatal(err)
				}
				if has, err := (credentials{a}).HasFactor(t.Context(), id); has || err != nil {
					t.Errorf("HasFactor = %v, %v", has, err)
				}
				addApp(t, a, id, "")
				if has, err := (credentials{a}).HasFactor(t.Context(), id); !has || err != nil {
					t.Errorf("HasFactor with an app = %v, %v", has, err)
				}
			})
		})
	}
}

// With a mail server the code goes into the outbox; the address of an account
// is where it goes.
func TestCodesGoIntoTheOutbox(t *testing.T) {
	for name, open := range places(t, "mail: {address: \"127.0.0.1:9\", from: gate@acme.example}\n") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, "", "user", "add", "ada", "--email", "ada@acme.example")
			p.must(t, "", "user", "add", "bob")
			ada, bob := p.shown(t, "ada").ID, p.shown(t, "bob").ID
			p.use(t, func(a *state) {
				by := auth.Claimant{Account: ada, Purpose: auth.PurposeEnrol, Binding: "x"}
				if e, err := a.emailCode.Offer(t.Context(), by); err != nil || e.Hint != "a…@acme.example" {
					t.Errorf("offer %+v, %v", e, err)
				}
				// Once codes go there, no connection moves the address.
				for _, enrolled := range []bool{false, true} {
					if keeps, err := (credentials{a}).KeepsEmail(t.Context(), ada); keeps != enrolled || err != nil {
						t.Errorf("KeepsEmail = %v, %v, want %v", keeps, err, enrolled)
					}
					err := a.store.Update(t.Context(), mfa.EmailRecordKind+":"+ada, func([]byte) ([]byte, time.Duration, error) {
						return []byte(`{"address":"ada@acme.example","since":"2026-01-01T00:00:00Z"}`), 0, nil
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				by.Account = bob
				if _, err := a.emailCode.Offer(t.Context(), by); !errors.Is(err, auth.ErrNotFound) {
					t.Errorf("offer to who has no address: %v, want ErrNotFound", err)
				}
			})
			if out := p.must(t, "", "mail", "list", "--json").stdout; strings.Count(out, "ada@acme.example") != 1 {
				t.Errorf("the outbox: %s", out)
			}
		})
	}
}

// A promise that cannot be kept is none: no sign-in would ever enrol a factor.
func TestRequireMFAWhereNoneCanBeEnrolled(t *testing.T) {
	for more, why := range map[string]string{
		"mfa: {methods: [], enforce: off}\n":              "mfa.methods",
		"mfa: {methods: [recovery_code], enforce: off}\n": "mfa.methods",
		"local: {enabled: false}\n" + wayIn:               "local.enabled is false",
	} {
		p := &place{config: writeConfig(t, routesText+more)}
		p.must(t, "", "user", "add", "ada")
		p.refused(t, why, "user", "require-mfa", "ada")
		if out := p.must(t, "", "user", "factors", "ada").stdout; strings.Contains(out, "enrols") {
			t.Errorf("%sis demanded all the same: %s", more, out)
		}
	}
}

// wayIn is a connection, which there must be where local sign-in is off.
const wayIn = "connections: [{id: acme, name: Acme, type: oidc, issuer: 'https://id.acme.example', client_id: x, client_secret: s}]\n"

// A password that nobody can use is given, and the administrator is told.
func TestPasswordsWhereLocalSignInIsOff(t *testing.T) {
	for more, warns := range map[string]bool{"": false, "local: {enabled: false}\n" + wayIn: true} {
		p := &place{config: writeConfig(t, routesText+more)}
		for _, args := range [][]string{{"user", "add", "ada", "--password-stdin"}, {"user", "set-password", "ada", "--password-stdin"}} {
			if r := p.must(t, goodPassword+"\n", args...); strings.Contains(r.stderr, "local.enabled is false") != warns {
				t.Errorf("%q%q: %s", more, args, r.stderr)
			}
		}
	}
}

// Attack: sign in with a stolen app between the end of the sessions and the reset,
// and enrol a factor as soon as the reset is done.
func TestResetEndsSessionsInItsTurn(t *testing.T) {
	for name, c := range map[string]*userCommand{"all": {}, "one": {factor: optional{given: true}}} {
		t.Run(name, func(t *testing.T) {
			p := &place{config: writeConfig(t, routesText)}
			p.must(t, "", "user", "add", "ada")
			id := p.shown(t, "ada").ID
			p.use(t, func(a *state) {
				addApp(t, a, id, "phone")
				all, err := a.factors.All(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				c.factor.value = all[0].ID
				open := func() (n int) {
					if err := a.sessions.Open(t.Context(), id, func(*auth.Session) error { n++; return nil }); err != nil {
						t.Error(err)
					}
					return n
				}
				ended := false
				a.turns = &mfa.Turns{Store: &storetest.Faulty{Store: a.store, Before: func(op, _ string) error {
					if op == "create" { // the turn begins
						_, err := a.sessions.Start(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), auth.Session{Account: id})
						return err
					}
					ended = open() == 0 // the turn ends
					return nil
				}}}
				if _, err := a.administration().resetMFA(t.Context(), c, id, io.Discard); err != nil {
					t.Fatal(err)
				}
				if !ended {
					t.Error("a session is open when others may change the factors again")
				}
			})
		})
	}
}
