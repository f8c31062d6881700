package mfa

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image/png"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"gatehouse/auth"
	"gatehouse/internal/seal"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/throttle"
)

var _ auth.Enroller = (*TOTP)(nil)

type names struct{}

func (names) Hash(kind string, parts ...string) string { return kind + "/" + strings.Join(parts, "/") }

type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newTOTP(t testing.TB) (*TOTP, *clock, *memory.Store) {
	t.Helper()
	c := &clock{}
	c.ns.Store(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixNano()) // begins a step
	ring, err := seal.NewKeyring([]string{strings.Repeat("k", 32)})
	if err != nil {
		t.Fatal(err)
	}
	st := &memory.Store{Now: c.now}
	return &TOTP{
		Store: st, Keyring: ring, Issuer: "Gatehouse", Now: c.now,
		Throttle: &throttle.Throttle{Store: st, Index: names{}, Now: c.now},
	}, c, st
}

// code is what the person's app shows at a time.
func code(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	s, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// passesOnce sends one answer fifty times at once; verify judges the i-th.
func passesOnce(t *testing.T, verify func(i int) error) {
	t.Helper()
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := verify(i)
			switch {
			case err == nil:
				passed.Add(1)
			case err != auth.ErrWrongCode && !errors.As(err, new(*auth.Throttled)):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := passed.Load(); got != 1 {
		t.Errorf("one answer passed %d times", got)
	}
}

// counter is a counter of attempts for one of them alone, so that each is judged.
func counter(c *clock) *throttle.Throttle {
	return &throttle.Throttle{Store: &memory.Store{Now: c.now}, Index: names{}, Now: c.now}
}

// enrol enrols the account and waits until its first code is over.
func enrol(t *testing.T, f *TOTP, c *clock, account string) (secret string) {
	t.Helper()
	e, err := f.Offer(t.Context(), auth.Claimant{Account: account, Label: account})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Confirm(t.Context(), auth.Claimant{Account: account}, e, code(t, e.Secret, c.now())); err != nil {
		t.Fatal(err)
	}
	c.advance(10 * period * time.Second)
	return e.Secret
}

func TestWindow(t *testing.T) {
	tests := []struct {
		name   string
		offset time.Duration // of the app's clock
		want   error
	}{
		{"two steps behind", -60 * time.Second, auth.ErrWrongCode},
		{"one step behind", -30 * time.Second, nil},
		{"now", 0, nil},
		{"one step ahead", 30 * time.Second, nil},
		{"two steps ahead", 60 * time.Second, auth.ErrWrongCode},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, c, _ := newTOTP(t)
			secret := enrol(t, f, c, "a")
			err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now().Add(tt.offset)))
			if err != tt.want {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// Attack: look over the person's shoulder and type the same code again, now or
// as long as it stands in the window.
func TestCodePassesOnce(t *testing.T) {
	f, c, _ := newTOTP(t)
	secret := enrol(t, f, c, "a")
	first := code(t, secret, c.now())
	if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, first); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, first); err != auth.ErrWrongCode {
			t.Errorf("replayed code: %v, want ErrWrongCode", err)
		}
		c.advance(period * time.Second)
	}
	if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now())); err != nil {
		t.Errorf("the next code: %v", err)
	}
	// A code of a step before one that passed was perhaps seen as well.
	if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now().Add(-period*time.Second))); err != auth.ErrWrongCode {
		t.Errorf("an older code: %v, want ErrWrongCode", err)
	}
}

// Attack: submit one code fifty times at once, at two replicas.
func TestParallelSubmissions(t *testing.T) {
	f, c, _ := newTOTP(t)
	secret := enrol(t, f, c, "a")
	replica := &TOTP{Store: f.Store, Keyring: f.Keyring, Throttle: f.Throttle, Now: f.Now}
	answer := code(t, secret, c.now())
	passesOnce(t, func(i int) error {
		at := f
		if i%2 == 0 {
			at = replica
		}
		return at.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, answer)
	})
}

func TestAnswers(t *testing.T) {
	f, c, _ := newTOTP(t)
	secret := enrol(t, f, c, "a")
	right := code(t, secret, c.now())
	fullWidth := strings.Map(func(r rune) rune { return r - '0' + '０' }, right)
	arabic := strings.Map(func(r rune) rune { return r - '0' + '٠' }, right)
	for _, tt := range []struct {
		name, answer string
		want         error
	}{
		{"empty", "", auth.ErrWrongCode},
		{"spaces", "      ", auth.ErrWrongCode},
		{"five digits", right[:5], auth.ErrWrongCode},
		{"seven digits", right + "0", auth.ErrWrongCode},
		{"twice", right + right, auth.ErrWrongCode},
		{"full width", fullWidth, auth.ErrWrongCode},
		{"arabic digits", arabic, auth.ErrWrongCode},
		{"NUL", right + "\x00", auth.ErrWrongCode},
		{"very long", strings.Repeat(" ", 1<<20) + right, auth.ErrWrongCode},
		{"another person's", code(t, newSecret(), c.now()), auth.ErrWrongCode},
		{"grouped", right[:3] + " " + right[3:] + "\u00a0", nil},
	} {
		if err := f.Throttle.Forget(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, tt.answer); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// Attack: guess codes without end.
func TestGuessesAreThrottled(t *testing.T) {
	f, c, _ := newTOTP(t)
	secret := enrol(t, f, c, "a")
	wrong := func(account string) error {
		return f.Verify(t.Context(), auth.Claimant{Account: account}, auth.Challenge{}, "nothing")
	}
	for range throttle.Free {
		if err := wrong("a"); err != auth.ErrWrongCode {
			t.Fatal(err)
		}
	}
	right := code(t, secret, c.now())
	if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, right); !errors.As(err, new(*auth.Throttled)) {
		t.Errorf("right code while locked: %v, want *auth.Throttled", err)
	}
	// The lock did not use the code up; a known device is not locked.
	device, _, err := f.Throttle.Remember(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(throttle.WithDevice(t.Context(), device), auth.Claimant{Account: "a"}, auth.Challenge{}, right); err != nil {
		t.Errorf("right code on a known device: %v", err)
	}
}

func TestRightCodeClearsTheCounter(t *testing.T) {
	f, c, _ := newTOTP(t)
	secret := enrol(t, f, c, "a")
	for range 3 {
		for range throttle.Free - 1 {
			if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, "nothing"); err != auth.ErrWrongCode {
				t.Fatal(err)
			}
		}
		if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now())); err != nil {
			t.Fatal(err)
		}
		c.advance(period * time.Second)
	}
}

func TestEnrolment(t *testing.T) {
	f, c, st := newTOTP(t)
	e, err := f.Offer(t.Context(), auth.Claimant{Account: "a", Label: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if n := records(t, st); n != 0 {
		t.Errorf("an offer stored %d records", n)
	}
	if raw, err := encoding.DecodeString(e.Secret); err != nil || len(raw) != 20 {
		t.Errorf("secret of %d bytes (%v), want 20", len(raw), err)
	}
	if err := f.Confirm(t.Context(), auth.Claimant{Account: "a"}, e, "nothing"); err != auth.ErrWrongCode {
		t.Errorf("wrong code: %v", err)
	}
	if enrolled, err := f.Enrolled(t.Context(), "a"); err != nil || len(enrolled) > 0 {
		t.Errorf("enrolled after a wrong code: %v, %v", enrolled, err)
	}
	answer := code(t, e.Secret, c.now())
	if err := f.Confirm(t.Context(), auth.Claimant{Account: "a"}, e, answer); err != nil {
		t.Fatal(err)
	}
	if enrolled, err := f.Enrolled(t.Context(), "a"); err != nil || len(enrolled) == 0 {
		t.Errorf("enrolled after the right code: %v, %v", enrolled, err)
	}
	if holders, err := f.Holders(t.Context()); err != nil || !cmp.Equal(holders, map[string]bool{"a": true}) {
		t.Errorf("Holders = %v, %v", holders, err)
	}
	// Attack: the code that was typed at enrolment opens a second sign-in.
	if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, answer); err != auth.ErrWrongCode {
		t.Errorf("the code of the enrolment: %v, want ErrWrongCode", err)
	}
	// Attack: read the secret out of the store, or move a sealed one from
	// one's own account to another.
	value, err := st.Get(t.Context(), "totp:a")
	if err != nil || bytes.Contains(value, []byte(e.Secret)) {
		t.Errorf("the record holds the secret in clear (error %v)", err)
	}
	if err := st.Create(t.Context(), "totp:b", value, 0); err != nil {
		t.Fatal(err)
	}
	c.advance(period * time.Second)
	err = f.Verify(t.Context(), auth.Claimant{Account: "b"}, auth.Challenge{}, code(t, e.Secret, c.now()))
	if err == nil || errors.Is(err, auth.ErrWrongCode) {
		t.Errorf("a secret moved to another account: %v, want an error of its own", err)
	}
}

func TestEnrolmentBesideADamagedRecordSaysWhatFailed(t *testing.T) {
	f, c, st := newTOTP(t)
	if err := st.Create(t.Context(), "totp:a", []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	e, err := f.Offer(t.Context(), enrolling("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Confirm(t.Context(), enrolling("a"), e, code(t, e.Secret, c.now())); err == nil || !strings.HasPrefix(err.Error(), "enrol authenticator app: decode") {
		t.Errorf("error %v", err)
	}
}

// Attack: with the password alone, begin an enrolment and keep it; confirm it
// after the owner has enrolled, so that one's own app takes the place of his.
func TestConfirmDoesNotReplace(t *testing.T) {
	f, c, _ := newTOTP(t)
	stale, err := f.Offer(t.Context(), auth.Claimant{Account: "a", Label: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	secret := enrol(t, f, c, "a")
	err = f.Confirm(t.Context(), auth.Claimant{Account: "a"}, stale, code(t, stale.Secret, c.now()))
	if !errors.Is(err, auth.ErrInvalidState) {
		t.Errorf("second enrolment: %v, want ErrInvalidState", err)
	}
	if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now())); err != nil {
		t.Errorf("the owner's app: %v", err)
	}
}

func TestConfirmRefusesOtherSecrets(t *testing.T) {
	f, c, _ := newTOTP(t)
	for name, e := range map[string]auth.Enrolment{
		"empty":      {},
		"other kind": {Kind: "email_code", Secret: newSecret()},
		"short":      {Kind: "totp", Secret: "MFRGGZDF"},
		"not base32": {Kind: "totp", Secret: "0189"},
	} {
		answer, _ := totp.GenerateCode(e.Secret, c.now())
		if err := f.Confirm(t.Context(), auth.Claimant{Account: "a"}, e, answer); !errors.Is(err, auth.ErrInvalidState) {
			t.Errorf("%s: %v, want ErrInvalidState", name, err)
		}
	}
}

func TestReset(t *testing.T) {
	f, c, st := newTOTP(t)
	secret := enrol(t, f, c, "a")
	if err := f.Reset(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now())); err != auth.ErrWrongCode {
		t.Errorf("a forgotten app: %v, want ErrWrongCode", err)
	}
	if _, err := st.Get(t.Context(), "totp:a"); err == nil {
		t.Error("the record is still there")
	}
	// The last step is forgotten too: a new app may use this very step.
	e, err := f.Offer(t.Context(), auth.Claimant{Account: "a", Label: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Confirm(t.Context(), auth.Claimant{Account: "a"}, e, code(t, e.Secret, c.now())); err != nil {
		t.Errorf("new enrolment: %v", err)
	}
}

// Records move to the newest key as they are used, so that an old one can be
// dropped from the configuration.
func TestKeyRotation(t *testing.T) {
	f, c, _ := newTOTP(t)
	secret := enrol(t, f, c, "a")
	older, newer := strings.Repeat("k", 32), strings.Repeat("n", 32)
	for _, keys := range [][]string{{newer, older}, {newer}} {
		ring, err := seal.NewKeyring(keys)
		if err != nil {
			t.Fatal(err)
		}
		f.Keyring = ring
		if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now())); err != nil {
			t.Errorf("with %d keys: %v", len(keys), err)
		}
		c.advance(period * time.Second)
	}
}

func TestStoreTrouble(t *testing.T) {
	f, c, st := newTOTP(t)
	secret := enrol(t, f, c, "a")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	_, enrolled := f.Enrolled(t.Context(), "a")
	for name, err := range map[string]error{
		"enrolled": enrolled, "reset": f.Reset(t.Context(), "a"),
		"verify":  f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now())),
		"confirm": f.Confirm(t.Context(), auth.Claimant{Account: "a"}, auth.Enrolment{Kind: "totp", Secret: secret}, "000000"),
	} {
		if !errors.Is(err, auth.ErrStoreDown) {
			t.Errorf("%s: %v, want ErrStoreDown", name, err)
		}
	}
}

func TestKeyURI(t *testing.T) {
	tests := []struct{ name, issuer, label, want string }{
		{
			"plain", "Gatehouse", "ada",
			"otpauth://totp/Gatehouse:ada?secret=S&issuer=Gatehouse&algorithm=SHA1&digits=6&period=30",
		},
		{
			"no issuer", "", "ada",
			"otpauth://totp/ada?secret=S&algorithm=SHA1&digits=6&period=30",
		},
		// Attack: a name that brings parameters or another issuer with it.
		{
			"separators", "Acme: R&D", "a/b?secret=X#+:c",
			"otpauth://totp/Acme%3A%20R%26D:a%2Fb%3Fsecret%3DX%23%2B%3Ac?secret=S&issuer=Acme%3A%20R%26D&algorithm=SHA1&digits=6&period=30",
		},
		{
			"other scripts", "Größe", "Zoë",
			"otpauth://totp/Gr%C3%B6%C3%9Fe:Zo%C3%AB?secret=S&issuer=Gr%C3%B6%C3%9Fe&algorithm=SHA1&digits=6&period=30",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, keyURI(tt.issuer, tt.label, "S")); d != "" {
				t.Errorf("URI (-want +got):\n%s", d)
			}
		})
	}
}

// What the app reads from the URI is what Gatehouse checks.
func TestOfferReadsBack(t *testing.T) {
	f, _, _ := newTOTP(t)
	f.Issuer = "Acme Häuser & Söhne"
	e, err := f.Offer(t.Context(), auth.Claimant{Account: "a", Label: "ada@corp.example"})
	if err != nil {
		t.Fatal(err)
	}
	k, err := otp.NewKeyFromURL(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{k.Type(), k.Secret(), k.Issuer(), k.AccountName()}
	if d := cmp.Diff([]string{"totp", e.Secret, f.Issuer, "ada@corp.example"}, got); d != "" {
		t.Errorf("key (-want +got):\n%s", d)
	}
}

func TestQR(t *testing.T) {
	dataURL, err := QR(keyURI("Gatehouse", "ada", newSecret()))
	if err != nil {
		t.Fatal(err)
	}
	raw, found := strings.CutPrefix(dataURL, "data:image/png;base64,")
	image, err := base64.StdEncoding.DecodeString(raw)
	if !found || err != nil {
		t.Fatalf("data URL %.40q: %v", dataURL, err)
	}
	if img, err := png.Decode(bytes.NewReader(image)); err != nil || img.Bounds().Dx() != qrSize {
		t.Errorf("image: %v", err)
	}
	if _, err := QR("otpauth://totp/" + url.PathEscape(strings.Repeat("x", 10_000))); err == nil {
		t.Error("a URI that fits no QR code was drawn")
	}
}

func FuzzDigits(f *testing.F) {
	for _, s := range []string{"123456", "123 456", "１２３４５６", "", "12345\x00", "\xff23456"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, ok := digitsOf(s, digits)
		if ok && (len(code) != 6 || strings.Trim(code, "0123456789") != "") {
			t.Errorf("%q reads as the code %q", s, code)
		}
	})
}

func records(t *testing.T, st *memory.Store) (n int) {
	t.Helper()
	if err := st.Scan(t.Context(), "", func(string, []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}
