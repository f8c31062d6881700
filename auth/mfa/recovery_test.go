package mfa

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"gatehouse/auth"
	"gatehouse/internal/store/memory"
)

var _ Keeper = (*Recovery)(nil)

func newRecovery(t *testing.T) (*Recovery, *clock, *memory.Store) {
	t.Helper()
	f, c, st := newTOTP(t)
	return &Recovery{Store: st, Index: names{}, Throttle: f.Throttle, Now: c.now}, c, st
}

// kept gives an account its ten codes.
func kept(t *testing.T, r *Recovery, account string) []string {
	t.Helper()
	codes := r.Generate()
	if err := r.Keep(t.Context(), account, codes); err != nil {
		t.Fatal(err)
	}
	return codes
}

func TestRecoveryCodesPassOnceEach(t *testing.T) {
	r, _, _ := newRecovery(t)
	a := auth.Claimant{Account: "a"}
	codes := kept(t, r, "a")
	if len(codes) != 10 {
		t.Fatalf("%d codes, want ten", len(codes))
	}
	for i, code := range codes {
		if err := r.Verify(t.Context(), a, auth.Challenge{}, code); err != nil {
			t.Errorf("code %d: %v", i, err)
		}
		if err := r.Verify(t.Context(), a, auth.Challenge{}, code); err != auth.ErrWrongCode {
			t.Errorf("code %d again: %v, want ErrWrongCode", i, err)
		}
		has, err := r.Enrolled(t.Context(), "a")
		if err != nil || len(has) != 1 || has[0].Left != 9-i || has[0].Barred != (i == 9) || has[0].Used.IsZero() {
			t.Errorf("after code %d: %+v, %v", i, has, err)
		}
		// Wrong ones count, also between right ones of the next.
		if err := r.Throttle.Forget(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
}

// Attack: submit one code fifty times at once, at two replicas.
func TestParallelRecovery(t *testing.T) {
	r, c, st := newRecovery(t)
	code := kept(t, r, "a")[3]
	passesOnce(t, func(int) error {
		at := &Recovery{Store: st, Index: names{}, Throttle: counter(c), Now: c.now}
		return at.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code)
	})
}

// Attack: use codes of a list that was seen, after new ones were made; or those
// of another account.
func TestNewRecoveryCodesEndTheOld(t *testing.T) {
	r, _, _ := newRecovery(t)
	old := kept(t, r, "a")
	mine := kept(t, r, "b")
	now := kept(t, r, "a")
	for what, code := range map[string]string{"an old code": old[0], "another account's": mine[0]} {
		if err := r.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, code); err != auth.ErrWrongCode {
			t.Errorf("%s: %v, want ErrWrongCode", what, err)
		}
	}
	if err := r.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, now[0]); err != nil {
		t.Error(err)
	}
	if err := r.Remove(t.Context(), "a", auth.KindRecovery); err != nil {
		t.Error(err)
	}
	if err := r.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, now[1]); err != auth.ErrWrongCode {
		t.Errorf("a removed code: %v, want ErrWrongCode", err)
	}
	if err := r.Remove(t.Context(), "a", auth.KindRecovery); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("remove none: %v, want ErrNotFound", err)
	}
}

// Attack: read codes out of the store. A real index key makes the hashes keyed.
func TestRecoveryCodesRestHashed(t *testing.T) {
	r, _, st := newRecovery(t)
	r.Index = lengths{}
	codes := kept(t, r, "a")
	value, err := st.Get(t.Context(), "recovery_code:a")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes {
		bare, _ := readRecovery(code)
		if bytes.Contains(value, []byte(code)) || bytes.Contains(value, []byte(bare)) {
			t.Errorf("the record holds the code %s", code)
		}
	}
}

// lengths hides what it is given.
type lengths struct{}

func (lengths) Hash(kind string, parts ...string) string {
	return kind + strings.Repeat("x", len(parts))
}

func TestKeepRefusesOtherCodes(t *testing.T) {
	r, _, _ := newRecovery(t)
	ten := r.Generate()
	for name, codes := range map[string][]string{
		"none": nil, "nine": ten[:9], "eleven": append(r.Generate(), ten[0]),
		"twice": append(ten[:9:9], ten[0]), "short": append(ten[:9:9], "1234"),
	} {
		if err := r.Keep(t.Context(), "a", codes); !errors.Is(err, auth.ErrInvalidState) {
			t.Errorf("%s: %v, want ErrInvalidState", name, err)
		}
	}
}

func TestReadRecovery(t *testing.T) {
	for in, want := range map[string]string{
		"0123-4567-89ab":                         "0123456789ab",
		" 0123 4567\u00a089AB\r\n":               "0123456789ab",
		"OILO-oilo-0000":                         "011001100000",
		"0123\u20114567\u201389ab":               "0123456789ab",
		"0123-4567-89a":                          "",
		"0123-4567-89abc":                        "",
		"0123-4567-89au":                         "", // no letter of the alphabet
		"０１２３-4567-89ab":                         "",
		"":                                       "",
		strings.Repeat(" ", 99) + "0123456789ab": "",
	} {
		if got, ok := readRecovery(in); got != want || ok != (want != "") {
			t.Errorf("readRecovery(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestRecoveryStoreTrouble(t *testing.T) {
	r, _, st := newRecovery(t)
	codes := kept(t, r, "a")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	_, enrolled := r.Enrolled(t.Context(), "a")
	_, holders := r.Holders(t.Context())
	for name, err := range map[string]error{
		"enrolled": enrolled, "holders": holders, "reset": r.Reset(t.Context(), "a"), "keep": r.Keep(t.Context(), "a", codes),
		"verify": r.Verify(t.Context(), auth.Claimant{Account: "a"}, auth.Challenge{}, codes[0]), "remove": r.Remove(t.Context(), "a", auth.KindRecovery),
	} {
		if !errors.Is(err, auth.ErrStoreDown) {
			t.Errorf("%s: %v, want ErrStoreDown", name, err)
		}
	}
}

func FuzzReadRecovery(f *testing.F) {
	for _, s := range []string{"0123-4567-89ab", "oilo", "", "\xff", "0123456789aB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, ok := readRecovery(s)
		if again, same := readRecovery(code); ok && (!same || again != code || len(code) != recoverySize) {
			t.Errorf("%q reads as %q, and that as %q", s, code, again)
		}
	})
}

// Codes that are left without anything to recover go.
func TestRemovingTheLastFactorRemovesRecoveryCodes(t *testing.T) {
	f, c, st := newTOTP(t)
	ctx := t.Context()
	r := &Recovery{Store: st, Index: names{}, Throttle: f.Throttle, Now: c.now}
	all := Factors{Kinds: []Keeper{f, r}, Demands: &Demands{Store: st}}
	another(t, f, c, "a", "")
	another(t, f, c, "a", "")
	kept(t, r, "a")
	for want := 2; want >= 0; want -= 2 {
		has, err := all.All(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := all.Remove(ctx, "a", "totp", has[0].ID); err != nil {
			t.Fatal(err)
		}
		if has, err = all.All(ctx, "a"); err != nil || len(has) != want {
			t.Errorf("left: %+v (%v), want %d", has, err, want)
		}
	}
}
