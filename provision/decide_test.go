package provision

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// existing is an account that an administrator added, with the e-mail of
// identity("acme", "alice").
func existing(more ...func(*Account)) *Account {
	a := &Account{
		Version: accountVersion, ID: "existing", Status: Active, Username: "al", Source: auth.Local, Created: noon,
		Email:      Email{Address: "alice@people.example", Verified: true, Source: auth.Local, Time: noon},
		Attributes: map[string]Attribute{}, Groups: []Group{{Name: "admins", Source: auth.Local, Time: noon}},
	}
	for _, f := range more {
		f(a)
	}
	return a
}

func status(s Status) func(*Account) { return func(a *Account) { a.Status = s } }

func linkTo(connection, subject string) func(*Account) {
	return func(a *Account) {
		a.Links = append(a.Links, Link{Connection: connection, Issuer: issuerOf(connection), Subject: subject, Time: noon})
	}
}

func admittedTo(t *testing.T, conn *connection, id auth.Identity) admitted {
	t.Helper()
	a, err := admit(conn, id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestLinkExisting holds every cell of the table in provisioning.md section 2:
// each value of link_existing against each kind of target.
func TestLinkExisting(t *testing.T) {
	const linked, confirm = auth.Reason(""), auth.Reason("confirm")
	type target struct {
		name             string
		account          func(*Account)
		protected        []string
		password, factor bool
		others           []string
	}
	plain := target{name: "plain"}
	password := target{name: "password", password: true}
	factor := target{name: "password and factor", password: true, factor: true}
	protected := target{name: "protected group and password", protected: []string{"admins"}, password: true}
	passwordless := target{name: "protected group, nothing to prove it with", protected: []string{"admins"}}
	elsewhere := target{name: "protected group, linked elsewhere", protected: []string{"admins"}, others: []string{"partner"}}
	resubject := target{name: "other subject of this connection", account: linkTo("acme", "alice-before"), password: true}
	disabled := target{name: "disabled", account: status(Disabled)}
	deleting := target{name: "deleting", account: status(Deleting)}

	for _, c := range []struct {
		value string
		want  map[*target]auth.Reason
	}{
		{config.LinkAuto, map[*target]auth.Reason{
			&plain: linked, &password: linked, &factor: confirm, &protected: confirm,
			&passwordless: auth.DeniedUnconfirmable, &elsewhere: confirm, &resubject: confirm,
			&disabled: auth.DeniedDisabled, &deleting: auth.DeniedDisabled,
		}},
		{config.LinkAlways, map[*target]auth.Reason{
			&plain: linked, &password: linked, &factor: linked, &protected: linked,
			&passwordless: linked, &elsewhere: linked, &resubject: confirm,
			&disabled: auth.DeniedDisabled, &deleting: auth.DeniedDisabled,
		}},
		{config.LinkConfirm, map[*target]auth.Reason{
			&plain: auth.DeniedUnconfirmable, &password: confirm, &factor: confirm, &protected: confirm,
			&passwordless: auth.DeniedUnconfirmable, &elsewhere: confirm, &resubject: confirm,
			&disabled: auth.DeniedDisabled, &deleting: auth.DeniedDisabled,
		}},
		{config.LinkDeny, map[*target]auth.Reason{
			&plain: auth.DeniedLink, &password: auth.DeniedLink, &factor: auth.DeniedLink, &protected: auth.DeniedLink,
			&passwordless: auth.DeniedLink, &elsewhere: auth.DeniedLink, &resubject: auth.DeniedLink,
			&disabled: auth.DeniedDisabled, &deleting: auth.DeniedDisabled,
		}},
		// A value that this binary does not know must not be laxer than auto.
		{"surprise", map[*target]auth.Reason{&plain: linked, &factor: confirm, &protected: confirm}},
	} {
		for to, want := range c.want {
			t.Run(c.value+"/"+to.name, func(t *testing.T) {
				conn := jitConnection("acme")
				conn.JIT.LinkExisting, conn.JIT.LinkProtectedGroups = c.value, to.protected
				a := existing()
				if to.account != nil {
					to.account(a)
				}
				p, err := decide(question{
					conn: compiled(conn), id: admittedTo(t, compiled(conn), identity("acme", "alice")), byEmail: []*Account{a},
					password: to.password, factor: to.factor, others: to.others, now: noon,
				})
				if want == confirm {
					if err != nil || p.verdict != auth.Confirm || p.confirmation == nil || p.account != nil {
						t.Fatalf("decide: %+v, %v; want a confirmation", p, err)
					}
					return
				}
				var denied *auth.Denied
				if errors.As(err, &denied); want != linked {
					if denied == nil || denied.Reason != want {
						t.Fatalf("decide: %+v, %v; want %s", p, err, want)
					}
					return
				}
				if err != nil || p.verdict != auth.Linked || !p.account.linked("acme", issuerOf("acme"), "alice") {
					t.Fatalf("decide: %+v, %v; want linked", p, err)
				}
			})
		}
	}
}

func TestDecide(t *testing.T) {
	conn := jitConnection("acme")
	noCreate := conn
	noCreate.JIT.Create = false
	alice := admittedTo(t, compiled(conn), identity("acme", "alice"))
	made := provisioned(compiled(conn), alice, noon)
	made.ID, made.Username, made.Status = "made", "alice", Active
	reasonOf := func(r auth.Reason) string { return string(r) }
	for _, c := range []struct {
		name string
		q    question
		want string // verdict or reason
	}{
		{"nobody", question{conn: compiled(conn), id: alice}, string(auth.Created)},
		{"nobody, create is false", question{conn: compiled(noCreate), id: alice}, reasonOf(auth.DeniedNoAccount)},
		{"linked, create is false", question{conn: compiled(noCreate), id: alice, byLink: made}, string(auth.Unchanged)},
		{"linked, nothing new", question{conn: compiled(conn), id: alice, byLink: made}, string(auth.Unchanged)},
		{"linked, changed", question{conn: compiled(conn), id: admittedTo(t, compiled(conn), identity("acme", "alice", groups("other"))), byLink: made}, string(auth.Updated)},
		// The link comes first: an e-mail that is somebody else's leads nowhere.
		{"linked, and the e-mail of another", question{conn: compiled(conn), id: alice, byLink: made, byEmail: []*Account{existing()}}, string(auth.Unchanged)},
		{"linked, disabled", question{conn: compiled(conn), id: alice, byLink: existing(status(Disabled))}, reasonOf(auth.DeniedDisabled)},
		{"linked, being deleted", question{conn: compiled(conn), id: alice, byLink: existing(status(Deleting))}, reasonOf(auth.DeniedDisabled)},
		// "The first" of two would be an attacker's to choose.
		{"two accounts", question{conn: compiled(conn), id: alice, byEmail: []*Account{existing(), made}}, reasonOf(auth.DeniedAmbiguous)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.now = noon
			p, err := decide(c.q)
			got := string(p.verdict)
			var denied *auth.Denied
			if errors.As(err, &denied) {
				got = string(denied.Reason)
			} else if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("decide = %s, want %s", got, c.want)
			}
		})
	}
}

// Who may not come in because the account has nothing to be proved with can do
// nothing about it: the log tells the administrator what they can.
func TestUnconfirmableSaysWhatToDo(t *testing.T) {
	protected := jitConnection("acme")
	protected.JIT.LinkProtectedGroups = []string{"admins"}
	asks := jitConnection("acme")
	asks.JIT.LinkExisting = config.LinkConfirm
	for _, c := range []struct {
		name    string
		conn    config.Connection
		account *Account
		factor  bool
		want    string
	}{
		{"protected group", protected, existing(), false, "take it out of that group, or set link_existing: always"},
		{"a factor and no password", jitConnection("acme"), existing(), true, "gatehouse user reset-mfa existing"},
		{"confirm", asks, existing(), false, "set link_existing: auto"},
		{"another subject", jitConnection("acme"), existing(linkTo("acme", "alice-before")), false, "gatehouse user unlink existing --connection acme"},
		// link_existing: always would not let them in, so it is not recommended.
		{"another subject, always", func() config.Connection {
			always := jitConnection("acme")
			always.JIT.LinkExisting = config.LinkAlways
			return always
		}(), existing(linkTo("acme", "alice-before")), false, "gatehouse user unlink existing --connection acme"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decide(question{
				conn: compiled(c.conn), id: admittedTo(t, compiled(c.conn), identity("acme", "alice")),
				byEmail: []*Account{c.account}, factor: c.factor, now: noon,
			})
			var denied *auth.Denied
			if !errors.As(err, &denied) || denied.Reason != auth.DeniedUnconfirmable {
				t.Fatalf("decide: %v", err)
			}
			for _, want := range []string{"gatehouse user set-password existing", c.want} {
				if !strings.Contains(denied.Detail, want) {
					t.Errorf("the log does not say %q: %s", want, denied.Detail)
				}
			}
		})
	}
}
