package signin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/auth/signin"
	"gatehouse/internal/config"
)

// simple is a factor whose right answer is its kind, and which counts how often
// it was asked.
type simple struct {
	kind string

	mu    sync.Mutex
	has   []auth.Authenticator // of every account
	asked int
	slow  error // why it cannot be asked for
}

func (s *simple) Kind() string { return s.kind }

func (s *simple) Enrolled(context.Context, string) ([]auth.Authenticator, error) { return s.has, nil }

func (s *simple) Challenge(context.Context, auth.Claimant) (auth.Challenge, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slow != nil {
		return auth.Challenge{}, s.slow
	}
	s.asked++
	return auth.Challenge{Kind: s.kind, Hint: "a…@acme.example"}, nil
}

func (s *simple) Verify(_ context.Context, c auth.Claimant, _ auth.Challenge, answer string) error {
	if answer != s.kind || c.Binding == "" || c.Purpose != auth.PurposeSignIn {
		return auth.ErrWrongCode
	}
	return nil
}

// codes are recovery codes that remember what they were told to keep.
type codes struct {
	simple
	made int
	kept []string
}

func (c *codes) Generate() []string {
	c.made++
	return []string{"code-one", "code-two"}
}

func (c *codes) Keep(_ context.Context, _ string, kept []string) error {
	c.kept = kept
	return nil
}

// demands are of everybody.
type demands struct{ open bool }

func (d *demands) Demanded(context.Context, string) (bool, error) { return d.open, nil }

func (d *demands) Met(context.Context, string) error {
	d.open = false
	return nil
}

func used(hours int) []auth.Authenticator {
	return []auth.Authenticator{{ID: "x", Used: time.Unix(1_700_000_000, 0).Add(time.Duration(hours) * time.Hour)}}
}

// asks returns what the page asks for, and then what else it offers.
func (p *person) asks() []string {
	body := p.get("/oauth2/mfa").body
	var all []string
	for _, before := range []string{`name="method" value="`, `class="choice plain" type="submit" name="challenge" value="`} {
		for part := range strings.SplitSeq(body[strings.Index(body, "<main"):], before) {
			if kind, _, found := strings.Cut(part, `"`); found && !strings.Contains(kind, "<") {
				all = append(all, kind)
			}
		}
	}
	return all
}

func TestWaysOfProving(t *testing.T) {
	barred := []auth.Authenticator{{ID: "x", Barred: true}}
	for _, c := range []struct {
		name                           string
		totp, passkey, email, recovery []auth.Authenticator
		methods, want                  []string
	}{
		{"the last used comes first", used(1), used(2), nil, nil, nil, []string{"passkey", "totp"}},
		{"a recovery code comes last", used(1), nil, used(2), used(3), nil, []string{"email_code", "totp", "recovery_code"}},
		{"what is barred is not offered", used(1), nil, barred, nil, nil, []string{"totp"}},
		{"a method that is out of use", used(2), used(1), nil, nil, []string{"passkey"}, []string{"passkey"}},
		{"a method that is out of use, and nothing else", used(1), nil, nil, nil, []string{"passkey"}, []string{"totp"}},
		{"recovery codes are nothing else", used(1), nil, nil, used(2), []string{"passkey", "recovery_code"}, []string{"totp", "recovery_code"}},
		{"barred, and a recovery code", nil, nil, barred, used(1), nil, []string{"recovery_code"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, func(f *signin.Flow) {
				f.Factors = []auth.Factor{
					&enrolling{simple: simple{kind: "totp", has: c.totp}}, &enrolling{simple: simple{kind: "passkey", has: c.passkey}},
					&enrolling{simple: simple{kind: "email_code", has: c.email}}, &simple{kind: "recovery_code", has: c.recovery},
				}
				if c.methods != nil {
					f.Methods = c.methods
				}
			})
			p := h.person()
			p.password("alice", "/app").expect(t, http.StatusSeeOther, "/oauth2/mfa")
			if diff := cmp.Diff(c.want, p.asks()); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
}

// enrolling is a simple factor that can be enrolled; the right answer is its
// kind, too.
type enrolling struct {
	simple
	unable error // why it cannot be enrolled
}

func (e *enrolling) Enrollable(context.Context, string) error { return e.unable }

func (e *enrolling) Offer(context.Context, auth.Claimant) (auth.Enrolment, error) {
	if e.unable != nil {
		return auth.Enrolment{}, e.unable
	}
	return auth.Enrolment{Kind: e.kind}, nil
}

func (e *enrolling) Confirm(_ context.Context, c auth.Claimant, offered auth.Enrolment, answer string) error {
	if answer != e.kind {
		return auth.ErrWrongCode
	}
	e.has = append(e.has, auth.Authenticator{ID: c.Purpose, Name: offered.Name})
	return nil
}

// Whoever has nothing that could prove the account is told whom to ask, and
// cannot enrol a factor instead.
func TestNothingCanProve(t *testing.T) {
	email := &enrolling{simple: simple{kind: "email_code", has: []auth.Authenticator{{ID: "x", Barred: true}}}}
	h := open(t, func(f *signin.Flow) { f.Factors = append(f.Factors, email) })
	p := h.person()
	p.password("alice", "/app")
	if a := p.get("/oauth2/mfa"); a.status != http.StatusForbidden || !strings.Contains(a.body, "IT support") {
		t.Errorf("status %d", a.status)
	}
	if a := p.post("/oauth2/mfa", url.Values{"enrol": {"totp"}}); a.status != http.StatusForbidden || h.factor.offers != 0 || p.signedIn() {
		t.Errorf("status %d, %d offers", a.status, h.factor.offers)
	}
}

// A mail is sent when a sign-in gets here and when somebody asks for one, and
// by no page that is loaded again, or by another site's image.
func TestCodesAreSentWhenAsked(t *testing.T) {
	email := &enrolling{simple: simple{kind: "email_code", has: used(1)}}
	h := open(t, func(f *signin.Flow) { f.Factors = append(f.Factors, email) })
	p := h.person()
	p.password("alice", "/app")
	for range 3 {
		p.get("/oauth2/mfa?challenge=email_code&enrol=email_code")
	}
	if email.asked != 1 {
		t.Errorf("%d codes sent", email.asked)
	}
	p.post("/oauth2/mfa", url.Values{"challenge": {"email_code"}}, "Sec-Fetch-Site", "cross-site")
	if email.asked != 1 {
		t.Error("another site had a code sent")
	}
	p.post("/oauth2/mfa", url.Values{"challenge": {"email_code"}}).expect(t, http.StatusSeeOther, "/oauth2/mfa")
	if email.asked != 2 {
		t.Errorf("%d codes sent", email.asked)
	}
}

// Who asks for codes faster than they are sent is told when there is another,
// and has not guessed at anything.
func TestAnotherCodeTooSoon(t *testing.T) {
	lately := fmt.Errorf("send: %w: %w", auth.ErrMailedLately, &auth.Throttled{RetryAfter: 24*time.Second + time.Millisecond})
	email := &enrolling{simple: simple{kind: "email_code", has: used(1), slow: lately}}
	h := open(t, func(f *signin.Flow) { f.Factors = append(f.Factors, email) })
	p := h.person()
	p.password("alice", "/app").expect(t, http.StatusSeeOther, "/oauth2/mfa")
	a := p.post("/oauth2/mfa", url.Values{"challenge": {"email_code"}})
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "25" ||
		!strings.Contains(a.body, "mailed not long ago, and another cannot be sent yet. Try again in 25 seconds.") {
		t.Errorf("%d, Retry-After %q:\n%s", a.status, a.header.Get("Retry-After"), a.body)
	}
	if strings.Contains(h.log.String(), "factor_failed") {
		t.Errorf("it is logged as a guess:\n%s", h.log)
	}
}

func TestMethodsInTheSession(t *testing.T) {
	for kind, want := range map[string][]string{
		"totp": {"pwd", "otp", "mfa"}, "email_code": {"pwd", "otp", "mfa"}, "passkey": {"pwd", "pop", "mfa"},
	} {
		h := open(t, func(f *signin.Flow) { f.Factors = []auth.Factor{&enrolling{simple: simple{kind: kind, has: used(1)}}} })
		p := h.person()
		p.password("alice", "/app")
		p.post("/oauth2/mfa", url.Values{"code": {kind}}).expect(t, http.StatusSeeOther, "/app")
		got := h.sessions.started[0]
		if diff := cmp.Diff(want, got.Identity.AMR); diff != "" || got.Proved.IsZero() {
			t.Errorf("%s: %s, proved %v", kind, diff, got.Proved)
		}
	}
}

// A sign-in that was spared the factor that the account has proves less than
// the account's page asks for.
func TestSparedFactorIsNoProof(t *testing.T) {
	for _, enrolled := range []string{"", "S"} {
		h := open(t, func(f *signin.Flow) { f.Enforce = config.EnforceOff })
		h.factor.enrolled["alice"] = enrolled
		h.person().password("alice", "/app").expect(t, http.StatusSeeOther, "/app")
		if got := h.sessions.started[0].Proved; got.IsZero() != (enrolled != "") {
			t.Errorf("enrolled %q: proved %v", enrolled, got)
		}
	}
}

// Who sets a factor up names it if they like; the name outlives a wrong code.
func TestNameOfAnEnrolment(t *testing.T) {
	for _, kind := range []string{"totp", "passkey"} {
		e := &enrolling{simple: simple{kind: kind}}
		p := open(t, func(f *signin.Flow) { f.Factors = []auth.Factor{e} }).person()
		p.password("alice", "/app")
		p.get("/oauth2/mfa")
		a := p.post("/oauth2/mfa", url.Values{"method": {kind}, "code": {"wrong"}, "name": {"My <phone>"}})
		if a.status != http.StatusUnauthorized || !strings.Contains(a.body, `value="My &lt;phone&gt;"`) {
			t.Errorf("%s: %d\n%s", kind, a.status, a.body)
		}
		p.post("/oauth2/mfa", url.Values{"method": {kind}, "code": {kind}, "name": {"My <phone>"}}).expect(t, http.StatusSeeOther, "/app")
		if len(e.has) != 1 || e.has[0].Name != "My <phone>" {
			t.Errorf("enrolled: %+v", e.has)
		}
	}
}

// Recovery codes, a method that is out of use, and whoever is asked to by an
// administrator: they prove, and then a factor is enrolled before there is a
// session.
func TestEnrolmentAfterAProof(t *testing.T) {
	for _, c := range []struct {
		name, proof string
		change      func(*signin.Flow, *enrolling, *codes)
	}{
		{"recovery code alone", "recovery_code", func(_ *signin.Flow, _ *enrolling, r *codes) { r.has = used(1) }},
		{"out of use", "totp", func(f *signin.Flow, totp *enrolling, _ *codes) {
			totp.has, f.Methods = used(1), []string{"passkey", "recovery_code"}
		}},
		{"demanded", "totp", func(f *signin.Flow, totp *enrolling, _ *codes) {
			totp.has, f.Demands = used(1), &demands{open: true}
		}},
		{"demanded where nothing is enforced", "totp", func(f *signin.Flow, totp *enrolling, _ *codes) {
			totp.has, f.Demands, f.Enforce = used(1), &demands{open: true}, config.EnforceOff
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			totp, passkey, recovery := &enrolling{simple: simple{kind: "totp"}}, &enrolling{simple: simple{kind: "passkey"}}, &codes{simple: simple{kind: "recovery_code"}}
			h := open(t, func(f *signin.Flow) {
				f.Factors, f.Recovery = []auth.Factor{totp, passkey, recovery}, recovery
				c.change(f, totp, recovery)
			})
			p := h.person()
			p.password("alice", "/app")
			if a := p.post("/oauth2/mfa", url.Values{"enrol": {"passkey"}}); a.status != http.StatusBadRequest {
				t.Errorf("enrolled with a password alone: %d", a.status)
			}
			handle := p.cookies()["g_mfa"]
			p.post("/oauth2/mfa", url.Values{"code": {c.proof}}).expect(t, http.StatusSeeOther, "/oauth2/mfa")
			if p.signedIn() || p.cookies()["g_mfa"] == handle {
				t.Fatal("signed in, or the handle is still the same")
			}
			p.post("/oauth2/mfa", url.Values{"enrol": {"passkey"}}).expect(t, http.StatusSeeOther, "/oauth2/mfa")
			p.post("/oauth2/mfa", url.Values{"method": {"passkey"}, "code": {"passkey"}}).expect(t, http.StatusSeeOther, "/app")
			if diff := cmp.Diff([]auth.Authenticator{{ID: auth.PurposeEnrol}}, passkey.has); diff != "" {
				t.Error(diff)
			}
			p = h.person()
			if p.password("alice", "/app").location != "/app" {
				p.post("/oauth2/mfa", url.Values{"method": {"passkey"}, "code": {"passkey"}}).expect(t, http.StatusSeeOther, "/app")
			}
			if !p.signedIn() {
				t.Error("something is owed again")
			}
		})
	}
}

// Recovery codes are shown with an enrolment, stay the same for it, and count
// once it is confirmed: before, whoever has the password alone has seen them.
func TestRecoveryCodesOfAnEnrolment(t *testing.T) {
	recovery := &codes{simple: simple{kind: "recovery_code"}}
	h := open(t, func(f *signin.Flow) { f.Factors, f.Recovery = append(f.Factors, recovery), recovery })
	p := h.person()
	p.password("alice", "/app")
	for range 2 {
		if a := p.get("/oauth2/mfa"); !strings.Contains(a.body, "code-one") || !strings.Contains(a.body, "SECRET1") {
			t.Errorf("the page has no codes, or another secret:\n%s", a.body)
		}
	}
	p.post("/oauth2/mfa", url.Values{"code": {"000000"}})
	if recovery.kept != nil || recovery.made != 1 {
		t.Errorf("kept %v, made %d times", recovery.kept, recovery.made)
	}
	p.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/app")
	if diff := cmp.Diff([]string{"code-one", "code-two"}, recovery.kept); diff != "" {
		t.Error(diff)
	}
	// A recovery code that is used is told.
	recovery.has = []auth.Authenticator{{ID: "x", Left: 9}}
	p = h.person()
	p.password("alice", "/app")
	p.post("/oauth2/mfa", url.Values{"method": {"recovery_code"}, "code": {"recovery_code"}}).expect(t, http.StatusSeeOther, "/app")
	if !slices.Contains(h.events.all, "alice recovery_code_used 9 left") {
		t.Errorf("told: %v", h.events.all)
	}
}

// What the account cannot enrol now is not offered, and a form that asks for it
// all the same is told so.
func TestOnlyWhatCanBeEnrolledIsOffered(t *testing.T) {
	full := &enrolling{simple: simple{kind: "totp"}, unable: auth.ErrNotFound}
	passkey := &enrolling{simple: simple{kind: "passkey"}}
	mail := &enrolling{simple: simple{kind: "email_code"}, unable: auth.ErrNotFound}
	h := open(t, func(f *signin.Flow) { f.Factors = []auth.Factor{full, mail, passkey} })
	p := h.person()
	p.password("alice", "/app").expect(t, http.StatusSeeOther, "/oauth2/mfa")
	a := p.get("/oauth2/mfa")
	if !strings.Contains(a.body, "Set up a passkey") || strings.Contains(a.body, `name="enrol"`) {
		t.Errorf("not a passkey alone:\n%s", a.body)
	}
	for _, kind := range []string{"totp", "email_code"} {
		if a := p.post("/oauth2/mfa", url.Values{"enrol": {kind}}); a.status != http.StatusConflict {
			t.Errorf("%s: %d", kind, a.status)
		}
	}
	// An offer that has become one too many gives way to another kind.
	full.unable, passkey.unable = nil, auth.ErrNotFound
	if a := p.get("/oauth2/mfa"); !strings.Contains(a.body, "Set up your authenticator app") {
		t.Errorf("not an app:\n%s", a.body)
	}
}

// An enrolment that is owed and cannot be made locks nobody out who has proved a
// factor. Who has only a password goes no further.
func TestNothingCanBeEnrolled(t *testing.T) {
	for _, c := range []struct {
		name, proof string
		demands     *demands
	}{
		{"demanded", "totp", &demands{open: true}},
		{"a recovery code is all", "recovery_code", nil},
		{"only a password", "", &demands{open: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			totp := &enrolling{simple: simple{kind: "totp"}, unable: auth.ErrNotFound}
			recovery := &codes{simple: simple{kind: "recovery_code"}}
			if c.proof == "totp" {
				totp.has = used(1)
			} else if c.proof != "" {
				recovery.has = used(1)
			}
			h := open(t, func(f *signin.Flow) {
				f.Factors, f.Recovery = []auth.Factor{totp, recovery}, recovery
				if c.demands != nil {
					f.Demands = c.demands
				}
			})
			p := h.person()
			p.password("alice", "/app").expect(t, http.StatusSeeOther, "/oauth2/mfa")
			if c.proof == "" {
				if a := p.get("/oauth2/mfa"); a.status != http.StatusForbidden || p.signedIn() {
					t.Errorf("status %d", a.status)
				}
				return
			}
			p.post("/oauth2/mfa", url.Values{"code": {c.proof}}).expect(t, http.StatusSeeOther, "/app")
			if c.demands != nil && !c.demands.open {
				t.Error("the demand is forgotten")
			}
		})
	}
}
