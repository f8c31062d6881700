package mfa

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/throttle"
)

var (
	_ auth.Enroller = (*EmailCode)(nil)
	_ Keeper        = (*EmailCode)(nil)
)

// post is where accounts get mail, and the mail that they got.
type post struct {
	mu       sync.Mutex
	email    map[string]string
	mailedTo map[string]string
	got      []letter
	err      error
}

type letter struct{ to, code string }

func (p *post) VerifiedEmail(_ context.Context, account string) (string, error) {
	return p.email[account], p.err
}

func (p *post) MailedTo(_ context.Context, account string) (string, error) {
	return p.mailedTo[account], p.err
}

func (p *post) Code(_ context.Context, to, code string, life time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, letter{to, code})
	if life != 10*time.Minute {
		return errors.New("the code lives otherwise than it says")
	}
	return nil
}

// last is the code that came last.
func (p *post) last() string { return p.got[len(p.got)-1].code }

func newEmail(t *testing.T) (*EmailCode, *post, *clock) {
	t.Helper()
	f, c, st := newTOTP(t)
	p := &post{email: map[string]string{"a": "ada@corp.example", "b": "bob@corp.example"}, mailedTo: map[string]string{}}
	return &EmailCode{Store: st, Index: names{}, Throttle: f.Throttle, Addresses: p, Mailer: p, Now: c.now}, p, c
}

// addressed enrols the account's address and waits until another code may be
// sent.
func addressed(t *testing.T, e *EmailCode, p *post, c *clock, account string) {
	t.Helper()
	offer, err := e.Offer(t.Context(), enrolling(account))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Confirm(t.Context(), enrolling(account), offer, p.last()); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Hour)
}

func mailed(t *testing.T, e *EmailCode, p *post, by auth.Claimant) (asked auth.Challenge, code string) {
	t.Helper()
	asked, err := e.Challenge(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	return asked, p.last()
}

func TestEmailCode(t *testing.T) {
	e, p, c := newEmail(t)
	offer, err := e.Offer(t.Context(), signingIn("a"))
	if err != nil || offer.Hint != "a…@corp.example" {
		t.Fatalf("offer %+v, %v", offer, err)
	}
	if l := p.got[0]; l.to != "ada@corp.example" || len(l.code) != 8 || strings.Trim(l.code, "0123456789") != "" {
		t.Errorf("mail: %+v", l)
	}
	if all, err := e.Enrolled(t.Context(), "a"); err != nil || len(all) != 0 {
		t.Errorf("an offer enrols: %+v, %v", all, err)
	}
	code := p.last()
	if err := e.Confirm(t.Context(), signingIn("a"), offer, " "+code[:4]+" "+code[4:]); err != nil {
		t.Fatal(err)
	}
	if err := e.Confirm(t.Context(), signingIn("a"), offer, code); err != auth.ErrWrongCode {
		t.Errorf("confirmed again: %v, want ErrWrongCode", err)
	}
	c.advance(time.Minute)
	asked, code := mailed(t, e, p, signingIn("a"))
	if asked.Hint != "a…@corp.example" {
		t.Errorf("hint %q", asked.Hint)
	}
	for i, want := range []error{nil, auth.ErrWrongCode} {
		if err := e.Verify(t.Context(), signingIn("a"), asked, code); err != want {
			t.Errorf("answer %d: %v, want %v", i+1, err, want)
		}
	}
	all, err := e.Enrolled(t.Context(), "a")
	if err != nil || len(all) != 1 || all[0].Used.IsZero() || all[0].Barred || all[0].Name != "a…@corp.example" {
		t.Errorf("enrolled: %+v, %v", all, err)
	}
	if err := e.Remove(t.Context(), "a", all[0].ID); err != nil {
		t.Error(err)
	}
	if err := e.Remove(t.Context(), "a", all[0].ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
	if _, err := e.Challenge(t.Context(), signingIn("a")); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("challenge of who has none: %v, want ErrNotFound", err)
	}
}

// Each is an attack: a code is used where it was not asked for.
func TestEmailCodeIsBound(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	addressed(t, e, p, c, "b")
	asked, code := mailed(t, e, p, signingIn("a"))
	elsewhere := signingIn("a")
	elsewhere.Binding = "elsewhere"
	prove := signingIn("a")
	prove.Purpose = auth.PurposeProve
	for name, by := range map[string]auth.Claimant{"account": signingIn("b"), "sign-in": elsewhere, "purpose": prove} {
		// More often than a code may be guessed: none of it spoils the owner's.
		for range emailGuesses + 1 {
			if err := e.Throttle.Forget(t.Context(), by.Account); err != nil {
				t.Fatal(err)
			}
			if err := e.Verify(t.Context(), by, asked, code); err != auth.ErrWrongCode {
				t.Errorf("another %s: %v, want ErrWrongCode", name, err)
			}
		}
	}
	if err := e.Throttle.Forget(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := e.Verify(t.Context(), signingIn("a"), asked, code); err != nil {
		t.Errorf("where it was asked for: %v", err)
	}
}

// Attack: have a code sent to the address that is enrolled, and enrol another
// with it.
func TestCodeOfAChallengeEnrolsNothing(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	p.email["a"] = "ada@new.example"
	offer, err := e.Offer(t.Context(), enrolling("a"))
	if err != nil {
		t.Fatal(err)
	}
	offered := p.last()
	c.advance(time.Minute)
	asked, code := mailed(t, e, p, enrolling("a"))
	if err := e.Confirm(t.Context(), enrolling("a"), offer, code); err != auth.ErrWrongCode {
		t.Errorf("the code of a challenge: %v, want ErrWrongCode", err)
	}
	if err := e.Verify(t.Context(), enrolling("a"), asked, offered); err != auth.ErrWrongCode {
		t.Errorf("the code of an offer: %v, want ErrWrongCode", err)
	}
}

func TestOnlyTheNewestEmailCodePasses(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	asked, old := mailed(t, e, p, signingIn("a"))
	c.advance(emailPause)
	_, now := mailed(t, e, p, signingIn("a"))
	if err := e.Verify(t.Context(), signingIn("a"), asked, old); old != now && err != auth.ErrWrongCode {
		t.Errorf("the code before: %v, want ErrWrongCode", err)
	}
	c.advance(emailLife)
	if err := e.Verify(t.Context(), signingIn("a"), asked, now); err != auth.ErrWrongCode {
		t.Errorf("a code after its life: %v, want ErrWrongCode", err)
	}
}

// Attack: guess.
func TestEmailCodeGuesses(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	asked, code := mailed(t, e, p, signingIn("a"))
	wrong := strings.Map(func(r rune) rune { return '0' + ('9' - r) }, code)
	for range emailGuesses {
		// As many as it likes: the account's own counter is not what holds here.
		if err := e.Throttle.Forget(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := e.Verify(t.Context(), signingIn("a"), asked, wrong); err != auth.ErrWrongCode {
			t.Fatal(err)
		}
	}
	if err := e.Throttle.Forget(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := e.Verify(t.Context(), signingIn("a"), asked, code); err != auth.ErrWrongCode {
		t.Errorf("the right code after %d wrong ones: %v, want ErrWrongCode", emailGuesses, err)
	}
	// And on the account's counter, all kinds together.
	for range throttle.Free {
		_ = e.Verify(t.Context(), signingIn("a"), asked, wrong)
	}
	if err := e.Verify(t.Context(), signingIn("a"), asked, code); !errors.As(err, new(*auth.Throttled)) {
		t.Errorf("error %v, want *auth.Throttled", err)
	}
}

// Attack: submit one code fifty times at once.
func TestParallelEmailCode(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	asked, code := mailed(t, e, p, signingIn("a"))
	passesOnce(t, func(int) error {
		at := *e
		at.Throttle = counter(c)
		return at.Verify(t.Context(), signingIn("a"), asked, code)
	})
}

// Attack: fill somebody's mailbox.
func TestEmailCodesAreLimited(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	p.got = nil
	refused := func() time.Duration {
		_, err := e.Challenge(t.Context(), signingIn("a"))
		slow, _ := errors.AsType[*auth.Throttled](err)
		if slow == nil || !errors.Is(err, auth.ErrMailedLately) {
			t.Fatalf("error %v, want ErrMailedLately and *auth.Throttled", err)
		}
		return slow.RetryAfter
	}
	for range emailHour {
		mailed(t, e, p, signingIn("a"))
		if wait := refused(); wait <= 0 {
			t.Errorf("wait %s", wait)
		}
		c.advance(emailPause)
	}
	if wait := refused(); wait != time.Hour-emailHour*emailPause {
		t.Errorf("after %d codes: %s", emailHour, wait)
	}
	if len(p.got) != emailHour {
		t.Errorf("%d mails", len(p.got))
	}
	c.advance(time.Hour)
	mailed(t, e, p, signingIn("a"))
}

// Attack: read the mailbox. A reset gives the password, and a code by mail to
// the same address would be the second factor.
func TestAddressOfAResetIsBarred(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	offer, err := e.Offer(t.Context(), enrolling("b"))
	if err != nil {
		t.Fatal(err)
	}
	offered := p.last()
	asked, code := mailed(t, e, p, signingIn("a"))
	p.mailedTo["a"], p.mailedTo["b"] = "Ada@Corp.example", "bob@corp.example" // after the codes were sent
	if err := e.Verify(t.Context(), signingIn("a"), asked, code); err != auth.ErrWrongCode {
		t.Errorf("verify: %v, want ErrWrongCode", err)
	}
	if err := e.Confirm(t.Context(), enrolling("b"), offer, offered); err != auth.ErrWrongCode {
		t.Errorf("confirm: %v, want ErrWrongCode", err)
	}
	c.advance(time.Hour)
	if _, err := e.Challenge(t.Context(), signingIn("a")); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("challenge: %v, want ErrNotFound", err)
	}
	for _, account := range []string{"a", "b"} {
		if err := offersLike(t, e, account); !errors.Is(err, auth.ErrNotFound) || !errors.Is(err, auth.ErrBarred) {
			t.Errorf("offer to %s: %v, want ErrBarred", account, err)
		}
	}
	if all, err := e.Enrolled(t.Context(), "a"); err != nil || len(all) != 1 || !all[0].Barred {
		t.Errorf("enrolled: %+v, %v", all, err)
	}
	// Nor does it count where that cannot be known.
	p.mailedTo["a"], p.err = "", errors.New("decode password record")
	if all, err := e.Enrolled(t.Context(), "a"); err != nil || len(all) != 1 || !all[0].Barred {
		t.Errorf("enrolled: %+v, %v", all, err)
	}
	p.err = auth.ErrStoreDown
	if _, err := e.Enrolled(t.Context(), "a"); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("error %v, want ErrStoreDown", err)
	}
	p.err = nil
	// Once the password was changed by who knew it, it counts again.
	p.mailedTo["a"] = ""
	asked, code = mailed(t, e, p, signingIn("a"))
	if err := e.Verify(t.Context(), signingIn("a"), asked, code); err != nil {
		t.Error(err)
	}
}

// Attack: change the account's e-mail, then have the code sent there.
func TestEnrolledAddressStays(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	p.email["a"] = "mallory@evil.example"
	mailed(t, e, p, signingIn("a"))
	if to := p.got[len(p.got)-1].to; to != "ada@corp.example" {
		t.Errorf("the code went to %s", to)
	}
	// Between an offer and its confirmation it may not change at all.
	c.advance(time.Minute)
	offer, err := e.Offer(t.Context(), enrolling("a"))
	if err != nil {
		t.Fatal(err)
	}
	p.email["a"] = "ada@corp.example"
	if err := e.Confirm(t.Context(), enrolling("a"), offer, p.last()); !errors.Is(err, auth.ErrInvalidState) {
		t.Errorf("confirm: %v, want ErrInvalidState", err)
	}
	p.email["a"] = ""
	if err := offersLike(t, e, "a"); !errors.Is(err, auth.ErrNotFound) || errors.Is(err, auth.ErrBarred) {
		t.Errorf("offer without an address: %v, want ErrNotFound", err)
	}
}

// offersLike asks whether the account can enrol, which sends nothing, and then
// for the offer, which must be of the same mind.
func offersLike(t *testing.T, e auth.Enroller, account string) error {
	t.Helper()
	can := e.Enrollable(t.Context(), account)
	if _, err := e.Offer(t.Context(), enrolling(account)); (err == nil) != (can == nil) {
		t.Errorf("enrollable: %v; offered: %v", can, err)
	}
	return can
}

// To ask whether codes can be enrolled sends none, at any hour; to enrol the
// same address again would change nothing.
func TestEnrollableAddress(t *testing.T) {
	e, p, c := newEmail(t)
	for range emailHour + 1 {
		if err := e.Enrollable(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.got) > 0 {
		t.Errorf("%d mails were sent by asking", len(p.got))
	}
	addressed(t, e, p, c, "a")
	if err := offersLike(t, e, "a"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("enrolled already: %v, want ErrNotFound", err)
	}
	p.email["a"] = "ada@new.example"
	if err := offersLike(t, e, "a"); err != nil {
		t.Errorf("another address: %v", err)
	}
}

// Attack: with the password alone, begin an enrolment, and confirm it after the
// owner has enrolled.
func TestAddressDoesNotReplaceAtASignIn(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	p.email["a"] = "ada@new.example"
	offer, err := e.Offer(t.Context(), signingIn("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Confirm(t.Context(), signingIn("a"), offer, p.last()); !errors.Is(err, auth.ErrInvalidState) {
		t.Errorf("error %v, want ErrInvalidState", err)
	}
}

func TestEmailWithoutMail(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	e.Mailer = nil
	_, offer := e.Offer(t.Context(), enrolling("a"))
	_, challenge := e.Challenge(t.Context(), signingIn("a"))
	for name, err := range map[string]error{"offer": offer, "challenge": challenge} {
		if !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	if all, err := e.Enrolled(t.Context(), "a"); err != nil || len(all) != 1 || !all[0].Barred {
		t.Errorf("enrolled: %+v, %v", all, err)
	}
}

// Attack: read the code out of the store.
func TestEmailCodeRestsHashed(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	e.Index = lengths{}
	_, code := mailed(t, e, p, signingIn("a"))
	value, err := e.Store.Get(t.Context(), "emailsent:a")
	if err != nil || bytes.Contains(value, []byte(code)) {
		t.Errorf("the record holds the code (error %v)", err)
	}
	if err := e.Reset(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if n := records(t, e.Store.(*memory.Store)); n != 0 {
		t.Errorf("a reset leaves %d records", n)
	}
}

func TestEmailStoreTrouble(t *testing.T) {
	e, p, c := newEmail(t)
	addressed(t, e, p, c, "a")
	p.email["a"] = "ada@new.example"
	offer, err := e.Offer(t.Context(), enrolling("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Store.(*memory.Store).Close(); err != nil {
		t.Fatal(err)
	}
	_, enrolled := e.Enrolled(t.Context(), "a")
	_, holders := e.Holders(t.Context())
	_, challenge := e.Challenge(t.Context(), signingIn("a"))
	_, again := e.Offer(t.Context(), enrolling("a"))
	for name, err := range map[string]error{
		"enrolled": enrolled, "enrollable": e.Enrollable(t.Context(), "a"), "holders": holders, "offer": again, "challenge": challenge,
		"confirm": e.Confirm(t.Context(), enrolling("a"), offer, p.last()),
		"verify":  e.Verify(t.Context(), signingIn("a"), auth.Challenge{}, "12345678"),
		"remove":  e.Remove(t.Context(), "a", auth.KindEmailCode), "reset": e.Reset(t.Context(), "a"),
	} {
		if !errors.Is(err, auth.ErrStoreDown) {
			t.Errorf("%s: %v, want ErrStoreDown", name, err)
		}
	}
}

func TestMasked(t *testing.T) {
	for in, want := range map[string]string{
		"ada@corp.example": "a…@corp.example", "é@x.example": "é…@x.example", "a@b": "a…@b", "@b": "…", "none": "…", "": "…",
	} {
		if got := masked(in); got != want {
			t.Errorf("masked(%q) = %q, want %q", in, got, want)
		}
	}
}
