package signin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/signin"
	"gatehouse/internal/config"
	"gatehouse/internal/cookie"
)

func TestFactorStepIsOnlyForWhoOwesOne(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"] = "S"
	code := url.Values{"code": {"123456"}}
	full := h.person()
	full.back(full.begin("acme", "/app"), "alice")
	for name, p := range map[string]*person{"nobody": h.person(), "a finished session": full} {
		p.get("/oauth2/mfa").expect(t, http.StatusFound, "/oauth2/sign_in")
		p.post("/oauth2/mfa", code).expect(t, http.StatusSeeOther, "/oauth2/sign_in")
		if name == "nobody" && p.signedIn() {
			t.Error("signed in with a code alone")
		}
	}
	stranger := h.person()
	for _, value := range []string{"", "x", cookie.NewID(), strings.Repeat("A", 9000)} {
		stranger.post("/oauth2/mfa", code, "Cookie", "g_mfa="+value).expect(t, http.StatusSeeOther, "/oauth2/sign_in")
	}
	// Sent twice, a cookie is none.
	p := h.person()
	p.password("alice", "/app")
	handle := p.cookies()["g_mfa"]
	stranger.post("/oauth2/mfa", code, "Cookie", "g_mfa="+handle+"; g_mfa="+handle).expect(t, http.StatusSeeOther, "/oauth2/sign_in")
	// Too late.
	h.advance(10*time.Minute + time.Second)
	p.post("/oauth2/mfa", code).expect(t, http.StatusSeeOther, "/oauth2/sign_in")
	if len(h.sessions.started) != 1 {
		t.Errorf("%d sessions", len(h.sessions.started))
	}
}

// A way in that was closed while somebody rested at the factor step, by a
// restart with another configuration, stays closed for them.
func TestFactorOfAWayInThatIsClosed(t *testing.T) {
	for name, c := range map[string]struct {
		sign  func(*person)
		close func(*signin.Flow)
	}{
		"local": {
			func(p *person) { p.password("alice", "/app") },
			func(f *signin.Flow) { f.Passwords = nil },
		},
		"connection": {
			func(p *person) { p.back(p.begin("acme", "/app"), "alice") },
			func(f *signin.Flow) { f.Connections = f.Connections[1:] },
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, func(f *signin.Flow) { f.Enforce = config.EnforceAll })
			h.factor.enrolled["alice"], h.factor.enrolled["account-alice"] = "S", "S"
			p := h.person()
			c.sign(p)
			if p.cookies()["g_mfa"] == "" {
				t.Fatal("no factor is owed")
			}
			c.close(h.flow)
			p.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/oauth2/sign_in")
			if len(h.sessions.started) != 0 {
				t.Error("signed in by a way that is closed")
			}
		})
	}
}

// Every handle dies with its step: who kept one from before cannot go on.
func TestHandleChangesAtEveryStep(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"] = "S"
	p := h.person()
	p.password("alice", "/app")
	handle := p.cookies()["g_mfa"]
	p.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/app")
	if session := p.cookies()["session"]; session == handle || session == "" {
		t.Errorf("session %q", session)
	}
	h.person().post("/oauth2/mfa", url.Values{"code": {"121212"}}, "Cookie", "g_mfa="+handle).
		expect(t, http.StatusSeeOther, "/oauth2/sign_in")
	// Whatever handle the browser had before, the next sign-in has another.
	p.password("alice", "/app")
	if again := p.cookies()["g_mfa"]; again == handle || again == "" {
		t.Errorf("handle %q", again)
	}
}

// Right answers in many tabs at once, each with a code of its own, are still
// one sign-in.
func TestOnePendingFactorUsedInParallel(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"] = "S"
	p := h.person()
	p.password("alice", "/app")
	handle := p.cookies()["g_mfa"]
	var passed atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			a := h.person().post("/oauth2/mfa", url.Values{"code": {fmt.Sprintf("12%04d", i)}}, "Cookie", "g_mfa="+handle)
			switch a.location {
			case "/app":
				passed.Add(1)
			case "/oauth2/sign_in":
			default:
				t.Errorf("%d to %q", a.status, a.location)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 || len(h.sessions.started) != 1 {
		t.Errorf("%d passed, %d sessions", passed.Load(), len(h.sessions.started))
	}
}

func TestFactorInputs(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"] = "S"
	p := h.person()
	p.password("alice", "/app")
	for name, c := range map[string]struct {
		form   url.Values
		status int
	}{
		"no code":      {url.Values{}, http.StatusUnauthorized},
		"wrong code":   {url.Values{"code": {"000000"}}, http.StatusUnauthorized},
		"huge code":    {url.Values{"code": {strings.Repeat("1", 1000)}}, http.StatusUnauthorized},
		"code twice":   {url.Values{"code": {"000000", "123456"}}, http.StatusBadRequest},
		"other method": {url.Values{"method": {"email_code"}, "code": {"123456"}}, http.StatusBadRequest},
	} {
		if a := p.post("/oauth2/mfa", c.form); a.status != c.status {
			t.Errorf("%s: %d, want %d", name, a.status, c.status)
		}
	}
	// A code in the query is no code: it would be in somebody's log.
	if a := p.post("/oauth2/mfa?code=123456", url.Values{}); a.status != http.StatusUnauthorized {
		t.Errorf("code in the query: %d", a.status)
	}
	if p.signedIn() {
		t.Error("signed in")
	}
}

// second is another kind of factor.
type second struct{ *factor }

func (second) Kind() string { return "email_code" }

// An account that has a factor must not get around it by enrolling another at
// sign-in, with nothing but the password.
func TestEnrolledFactorCannotBeAvoided(t *testing.T) {
	other := second{&factor{enrolled: map[string]string{}, used: map[string]bool{}}}
	h := open(t, func(f *signin.Flow) { f.Factors = append(f.Factors, other) })
	h.factor.enrolled["alice"] = "S"
	p := h.person()
	p.password("alice", "/app")
	for _, choice := range []string{"enrol", "challenge"} {
		if a := p.post("/oauth2/mfa", url.Values{choice: {"email_code"}}); a.status != http.StatusBadRequest || other.offers != 0 {
			t.Errorf("%s: %d", choice, a.status)
		}
	}
	if a := p.post("/oauth2/mfa", url.Values{"method": {"email_code"}, "code": {"123456"}}); a.status != http.StatusBadRequest || p.signedIn() {
		t.Errorf("POST: %d", a.status)
	}
	// Who has none may choose.
	p = h.person()
	p.password("bob", "/app")
	p.post("/oauth2/mfa", url.Values{"enrol": {"email_code"}}).expect(t, http.StatusSeeOther, "/oauth2/mfa")
	if other.offers != 1 || h.factor.offers != 0 {
		t.Errorf("%d and %d offers", other.offers, h.factor.offers)
	}
}

// The owner enrolled while somebody with the password had an enrolment open:
// that one must not put its own app in place, and is challenged.
func TestEnrolmentThatCameTooLate(t *testing.T) {
	h := open(t, nil)
	thief, owner := h.person(), h.person()
	for _, p := range []*person{thief, owner} {
		p.password("alice", "/app")
		p.get("/oauth2/mfa")
	}
	owner.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/app")
	if a := thief.post("/oauth2/mfa", url.Values{"code": {"000000"}}); a.status != http.StatusUnauthorized || strings.Contains(a.body, "SECRET") {
		t.Errorf("status %d\n%s", a.status, a.body)
	}
	if h.factor.enrolled["alice"] != "SECRET2" || thief.signedIn() {
		t.Errorf("enrolled %q, signed in %v", h.factor.enrolled["alice"], thief.signedIn())
	}
}

// A password was stolen, and its owner is told and changes it, which ends all
// sessions: who waits at the next step with the old one must not get on, nor
// put his own app in place.
func TestSessionsEndedMeanwhile(t *testing.T) {
	for _, enrolled := range []string{"", "S"} {
		h := open(t, nil)
		h.factor.enrolled["alice"] = enrolled
		thief := h.person()
		thief.password("alice", "/app")
		thief.get("/oauth2/mfa")
		h.advance(time.Minute)
		h.sessions.ended["alice"] = h.now()
		h.advance(time.Minute)
		thief.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/oauth2/sign_in")
		thief.get("/oauth2/mfa").expect(t, http.StatusFound, "/oauth2/sign_in")
		if h.factor.enrolled["alice"] != enrolled || len(h.sessions.started) != 0 {
			t.Errorf("enrolled %q, sessions %v", h.factor.enrolled["alice"], h.sessions.started)
		}
		// What is proved afterwards counts.
		owner := h.person()
		owner.password("alice", "/app")
		owner.get("/oauth2/mfa")
		owner.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/app")
	}
	// Ended between the last check and the session: a page, no session.
	h := open(t, func(f *signin.Flow) { f.Enforce = config.EnforceOff })
	h.sessions.ended["alice"] = h.now()
	if a := h.person().password("alice", "/app"); a.status != http.StatusBadRequest || len(h.sessions.started) != 0 {
		t.Errorf("status %d", a.status)
	}
}

// A code for a secret that was never shown proves nothing.
func TestCodeBeforeTheEnrolmentWasShown(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.password("alice", "/app")
	if a := p.post("/oauth2/mfa", url.Values{"code": {"123456"}}); a.status != http.StatusUnauthorized {
		t.Errorf("status %d", a.status)
	}
	if len(h.factor.enrolled) != 0 || p.signedIn() {
		t.Error("enrolled or signed in")
	}
}

// Somebody who finishes one sign-in and starts another as somebody else must
// get the second one's account, not a mixture.
func TestSecondSignInReplacesTheFirst(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"], h.factor.enrolled["bob"] = "S", "S"
	p := h.person()
	p.password("alice", "/a")
	p.password("bob", "/b")
	p.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/b")
	if got := h.sessions.started[0].Account; got != "bob" {
		t.Errorf("account %q", got)
	}
}

func TestPasswordAnswersAreAlike(t *testing.T) {
	h := open(t, nil)
	strip := strings.NewReplacer("alice", "NAME", "nobody", "NAME")
	wrong := func(login, password string) answer {
		return h.person().post("/oauth2/sign_in", url.Values{"username": {login}, "password": {password}, "rd": {"/app"}})
	}
	known, unknown := wrong("alice", "wrong"), wrong("nobody", "wrong")
	if known.status != http.StatusUnauthorized || unknown.status != known.status {
		t.Errorf("status %d and %d", known.status, unknown.status)
	}
	if strip.Replace(known.body) != strip.Replace(unknown.body) {
		t.Error("the pages of a known and an unknown user differ")
	}
	known.header.Del("Date")
	unknown.header.Del("Date")
	known.header.Del("Content-Length")
	unknown.header.Del("Content-Length")
	if fmt.Sprint(known.header) != fmt.Sprint(unknown.header) {
		t.Errorf("headers %v and %v", known.header, unknown.header)
	}
	if !strings.Contains(known.body, `value="/app"`) {
		t.Errorf("the return URL is lost:\n%s", known.body)
	}
}

func TestPasswordInputs(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	for name, c := range map[string]struct {
		form    url.Values
		headers []string
		status  int
	}{
		"nothing":         {url.Values{}, nil, http.StatusUnauthorized},
		"no password":     {url.Values{"username": {"alice"}}, nil, http.StatusUnauthorized},
		"huge password":   {url.Values{"username": {"alice"}, "password": {strings.Repeat("x", 1025)}}, nil, http.StatusUnauthorized},
		"huge name":       {url.Values{"username": {strings.Repeat("x", 321)}, "password": {"right"}}, nil, http.StatusUnauthorized},
		"username twice":  {url.Values{"username": {"bob", "alice"}, "password": {"right"}}, nil, http.StatusBadRequest},
		"password twice":  {url.Values{"username": {"alice"}, "password": {"x", "right"}}, nil, http.StatusBadRequest},
		"body too large":  {url.Values{"username": {strings.Repeat("x", 70_000)}}, nil, http.StatusBadRequest},
		"throttled":       {url.Values{"username": {"throttled"}, "password": {"x"}}, nil, http.StatusTooManyRequests},
		"store down":      {url.Values{"username": {"store-down"}, "password": {"x"}}, nil, http.StatusServiceUnavailable},
		"disabled":        {url.Values{"username": {"mallory"}, "password": {"right"}}, nil, http.StatusForbidden},
		"not a form":      {url.Values{"username": {"alice"}, "password": {"right"}}, []string{"Content-Type", "text/plain"}, http.StatusUnauthorized},
		"no content type": {url.Values{"username": {"alice"}, "password": {"right"}}, []string{"Content-Type", "application/x-www-form-urlencoded; x="}, http.StatusBadRequest},
	} {
		a := p.post("/oauth2/sign_in", c.form, c.headers...)
		if a.status != c.status || a.location != "" {
			t.Errorf("%s: %d to %q, want %d", name, a.status, a.location, c.status)
		}
		if n := strings.Count(strings.ToLower(a.body), "try again"); c.status == http.StatusTooManyRequests && n != 1 {
			t.Errorf("%s: the page says %d times to try again", name, n)
		}
		if c.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != "90" {
			t.Errorf("%s: Retry-After %q", name, a.header.Get("Retry-After"))
		}
	}
	// A password in the query is none: it would be in somebody's log.
	if a := p.post("/oauth2/sign_in?username=alice&password=right", url.Values{}); a.status != http.StatusUnauthorized {
		t.Errorf("password in the query: %d", a.status)
	}
	// A query that is no query is not the form's fault.
	p.post("/oauth2/sign_in?rd=%zz", url.Values{"username": {"alice"}, "password": {"right"}}).
		expect(t, http.StatusSeeOther, "/oauth2/mfa")
	if p.signedIn() {
		t.Error("signed in")
	}
}

// What an identity says of itself is not believed of a password.
func TestPasswordProvesAPasswordOnly(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Enforce = config.EnforceOff })
	p := h.person()
	p.password("alice", "/app").expect(t, http.StatusSeeOther, "/app")
	got := h.sessions.started[0].Identity
	if got.Connection != auth.Local || len(got.AMR) != 1 || got.AMR[0] != auth.MethodPassword {
		t.Errorf("identity %+v", got)
	}
}
