package mfa

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/store/memory"
)

var (
	_ auth.Enroller = (*Passkeys)(nil)
	_ Renamer       = (*Passkeys)(nil)
)

func newPasskeys(t testing.TB) (*Passkeys, *clock, *memory.Store) {
	t.Helper()
	f, c, st := newTOTP(t)
	return &Passkeys{
		Store: st, Throttle: f.Throttle, Party: RelyingPartyOf("https://gate.example", "Gatehouse"), Now: c.now,
	}, c, st
}

func signingIn(account string) auth.Claimant {
	return auth.Claimant{Account: account, Label: "ada", Purpose: auth.PurposeSignIn, Binding: "here"}
}

func enrolling(account string) auth.Claimant {
	return auth.Claimant{Account: account, Label: "ada", Purpose: auth.PurposeEnrol, Binding: "here"}
}

// registered makes a passkey of the account on the device.
func registered(t testing.TB, p *Passkeys, d *device, account string) {
	t.Helper()
	e, err := p.Offer(t.Context(), enrolling(account))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Confirm(t.Context(), enrolling(account), e, d.create(t, e)); err != nil {
		t.Fatal(err)
	}
}

func challenged(t testing.TB, p *Passkeys, c auth.Claimant) auth.Challenge {
	t.Helper()
	asked, err := p.Challenge(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

func discovered(t testing.TB, p *Passkeys) auth.Challenge {
	t.Helper()
	asked, err := p.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

func TestPasskey(t *testing.T) {
	p, c, _ := newPasskeys(t)
	d := newDevice(t)
	e, err := p.Offer(t.Context(), signingIn("a"))
	if err != nil {
		t.Fatal(err)
	}
	o := optionsOf(t, e.Options)
	got := []string{o.RP.ID, o.User.ID, o.User.Name, o.Selection.ResidentKey, o.Selection.UserVerification, o.Attestation}
	if d := cmp.Diff([]string{"gate.example", b64([]byte("a")), "ada", "required", "preferred", "none"}, got); d != "" || !o.Selection.RequireResidentKey {
		t.Errorf("options (-want +got):\n%s", d)
	}
	answer := d.create(t, e)
	for i, want := range []error{nil, auth.ErrInvalidState} {
		if err := p.Confirm(t.Context(), signingIn("a"), e, answer); !errors.Is(err, want) {
			t.Errorf("confirmation %d: %v, want %v", i+1, err, want)
		}
	}
	c.advance(time.Minute)
	asked := challenged(t, p, signingIn("a"))
	if o := optionsOf(t, asked.Options); o.RPID != "gate.example" || len(o.Allow) != 1 || o.Allow[0].ID != b64(d.id) || o.UserVerification != "preferred" {
		t.Errorf("options: %+v", o)
	}
	if err := p.Verify(t.Context(), signingIn("a"), asked, d.get(t, asked)); err != nil {
		t.Error(err)
	}
	all, err := p.Enrolled(t.Context(), "a")
	if err != nil || len(all) != 1 || all[0].Name != "Passkey" || all[0].Used.IsZero() || all[0].Barred {
		t.Errorf("enrolled: %+v, %v", all, err)
	}
	if holders, err := p.Holders(t.Context()); err != nil || !cmp.Equal(holders, map[string]bool{"a": true}) {
		t.Errorf("Holders = %v, %v", holders, err)
	}
	// Another offer keeps the browser from making a second one on this device.
	if e, err := p.Offer(t.Context(), enrolling("a")); err != nil || len(optionsOf(t, e.Options).Exclude) != 1 {
		t.Errorf("excluded: %s, %v", e.Options, err)
	}
	if err := p.Rename(t.Context(), "a", all[0].ID, "laptop"); err != nil {
		t.Error(err)
	}
	if err := p.Remove(t.Context(), "a", all[0].ID); err != nil {
		t.Error(err)
	}
	if err := p.Remove(t.Context(), "a", all[0].ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("remove again: %v", err)
	}
	if _, err := p.Challenge(t.Context(), signingIn("a")); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("challenge without a passkey: %v, want ErrNotFound", err)
	}
}

func TestPasskeyIsAWholeSignIn(t *testing.T) {
	p, _, _ := newPasskeys(t)
	d := newDevice(t)
	registered(t, p, d, "a")
	asked := discovered(t, p)
	if o := optionsOf(t, asked.Options); len(o.Allow) != 0 || o.UserVerification != "required" {
		t.Errorf("options: %s", asked.Options)
	}
	answer := d.get(t, asked)
	if account, err := p.Identify(t.Context(), asked, answer); account != "a" || err != nil {
		t.Errorf("Identify = %q, %v", account, err)
	}
	if account, err := p.Identify(t.Context(), asked, answer); account != "" || err != auth.ErrWrongCode {
		t.Errorf("the same answer again: %q, %v, want ErrWrongCode", account, err)
	}
}

// Each is an attack: an answer that proves something, and not this.
func TestPasskeyAnswersThatDoNotPass(t *testing.T) {
	tests := []struct {
		name string
		turn func(d *device)
		may  bool // pass as a second factor
	}{
		{name: "wrong origin", turn: func(d *device) { d.origin = "https://gate.example.evil.example" }},
		{name: "another port", turn: func(d *device) { d.origin = "https://gate.example:8443" }},
		{name: "the origin spelled otherwise", turn: func(d *device) { d.origin = "https://GATE.example:443" }},
		{name: "a subdomain", turn: func(d *device) { d.origin = "https://app.gate.example" }},
		{name: "without encryption", turn: func(d *device) { d.origin = "http://gate.example" }},
		{name: "in a frame of another site", turn: func(d *device) { d.cross = true }},
		{name: "another relying party", turn: func(d *device) { d.domain = "evil.example" }},
		{name: "a registration's client data", turn: func(d *device) { d.kind = "webauthn.create" }},
		{name: "nobody there", turn: func(d *device) { d.absent = true }},
		{name: "the counter went back", turn: func(d *device) { d.counter = 0 }},
		{name: "the counter stands", turn: func(d *device) { d.counter-- }},
		{name: "another key", turn: func(d *device) { d.key = newDevice(t).key }},
		{name: "an unknown credential", turn: func(d *device) { d.id = []byte("unknown-credential") }},
		{name: "another account's handle", turn: func(d *device) { d.handle = []byte("b") }},
		{name: "it became one for several devices", turn: func(d *device) { d.backed = true }},
		{name: "the person is not verified", turn: func(d *device) { d.verifies = false }, may: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _, _ := newPasskeys(t)
			d := newDevice(t)
			registered(t, p, d, "a")
			registered(t, p, newDevice(t), "b")
			tt.turn(d)
			asked := discovered(t, p)
			if account, err := p.Identify(t.Context(), asked, d.get(t, asked)); account != "" || err != auth.ErrWrongCode {
				t.Errorf("whole sign-in: %q, %v, want ErrWrongCode", account, err)
			}
			if strings.HasPrefix(tt.name, "the counter") {
				d.counter = 0
			}
			asked = challenged(t, p, signingIn("a"))
			err := p.Verify(t.Context(), signingIn("a"), asked, d.get(t, asked))
			if tt.may && err != nil || !tt.may && err != auth.ErrWrongCode {
				t.Errorf("second factor: %v", err)
			}
		})
	}
}

// Attack: copy a passkey out of its authenticator. Its owner is told by the log.
func TestCopiedPasskeyIsLogged(t *testing.T) {
	p, _, _ := newPasskeys(t)
	var log bytes.Buffer
	p.Log = slog.New(slog.NewTextHandler(&log, nil))
	d := newDevice(t)
	d.counter = 7
	registered(t, p, d, "a")
	d.counter = 3
	asked := challenged(t, p, signingIn("a"))
	if err := p.Verify(t.Context(), signingIn("a"), asked, d.get(t, asked)); err != auth.ErrWrongCode {
		t.Errorf("error %v, want ErrWrongCode", err)
	}
	if !strings.Contains(log.String(), "counter went back") || !strings.Contains(log.String(), "account=a") {
		t.Errorf("the log does not tell: %s", log.String())
	}
}

// Authenticators without a counter always say 0.
func TestPasskeyWithoutACounter(t *testing.T) {
	p, _, _ := newPasskeys(t)
	d := newDevice(t)
	d.counter, d.backed = 0, true
	registered(t, p, d, "a")
	for range 2 {
		d.counter--
		asked := challenged(t, p, signingIn("a"))
		if err := p.Verify(t.Context(), signingIn("a"), asked, d.get(t, asked)); err != nil {
			t.Error(err)
		}
	}
}

// Attack: an answer is used at another account, another sign-in, or for
// something else than it was asked for.
func TestPasskeyAnswerIsBound(t *testing.T) {
	p, c, _ := newPasskeys(t)
	d := newDevice(t)
	registered(t, p, d, "a")
	asked := challenged(t, p, signingIn("a"))
	answer := d.get(t, asked)
	other := signingIn("a")
	other.Account = "b"
	elsewhere := signingIn("a")
	elsewhere.Binding = "elsewhere"
	for name, by := range map[string]auth.Claimant{"account": other, "sign-in": elsewhere, "purpose": enrolling("a")} {
		if err := p.Verify(t.Context(), by, asked, answer); err != auth.ErrWrongCode {
			t.Errorf("another %s: %v, want ErrWrongCode", name, err)
		}
	}
	if account, err := p.Identify(t.Context(), asked, answer); account != "" || err != auth.ErrWrongCode {
		t.Errorf("a second factor as a whole sign-in: %q, %v, want ErrWrongCode", account, err)
	}
	whole := discovered(t, p)
	if err := p.Verify(t.Context(), signingIn("a"), whole, d.get(t, whole)); err != auth.ErrWrongCode {
		t.Errorf("a whole sign-in as a second factor: %v, want ErrWrongCode", err)
	}
	e, err := p.Offer(t.Context(), enrolling("a"))
	if err != nil {
		t.Fatal(err)
	}
	another := newDevice(t)
	if err := p.Confirm(t.Context(), enrolling("b"), e, another.create(t, e)); err != auth.ErrWrongCode {
		t.Errorf("another account's offer: %v, want ErrWrongCode", err)
	}
	c.advance(ceremonyLife)
	if err := p.Throttle.Forget(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(t.Context(), signingIn("a"), asked, answer); err != auth.ErrWrongCode {
		t.Errorf("a late answer: %v, want ErrWrongCode", err)
	}
}

// Attack: send one answer fifty times at once, or again after another passed.
func TestPasskeyAnswerPassesOnce(t *testing.T) {
	p, c, st := newPasskeys(t)
	d := newDevice(t)
	registered(t, p, d, "a")
	asked := challenged(t, p, signingIn("a"))
	answer := d.get(t, asked)
	passesOnce(t, func(int) error {
		at := &Passkeys{Store: st, Party: p.Party, Now: p.Now, Throttle: counter(c)}
		return at.Verify(t.Context(), signingIn("a"), asked, answer)
	})
	// With authenticators that have no counter, only the challenge tells.
	nc := newDevice(t)
	nc.counter = 0
	registered(t, p, nc, "b")
	nc.counter--
	first := challenged(t, p, signingIn("b"))
	old := nc.get(t, first)
	if err := p.Verify(t.Context(), signingIn("b"), first, old); err != nil {
		t.Fatal(err)
	}
	nc.counter--
	second := challenged(t, p, signingIn("b"))
	if err := p.Verify(t.Context(), signingIn("b"), second, nc.get(t, second)); err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(t.Context(), signingIn("b"), first, old); err != auth.ErrWrongCode {
		t.Errorf("an answer from before the last: %v, want ErrWrongCode", err)
	}
}

// Attack: with the password alone, begin an enrolment, and confirm it after the
// owner has enrolled.
func TestPasskeyDoesNotJoinAtASignIn(t *testing.T) {
	p, _, _ := newPasskeys(t)
	e, err := p.Offer(t.Context(), signingIn("a"))
	if err != nil {
		t.Fatal(err)
	}
	registered(t, p, newDevice(t), "a")
	if err := p.Confirm(t.Context(), signingIn("a"), e, newDevice(t).create(t, e)); !errors.Is(err, auth.ErrInvalidState) {
		t.Errorf("error %v, want ErrInvalidState", err)
	}
}

func TestPasskeysHaveABound(t *testing.T) {
	p, c, _ := newPasskeys(t)
	for range maxPasskeys - 1 {
		registered(t, p, newDevice(t), "a")
	}
	c.advance(ceremonyLife)
	e, err := p.Offer(t.Context(), enrolling("a"))
	if err != nil {
		t.Fatal(err)
	}
	registered(t, p, newDevice(t), "a")
	if err := offersLike(t, p, "a"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("passkey %d is offered: %v, want ErrNotFound", maxPasskeys+1, err)
	}
	if err := p.Confirm(t.Context(), enrolling("a"), e, newDevice(t).create(t, e)); !errors.Is(err, auth.ErrInvalidState) {
		t.Errorf("passkey %d: %v, want ErrInvalidState", maxPasskeys+1, err)
	}
	var rec passkeyRecord
	value, err := p.Store.Get(t.Context(), passkeyKey("a"))
	if err != nil || json.Unmarshal(value, &rec) != nil || len(rec.Spent) > maxSpent {
		t.Errorf("%d challenges are remembered, %v", len(rec.Spent), err)
	}
}

func TestMalformedPasskeyAnswers(t *testing.T) {
	p, _, _ := newPasskeys(t)
	d := newDevice(t)
	registered(t, p, d, "a")
	asked := challenged(t, p, signingIn("a"))
	right := d.get(t, asked)
	e, err := p.Offer(t.Context(), enrolling("a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{"", "123456", "{}", "null", "[]", right[:len(right)/2], right + strings.Repeat(" ", auth.MaxAnswer)} {
		if err := p.Throttle.Forget(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := p.Verify(t.Context(), signingIn("a"), asked, answer); err != auth.ErrWrongCode {
			t.Errorf("Verify(%.20q) = %v, want ErrWrongCode", answer, err)
		}
		if err := p.Confirm(t.Context(), enrolling("a"), e, answer); err != auth.ErrWrongCode {
			t.Errorf("Confirm(%.20q) = %v, want ErrWrongCode", answer, err)
		}
		if _, err := p.Identify(t.Context(), discovered(t, p), answer); err != auth.ErrWrongCode {
			t.Errorf("Identify(%.20q) = %v, want ErrWrongCode", answer, err)
		}
	}
	for _, asked := range []auth.Challenge{{}, {Kind: "passkey"}, {Kind: "passkey", State: []byte("{}")}, {Kind: "totp", State: asked.State}} {
		if err := p.Throttle.Forget(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := p.Verify(t.Context(), signingIn("a"), asked, right); err != auth.ErrWrongCode {
			t.Errorf("challenge %+v: %v, want ErrWrongCode", asked, err)
		}
	}
}

// After public_url has become one without passkeys, those that there are bar.
func TestPasskeysWhereTheyDoNotWork(t *testing.T) {
	p, _, _ := newPasskeys(t)
	registered(t, p, newDevice(t), "a")
	p.Party = RelyingPartyOf("http://192.0.2.1", "Gatehouse")
	if all, err := p.Enrolled(t.Context(), "a"); err != nil || len(all) != 1 || !all[0].Barred {
		t.Errorf("enrolled: %+v, %v", all, err)
	}
	_, offer := p.Offer(t.Context(), enrolling("a"))
	_, challenge := p.Challenge(t.Context(), signingIn("a"))
	_, discover := p.Discover(t.Context())
	for name, err := range map[string]error{"offer": offer, "challenge": challenge, "discover": discover} {
		if !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
}

func TestRelyingPartyOf(t *testing.T) {
	for in, want := range map[string]RelyingParty{
		"https://gate.example":          {Domain: "gate.example", Origin: "https://gate.example", Name: "G"},
		"https://Gate.Example:443":      {Domain: "gate.example", Origin: "https://gate.example", Name: "G"},
		"https://gate.example:8443/x":   {Domain: "gate.example", Origin: "https://gate.example:8443", Name: "G"},
		"http://localhost:4180":         {Domain: "localhost", Origin: "http://localhost:4180", Name: "G"},
		"http://gate.localhost":         {Domain: "gate.localhost", Origin: "http://gate.localhost", Name: "G"},
		"http://gate.example":           {},
		"https://192.0.2.1":             {},
		"https://[2001:db8::1]":         {},
		"http://127.0.0.1:4180":         {},
		"http://localhost.evil.example": {},
		"ftp://localhost":               {},
		"":                              {},
		"://":                           {},
	} {
		if d := cmp.Diff(want, RelyingPartyOf(in, "G")); d != "" {
			t.Errorf("%q (-want +got):\n%s", in, d)
		}
	}
}

func TestPasskeyStoreTrouble(t *testing.T) {
	p, _, st := newPasskeys(t)
	d := newDevice(t)
	registered(t, p, d, "a")
	asked, whole := challenged(t, p, signingIn("a")), discovered(t, p)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	_, enrolled := p.Enrolled(t.Context(), "a")
	_, holders := p.Holders(t.Context())
	_, offer := p.Offer(t.Context(), enrolling("a"))
	_, challenge := p.Challenge(t.Context(), signingIn("a"))
	_, identify := p.Identify(t.Context(), whole, d.get(t, whole))
	for name, err := range map[string]error{
		"enrolled": enrolled, "holders": holders, "offer": offer, "challenge": challenge, "identify": identify,
		"verify": p.Verify(t.Context(), signingIn("a"), asked, d.get(t, asked)),
		"remove": p.Remove(t.Context(), "a", "x"), "reset": p.Reset(t.Context(), "a"),
	} {
		if !errors.Is(err, auth.ErrStoreDown) {
			t.Errorf("%s: %v, want ErrStoreDown", name, err)
		}
	}
}
