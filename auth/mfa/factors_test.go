package mfa

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/auth"
)

var _ Renamer = (*TOTP)(nil)

// another adds an app to an account that may have some.
func another(t *testing.T, f *TOTP, c *clock, account, name string) (secret string) {
	t.Helper()
	by := auth.Claimant{Account: account, Label: account, Purpose: auth.PurposeEnrol}
	e, err := f.Offer(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	e.Name = name
	if err := f.Confirm(t.Context(), by, e, code(t, e.Secret, c.now())); err != nil {
		t.Fatal(err)
	}
	c.advance(10 * period * time.Second)
	return e.Secret
}

func TestSeveralApps(t *testing.T) {
	f, c, _ := newTOTP(t)
	ctx := t.Context()
	secrets := []string{
		another(t, f, c, "a", ""), another(t, f, c, "a", " work\u202e \n phone "), another(t, f, c, "a", ""), another(t, f, c, "a", "work phone"),
	}
	apps, err := f.Enrolled(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	want := []auth.Authenticator{
		{Kind: "totp", Name: "Authenticator app"},
		{Kind: "totp", Name: "work phone"},
		{Kind: "totp", Name: "Authenticator app 2"},
		{Kind: "totp", Name: "work phone 2"},
	}
	if d := cmp.Diff(want, apps, cmpopts.IgnoreFields(auth.Authenticator{}, "ID", "Since")); d != "" {
		t.Errorf("apps (-want +got):\n%s", d)
	}
	// Each proves, once a step for itself.
	for i, secret := range secrets {
		answer := code(t, secret, c.now())
		if err := f.Verify(ctx, auth.Claimant{Account: "a"}, auth.Challenge{}, answer); err != nil {
			t.Errorf("app %d: %v", i, err)
		}
		if err := f.Verify(ctx, auth.Claimant{Account: "a"}, auth.Challenge{}, answer); err != auth.ErrWrongCode {
			t.Errorf("app %d, the same code again: %v, want ErrWrongCode", i, err)
		}
	}

	if err := f.Rename(ctx, "a", apps[1].ID, "tablet"); err != nil {
		t.Error(err)
	}
	if err := f.Rename(ctx, "a", apps[1].ID, "\u200b "); !errors.Is(err, auth.ErrMalformed) {
		t.Errorf("an invisible name: %v, want ErrMalformed", err)
	}
	if err := f.Remove(ctx, "a", apps[0].ID); err != nil {
		t.Error(err)
	}
	// Attack: remove what belongs to somebody else, by its id.
	for _, account := range []string{"a", "b"} {
		if err := f.Remove(ctx, account, apps[0].ID); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("remove of %s's: %v, want ErrNotFound", account, err)
		}
	}
	c.advance(10 * period * time.Second)
	if err := f.Verify(ctx, auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secrets[0], c.now())); err != auth.ErrWrongCode {
		t.Errorf("the removed app: %v, want ErrWrongCode", err)
	}
	if apps, _ = f.Enrolled(ctx, "a"); len(apps) != 3 || apps[0].Name != "tablet" || apps[0].Used.IsZero() {
		t.Errorf("left: %+v", apps)
	}
	for _, a := range apps {
		if err := f.Remove(ctx, "a", a.ID); err != nil {
			t.Error(err)
		}
	}
	if holders, err := f.Holders(ctx); err != nil || len(holders) != 0 {
		t.Errorf("without apps the account still holds some: %v, %v", holders, err)
	}
}

// Attack: fill the store with apps, each of which also makes a guess likelier.
func TestAppsHaveABound(t *testing.T) {
	f, c, _ := newTOTP(t)
	for range maxApps - 1 {
		another(t, f, c, "a", "")
	}
	by := auth.Claimant{Account: "a", Purpose: auth.PurposeEnrol}
	e, err := f.Offer(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	another(t, f, c, "a", "")
	if err := offersLike(t, f, "a"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("app %d is offered: %v, want ErrNotFound", maxApps+1, err)
	}
	if err := f.Confirm(t.Context(), by, e, code(t, e.Secret, c.now())); !errors.Is(err, auth.ErrInvalidState) {
		t.Errorf("app %d: %v, want ErrInvalidState", maxApps+1, err)
	}
}

// Attack: submit one offer twice, so that a removed app stands a second time.
func TestOfferIsConfirmedOnce(t *testing.T) {
	f, c, _ := newTOTP(t)
	by := auth.Claimant{Account: "a", Purpose: auth.PurposeEnrol}
	e, err := f.Offer(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, auth.ErrInvalidState} {
		if err := f.Confirm(t.Context(), by, e, code(t, e.Secret, c.now())); !errors.Is(err, want) {
			t.Errorf("confirmation %d: %v, want %v", i+1, err, want)
		}
		c.advance(period * time.Second)
	}
}

// An app whose key is lost keeps nobody from proving another.
func TestUnreadableAppBesideAnother(t *testing.T) {
	f, c, _ := newTOTP(t)
	another(t, f, c, "a", "")
	f.Keyring = ringOf(t, "n")
	secret := another(t, f, c, "a", "")
	if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now())); err != nil {
		t.Error(err)
	}
	if n, err := f.Reseal(t.Context()); n != 0 || err != nil {
		t.Errorf("resealed %d, %v", n, err)
	}
}

// Records of when an account had one app are read, and become a list.
func TestRecordOfOneApp(t *testing.T) {
	f, c, st := newTOTP(t)
	secret := newSecret()
	sealed, err := f.seal("a", secret)
	if err != nil {
		t.Fatal(err)
	}
	value := fmt.Appendf(nil, `{"secret":%q,"last":0,"since":"2025-01-01T00:00:00Z"}`, base64.StdEncoding.EncodeToString(sealed))
	if err := st.Create(t.Context(), "totp:a", value, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		apps, err := f.Enrolled(t.Context(), "a")
		want := []auth.Authenticator{{ID: "totp", Kind: "totp", Name: "Authenticator app", Since: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}}
		if d := cmp.Diff(want, apps, cmpopts.IgnoreFields(auth.Authenticator{}, "Used")); d != "" || err != nil {
			t.Errorf("apps (%v) (-want +got):\n%s", err, d)
		}
		if err := f.CheckRecord("totp:a", value); err != nil {
			t.Error(err)
		}
		if err := f.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code(t, secret, c.now())); err != nil {
			t.Error(err)
		}
		c.advance(period * time.Second)
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"phone":                  "phone",
		"  my \t phone\r\n":      "my phone",
		"\u202egnp.exe":          "gnp.exe",
		"a\x00b\u200bc":          "abc",
		strings.Repeat("é", 100): strings.Repeat("é", 60),
		strings.Repeat("x", 1e6): strings.Repeat("x", 60),
		"\xff\xfe":               "",
	} {
		if got := cleanName(in); got != want {
			t.Errorf("cleanName(%.20q) = %q, want %q", in, got, want)
		}
	}
}

func TestFactors(t *testing.T) {
	f, c, st := newTOTP(t)
	ctx := t.Context()
	all := Factors{Kinds: []Keeper{f}, Demands: &Demands{Store: st, Now: c.now}}
	another(t, f, c, "a", "phone")
	has, err := all.All(ctx, "a")
	if err != nil || len(has) != 1 {
		t.Fatalf("All = %v, %v", has, err)
	}
	if holders, err := all.Holders(ctx); err != nil || !cmp.Equal(holders, map[string][]string{"a": {"totp"}}) {
		t.Errorf("Holders = %v, %v", holders, err)
	}
	if err := all.Rename(ctx, "a", "totp", has[0].ID, "tablet"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"rename": all.Rename(ctx, "a", "other", has[0].ID, "x"), "remove": all.Remove(ctx, "a", "other", has[0].ID),
		"rename none": all.Rename(ctx, "a", "totp", "none", "x"), "remove none": all.Remove(ctx, "a", "totp", "none"),
	} {
		if !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", what, err)
		}
	}
	for range 2 {
		if err := all.Demands.Demand(ctx, "a"); err != nil {
			t.Error(err)
		}
	}
	if demanded, err := all.Demands.Demanded(ctx, "a"); !demanded || err != nil {
		t.Errorf("Demanded = %v, %v", demanded, err)
	}
	if err := all.Reset(ctx, "a"); err != nil {
		t.Error(err)
	}
	if demanded, err := all.Demands.Demanded(ctx, "a"); demanded || err != nil {
		t.Errorf("Demanded after a reset = %v, %v", demanded, err)
	}
	if has, err := all.All(ctx, "a"); len(has) != 0 || err != nil {
		t.Errorf("All after a reset = %v, %v", has, err)
	}
}
