package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/auth"
	"gatehouse/auth/signin"
	"gatehouse/internal/config"
	"gatehouse/internal/cookie"
)

// claims comes through acme as somebody whose e-mail is that of an account.
func (p *person) claims(account string) {
	p.h.t.Helper()
	p.back(p.begin("acme", "/app?a=b"), "of-"+account).expect(p.h.t, http.StatusFound, "/oauth2/confirm")
}

var (
	rightPassword = url.Values{"password": {"right"}}
	elsewhere     = url.Values{"connection": {"partner"}}
	giveUp        = url.Values{"give_up": {"yes"}}
)

// ofAcme is the session that comes of a proof, whatever was proved with: that
// of the identity that came first, as its provider has proved it.
func ofAcme(account string) []auth.Session {
	return []auth.Session{{Account: account, JIT: true, IdPSession: "sid-of-" + account, Identity: auth.Identity{
		Connection: "acme", Issuer: "https://idp.example/acme", Subject: "of-" + account, AMR: []string{"idp"},
	}}}
}

func (h *house) started(want []auth.Session) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.sessions.started, cmpopts.IgnoreFields(auth.Session{}, "ID"), cmpopts.EquateEmpty()); diff != "" {
		h.t.Errorf("sessions (-want +got):\n%s", diff)
	}
}

func TestAccountProvedByPassword(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.claims("bob")
	page := p.get("/oauth2/confirm")
	for _, want := range []string{"bob@acme.example", "Acme SSO", `name="password"`, `value="partner"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
	if page.status != http.StatusOK || strings.Contains(page.body, "gone") || page.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the page: %d %v\n%s", page.status, page.header, page.body)
	}
	if p.signedIn() {
		t.Error("signed in before the proof")
	}
	p.post("/oauth2/confirm", rightPassword).expect(t, http.StatusSeeOther, "/app?a=b")
	h.started(ofAcme("bob"))
	if c := p.cookies(); !p.signedIn() || c["g_confirm"] != "" || c["g_device"] != "" {
		t.Errorf("cookies %v", c)
	}
	for _, line := range []string{
		`"msg":"link_confirmation_asked","connection":"acme","subject":"of-bob","account":"bob","why":"it is asked for","decision_id":"decision-1"`,
		`"msg":"link_confirmed","connection":"acme","subject":"of-bob","account":"bob","by":"password"`,
		`"decision_id":"decision-2"`,
	} {
		if !strings.Contains(h.log.String(), line) {
			t.Errorf("the log lacks %s:\n%s", line, h.log)
		}
	}
}

// A factor that the account has is asked for whatever mfa.enforce says, and
// its proof stays out of the session. One that it has not is not enrolled.
func TestAccountProvedByPasswordAndFactor(t *testing.T) {
	for _, enforce := range []string{config.EnforceLocal, config.EnforceOff} {
		t.Run(enforce, func(t *testing.T) {
			h := open(t, func(f *signin.Flow) {
				f.Enforce = enforce
				f.Factors = append([]auth.Factor{second{&factor{}}}, f.Factors...) // which nobody has
			})
			h.factor.enrolled["alice"] = "S"
			p := h.person()
			p.claims("alice")
			p.post("/oauth2/confirm", rightPassword).expect(t, http.StatusSeeOther, "/oauth2/mfa")
			if p.signedIn() || p.cookies()["g_confirm"] != "" {
				t.Error("the password alone has done it")
			}
			if page := p.get("/oauth2/mfa"); !strings.Contains(page.body, "<strong>alice</strong>") {
				t.Errorf("not asked for alice's code:\n%s", page.body)
			}
			if a := p.post("/oauth2/mfa", url.Values{"code": {"000000"}}); a.status != http.StatusUnauthorized {
				t.Errorf("a wrong code: %d", a.status)
			}
			if a := p.post("/oauth2/mfa", url.Values{"code": {"throttle"}}); a.status != http.StatusTooManyRequests {
				t.Errorf("too many codes: %d", a.status)
			}
			p.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/app?a=b")
			h.started(ofAcme("alice"))
			if !strings.Contains(h.log.String(), `"by":"password_and_factor"`) {
				t.Errorf("the log does not say what proved it:\n%s", h.log)
			}
		})
	}
}

// Where everybody owes a factor, that is owed by the sign-in, and what proved
// the account does not pay for it.
func TestProofIsNotTheFactorThatIsOwed(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Enforce = config.EnforceAll })
	h.factor.enrolled["alice"] = "S"
	p := h.person()
	p.claims("alice")
	p.post("/oauth2/confirm", rightPassword).expect(t, http.StatusSeeOther, "/oauth2/mfa")
	p.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/oauth2/mfa")
	h.started(nil)
	p.post("/oauth2/mfa", url.Values{"code": {"121212"}}).expect(t, http.StatusSeeOther, "/app?a=b")
	want := ofAcme("alice")
	want[0].Identity.AMR = []string{"idp", "otp", "mfa"}
	h.started(want)
}

func TestAccountProvedByAnotherIdentity(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"] = "S" // goes with the password; the other identity needs none
	p := h.person()
	p.claims("alice")
	state := stateOf(t, h.seeOther(p.post("/oauth2/confirm", elsewhere)))
	p.back(state, "alice").expect(t, http.StatusFound, "/app?a=b")
	h.started(ofAcme("alice"))
	if !strings.Contains(h.log.String(), `"by":"connection:partner"`) {
		t.Errorf("the log does not say what proved it:\n%s", h.log)
	}
	// The state is spent, and so is the proof.
	if a := p.back(state, "alice"); a.status != http.StatusBadRequest {
		t.Errorf("the proof again: %d", a.status)
	}
}

// seeOther makes an answer to a form look like one to a link.
func (h *house) seeOther(a answer) answer {
	h.t.Helper()
	if a.status != http.StatusSeeOther {
		h.t.Fatalf("%d\n%s", a.status, a.body)
	}
	return a
}

// An identity that the account does not know proves nothing, and is not signed
// in by having tried. The person may still prove it otherwise.
func TestIdentityThatProvesNothing(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.claims("alice")
	a := p.back(stateOf(t, h.seeOther(p.post("/oauth2/confirm", elsewhere))), "carol")
	if a.status != http.StatusForbidden || !strings.Contains(a.body, `href="/oauth2/confirm"`) || !strings.Contains(a.body, "decision-3") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	h.started(nil)
	p.post("/oauth2/confirm", rightPassword).expect(t, http.StatusSeeOther, "/app?a=b")
	h.started(ofAcme("alice"))
}

// Both sign-ins belong to one browser. Attack: somebody whose provider lets
// him have the victim's address begins, and sends the victim to where the proof
// is made; or plants his own proof in the victim's browser.
func TestProofStaysInItsBrowser(t *testing.T) {
	h := open(t, nil)
	attacker, victim := h.person(), h.person()
	attacker.claims("alice")
	state := stateOf(t, h.seeOther(attacker.post("/oauth2/confirm", elsewhere)))
	if a := victim.back(state, "alice"); a.status != http.StatusBadRequest {
		t.Errorf("another browser: %d", a.status)
	}
	// The victim is at a confirmation too: of his own.
	victim.claims("alice")
	bind := ""
	for name, value := range attacker.cookies() {
		if strings.HasPrefix(name, "g_bind_") {
			bind = name + "=" + value
		}
	}
	r := victim.request(http.MethodGet, "/oauth2/callback?"+url.Values{"state": {state}, "code": {"alice"}}.Encode(), nil, "Cookie", bind)
	if a := victim.do(r); a.status != http.StatusBadRequest {
		t.Errorf("the proof of another one: %d", a.status)
	}
	h.started(nil)
	// Attack: a page that posts the form from elsewhere. The browser is signed
	// in at the provider, so the proof would be made without a word.
	for _, form := range []url.Values{elsewhere, rightPassword, giveUp} {
		if a := victim.post("/oauth2/confirm", form, "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
			t.Errorf("a form of another site %v: %d", form, a.status)
		}
	}
	if a := victim.get("/oauth2/confirm?connection=partner&password=right"); a.status != http.StatusOK {
		t.Errorf("a link: %d to %q", a.status, a.location)
	}
	h.started(nil)
}

func TestConfirmIsOnlyForWhoMustProve(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"] = "S"
	full, half := h.person(), h.person()
	full.back(full.begin("acme", "/app"), "alice")
	half.password("alice", "/app")
	h.sessions.started = nil
	for name, p := range map[string]*person{"nobody": h.person(), "a finished session": full, "who owes a factor": half} {
		t.Run(name, func(t *testing.T) {
			p.get("/oauth2/confirm").expect(t, http.StatusFound, "/oauth2/sign_in")
			for _, form := range []url.Values{rightPassword, elsewhere, giveUp} {
				p.post("/oauth2/confirm", form).expect(t, http.StatusSeeOther, "/oauth2/sign_in")
			}
		})
	}
	// The handle opens nothing elsewhere, nor a handle from elsewhere this.
	p := h.person()
	p.claims("alice")
	handle := p.cookies()["g_confirm"]
	stranger := h.person()
	stranger.post("/oauth2/mfa", url.Values{"code": {"123456"}}, "Cookie", "g_mfa="+handle).expect(t, http.StatusSeeOther, "/oauth2/sign_in")
	if a := stranger.back(handle, "alice"); a.status != http.StatusBadRequest {
		t.Errorf("as a state: %d", a.status)
	}
	for name, value := range map[string]string{
		"a session": full.cookies()["session"], "a factor's handle": half.cookies()["g_mfa"],
		"made up": cookie.NewID(), "nothing": "", "huge": strings.Repeat("A", 9000), "sent twice": handle + "; g_confirm=" + handle,
	} {
		if a := stranger.post("/oauth2/confirm", rightPassword, "Cookie", "g_confirm="+value); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d to %q", name, a.status, a.location)
		}
	}
	if a := stranger.get("/oauth2/userinfo", "Cookie", "session="+handle+"; g_confirm="+handle); a.status != http.StatusUnauthorized {
		t.Errorf("as a session: %d", a.status)
	}
	h.started(nil)
}

func TestConfirmInputs(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.claims("alice")
	for _, c := range []struct {
		name string
		form url.Values
		want int
	}{
		{"nothing", url.Values{}, http.StatusBadRequest},
		{"two ways at once", url.Values{"password": {"right"}, "connection": {"partner"}}, http.StatusBadRequest},
		{"two passwords", url.Values{"password": {"right", "wrong"}}, http.StatusBadRequest},
		{"two connections", url.Values{"connection": {"partner", "partner"}}, http.StatusBadRequest},
		{"a connection that proves nothing", url.Values{"connection": {"acme"}}, http.StatusBadRequest},
		{"no connection", url.Values{"connection": {""}}, http.StatusBadRequest},
		{"a connection that is gone", url.Values{"connection": {"gone"}}, http.StatusForbidden},
		{"a wrong password", url.Values{"password": {"wrong"}}, http.StatusUnauthorized},
		{"an empty password", url.Values{"password": {""}}, http.StatusUnauthorized},
		// The account is the one of the confirmation, whatever the form says.
		{"a wrong password, another name", url.Values{"password": {"x"}, "username": {"bob"}}, http.StatusUnauthorized},
		{"a huge body", url.Values{"password": {strings.Repeat("x", 100_000)}}, http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := p.post("/oauth2/confirm", c.form); a.status != c.want || a.location != "" {
				t.Errorf("%d to %q, want %d\n%s", a.status, a.location, c.want, a.body)
			}
		})
	}
	if a := p.do(p.request(http.MethodPut, "/oauth2/confirm", nil)); a.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %d", a.status)
	}
	h.started(nil)

	p.claims("throttled")
	if a := p.post("/oauth2/confirm", rightPassword); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "90" {
		t.Errorf("too many attempts: %d %v", a.status, a.header)
	}
	// The name of the account is by now another account's, who gave its own
	// password.
	p.claims("elsewhere2")
	h.passwords.as = map[string]string{"elsewhere2": "bob"}
	if a := p.post("/oauth2/confirm", rightPassword); a.status != http.StatusUnauthorized {
		t.Errorf("the password of another account: %d to %q", a.status, a.location)
	}
	h.started(nil)
}

func TestGivingUp(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.claims("alice")
	handle := p.cookies()["g_confirm"]
	p.post("/oauth2/confirm", giveUp).expect(t, http.StatusSeeOther, h.url+"/oauth2/sign_in?rd=%2Fapp%3Fa%3Db")
	p.get("/oauth2/confirm").expect(t, http.StatusFound, "/oauth2/sign_in")
	if a := p.post("/oauth2/confirm", rightPassword, "Cookie", "g_confirm="+handle); a.status != http.StatusBadRequest {
		t.Errorf("the handle still opens something: %d", a.status)
	}
	h.started(nil)
}

// The address is that of another account by now: its proof is asked for, and
// the one that was given is worth nothing.
func TestAccountInQuestionHasChanged(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.claims("moved")
	first := p.cookies()["g_confirm"]
	p.post("/oauth2/confirm", rightPassword).expect(t, http.StatusSeeOther, "/oauth2/confirm")
	if again := p.cookies()["g_confirm"]; again == first || again == "" {
		t.Errorf("handle %q", again)
	}
	h.started(nil)
}

// Nothing can prove it here: the person is told, and not asked.
func TestNoWayToProve(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Passwords = nil })
	p := h.person()
	a := p.back(p.begin("acme", "/app"), "of-elsewhere")
	if a.status != http.StatusForbidden || !strings.Contains(a.body, "Your account cannot be confirmed") || !strings.Contains(a.body, "decision-1") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	// Without local sign-in the password proves nothing.
	p.claims("bob")
	if page := p.get("/oauth2/confirm"); strings.Contains(page.body, `type="password"`) {
		t.Error("a password is asked for")
	}
	if a := p.post("/oauth2/confirm", rightPassword); a.status != http.StatusBadRequest {
		t.Errorf("password: %d", a.status)
	}
	h.started(nil)
}

// Whatever was changed about the account after the identity came, at whatever
// step the person then is, the proof is void. Attack: somebody who has the
// password waits at a step while it is changed, then goes on.
func TestProofIsVoidOnceTheAccountHasChanged(t *testing.T) {
	ended := func(h *house) { h.sessions.mu.Lock(); h.sessions.ended["alice"] = h.now(); h.sessions.mu.Unlock() }
	closed := func(h *house) { h.flow.Connections = h.flow.Connections[1:] }
	expired := func(h *house) { h.advance(10*time.Minute + time.Second) }
	for _, c := range []struct {
		name   string
		change func(*house)
		want   int
		text   string
	}{
		{"sessions ended", ended, http.StatusConflict, "The account was changed meanwhile"},
		{"connection closed", closed, http.StatusForbidden, "This way in is closed"},
		{"expired", expired, http.StatusBadRequest, "This sign-in is no longer valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := func(step string, go1, go2 func(p *person) answer) {
				h := open(t, nil)
				h.factor.enrolled["alice"] = "S"
				p := h.person()
				p.claims("alice")
				if go1 != nil {
					go1(p)
				}
				h.advance(time.Second)
				c.change(h)
				a := go2(p)
				if step == "mfa" && c.name == "expired" {
					a.expect(t, http.StatusSeeOther, "/oauth2/sign_in")
				} else if a.status != c.want || !strings.Contains(a.body, c.text) {
					t.Errorf("%s: %d to %q\n%s", step, a.status, a.location, a.body)
				}
				h.started(nil)
			}
			var state string
			at("page", nil, func(p *person) answer { return p.get("/oauth2/confirm") })
			at("password", nil, func(p *person) answer { return p.post("/oauth2/confirm", rightPassword) })
			at("mfa", func(p *person) answer { return p.post("/oauth2/confirm", rightPassword) },
				func(p *person) answer { return p.post("/oauth2/mfa", url.Values{"code": {"123456"}}) })
			at("elsewhere", func(p *person) answer {
				state = stateOf(t, p.post("/oauth2/confirm", elsewhere))
				return answer{}
			}, func(p *person) answer { return p.back(state, "alice") })
		})
	}
	// Judging a password takes long, and may have to wait its turn.
	h := open(t, nil)
	p := h.person()
	p.claims("alice")
	h.advance(time.Second)
	h.passwords.during = func() { ended(h) }
	if a := p.post("/oauth2/confirm", rightPassword); a.status != http.StatusConflict {
		t.Errorf("changed while the password was judged: %d to %q", a.status, a.location)
	}
	h.started(nil)
	// A factor that was taken away is not enrolled anew by who has the password.
	h = open(t, nil)
	h.factor.enrolled["alice"] = "S"
	p = h.person()
	p.claims("alice")
	p.post("/oauth2/confirm", rightPassword).expect(t, http.StatusSeeOther, "/oauth2/mfa")
	delete(h.factor.enrolled, "alice")
	if a := p.get("/oauth2/mfa"); a.status != http.StatusConflict || strings.Contains(a.body, "SECRET") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	if a := p.post("/oauth2/mfa", url.Values{"code": {"123456"}}); a.status != http.StatusSeeOther || p.signedIn() {
		t.Errorf("%d to %q", a.status, a.location)
	}
	// Local sign-in was switched off, by a restart, between password and code.
	h = open(t, nil)
	h.factor.enrolled["alice"] = "S"
	p = h.person()
	p.claims("alice")
	p.post("/oauth2/confirm", rightPassword)
	h.flow.Passwords = nil
	if a := p.post("/oauth2/mfa", url.Values{"code": {"123456"}}); a.status != http.StatusConflict {
		t.Errorf("%d to %q", a.status, a.location)
	}
	h.started(nil)
}

// Of many right proofs at once, of either kind, one goes on.
func TestParallelProofs(t *testing.T) {
	for name, ways := range map[string][2]int{"passwords": {20, 0}, "other identities": {0, 20}, "both": {10, 10}} {
		t.Run(name, func(t *testing.T) {
			h := open(t, nil)
			p := h.person()
			p.claims("bob")
			var mine []string
			for name, value := range p.cookies() {
				mine = append(mine, name+"="+value)
			}
			cookies := strings.Join(mine, "; ")
			var passed atomic.Int32
			check := func(a answer) {
				switch {
				case a.location == "/app?a=b":
					passed.Add(1)
				case a.status == http.StatusBadRequest:
				default:
					t.Errorf("%d to %q", a.status, a.location)
				}
			}
			var wg sync.WaitGroup
			begin := make(chan struct{})
			for range ways[0] {
				wg.Go(func() {
					<-begin
					check(h.person().post("/oauth2/confirm", rightPassword, "Cookie", cookies))
				})
			}
			for range ways[1] {
				state := stateOf(t, h.person().post("/oauth2/confirm", elsewhere, "Cookie", cookies))
				wg.Go(func() {
					<-begin
					check(h.person().get("/oauth2/callback?"+url.Values{"state": {state}, "code": {"bob"}}.Encode(), "Cookie", cookies))
				})
			}
			close(begin)
			wg.Wait()
			if passed.Load() != 1 {
				t.Errorf("%d proofs went on", passed.Load())
			}
			h.started(ofAcme("bob"))
		})
	}
}

// The store is in trouble: nothing is lost, and the person may try again.
func TestProofWhileTheStoreIsDown(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.claims("bob")
	h.store.down.Store(true)
	if a := p.post("/oauth2/confirm", rightPassword); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d", a.status)
	}
	h.store.down.Store(false)
	p.post("/oauth2/confirm", rightPassword).expect(t, http.StatusSeeOther, "/app?a=b")
}
