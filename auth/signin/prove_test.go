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

	"gatehouse/auth"
	"gatehouse/auth/signin"
)

// entered is alice after a whole local sign-in, whose proof has grown old.
func entered(h *house) *person {
	h.t.Helper()
	h.factor.enrolled["alice"] = "S"
	p := h.person()
	p.password("alice", "/")
	if a := p.post("/oauth2/mfa", url.Values{"method": {"totp"}, "code": {fmt.Sprintf("12%04d", len(h.sessions.started))}}); a.status != 303 || !p.signedIn() {
		h.t.Fatalf("%d\n%s", a.status, a.body)
	}
	h.advance(11 * time.Minute)
	return p
}

// The same session goes on under a new id, and says when it was proved.
func TestProve(t *testing.T) {
	h := open(t, nil)
	p := entered(h)
	first := p.cookies()["session"]
	page := p.get("/oauth2/prove?rd=%2Foauth2%2Faccount")
	if page.status != 200 || !strings.Contains(page.body, `value="/oauth2/account"`) || !strings.Contains(page.body, "alice") {
		t.Fatalf("%d\n%s", page.status, page.body)
	}
	give := func(password string, headers ...string) answer {
		return p.post("/oauth2/prove", url.Values{"password": {password}, "rd": {"/oauth2/account"}}, headers...)
	}
	if a := give("wrong"); a.status != 401 || !strings.Contains(a.body, `aria-invalid="true"`) {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	if a := give("right", "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("cross-site: %d", a.status)
	}
	if a := give("right"); a.status != 303 || a.location != "/oauth2/mfa" {
		t.Fatalf("%d %s", a.status, a.location)
	}
	// A password alone is half of it.
	if len(h.sessions.renewed) > 0 || p.cookies()["session"] != first {
		t.Fatal("half a proof counts")
	}
	if a := p.post("/oauth2/mfa", url.Values{"method": {"totp"}, "code": {"000000"}}); a.status != 401 {
		t.Errorf("a wrong code: %d", a.status)
	}
	a := p.post("/oauth2/mfa", url.Values{"method": {"totp"}, "code": {"129001"}})
	if a.status != 303 || a.location != "/oauth2/account" {
		t.Fatalf("%d %s", a.status, a.location)
	}
	if len(h.sessions.renewed) != 1 || p.cookies()["session"] == first || !p.signedIn() {
		t.Fatalf("renewed %v", h.sessions.renewed)
	}
	n := h.sessions.renewed[0]
	if n.Account != "alice" || h.now().Sub(n.Proved) > time.Minute || !slices.Contains(n.Identity.AMR, "mfa") || n.Identity.Username != "" {
		t.Errorf("%+v", n)
	}
	if len(h.sessions.started) != 1 {
		t.Error("a second session was started")
	}
}

// There is no password to prove for who has none here, or no account, or no
// session.
func TestNothingToProveAgain(t *testing.T) {
	h := open(t, nil)
	through, federated := h.person(), h.person()
	through.back(through.begin("partner", "/"), "carol")
	federated.back(federated.begin("acme", "/"), "dave")
	for name, p := range map[string]*person{"passes through": through, "without a password": federated} {
		if a := p.post("/oauth2/prove", url.Values{"password": {"right"}}); a.status != 404 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if a := through.get("/oauth2/prove"); a.status != 404 {
		t.Errorf("passes through: %d", a.status)
	}
	for _, a := range []answer{h.person().get("/oauth2/prove?rd=/x"), h.person().post("/oauth2/prove", url.Values{"password": {"right"}, "rd": {"/x"}})} {
		if !strings.HasSuffix(a.location, "/oauth2/sign_in?rd=%2Fx") {
			t.Errorf("nobody: %d %s", a.status, a.location)
		}
	}
}

// Who has no password signs in once more: as they did or, where their connection
// is gone, or the password that they came in by, in any way that is open. The
// page would be of no use at sign_in, which leads who is signed in back at once.
func TestSignInAgainWithoutAPassword(t *testing.T) {
	const there = "/oauth2/prove?rd=%2Foauth2%2Faccount"
	h := open(t, func(f *signin.Flow) { f.Enforce = "off" })
	federated, local := h.person(), h.person()
	federated.back(federated.begin("acme", "/"), "dave")
	local.password("alice", "/").expect(t, 303, "/")
	federated.get(there).expect(t, 302, "/oauth2/start?connection=acme&rd=%2Foauth2%2Faccount")
	h.flow.Connections = h.flow.Connections[1:]
	h.passwords.gone = true
	for name, p := range map[string]*person{"connection gone": federated, "password gone": local} {
		a := p.get(there)
		if a.status != 200 || !strings.Contains(a.body, "Sign in once more") || !strings.Contains(a.body, `href="/oauth2/start?connection=partner&amp;rd=%2Foauth2%2Faccount"`) {
			t.Errorf("%s: %d to %q\n%s", name, a.status, a.location, a.body)
		}
	}
}

// A proof belongs to the session that it was asked for. Attack: begin one, sign
// somebody else in on the same browser, and have them finish it.
func TestProofOfAnotherSession(t *testing.T) {
	h := open(t, nil)
	p := entered(h)
	if a := p.post("/oauth2/prove", url.Values{"password": {"right"}}); a.location != "/oauth2/mfa" {
		t.Fatalf("%d %s", a.status, a.location)
	}
	p.back(p.begin("partner", "/"), "carol") // a new session; the step's cookie is gone with it, a copy of it is not
	q := entered(h)
	q.post("/oauth2/prove", url.Values{"password": {"right"}})
	mine := q.cookies()["g_mfa"]
	thief := h.person()
	thief.back(thief.begin("partner", "/"), "mallet")
	a := thief.post("/oauth2/mfa", url.Values{"method": {"totp"}, "code": {"129002"}}, "Cookie", "g_mfa="+mine+"; session="+thief.cookies()["session"])
	if a.status != 302 && a.status != 303 && a.status != 400 || len(h.sessions.renewed) > 0 {
		t.Errorf("%d %s, renewed %d", a.status, a.location, len(h.sessions.renewed))
	}
	// A factor that was taken away meanwhile is not replaced by one of who has
	// the password.
	r := entered(h)
	r.post("/oauth2/prove", url.Values{"password": {"right"}})
	delete(h.factor.enrolled, "alice")
	if a := r.get("/oauth2/mfa"); a.status != 409 || strings.Contains(a.body, "SECRET") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
}

// linker remembers what was linked; "taken" is somebody else's.
type linker struct {
	mu  sync.Mutex
	all []string
}

func (l *linker) LinkOwn(_ context.Context, id auth.Identity, account string) (auth.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id.Subject == "taken" {
		return auth.Outcome{}, &auth.Denied{Reason: auth.DeniedTaken, Connection: id.Connection}
	}
	l.all = append(l.all, id.Connection+" "+id.Subject+" -> "+account)
	return auth.Outcome{Verdict: auth.Linked, Account: account}, nil
}

// goToLink has p go to acme to link who they are there, and returns the state.
func goToLink(t *testing.T, p *person) (state string) {
	t.Helper()
	a := p.post("/oauth2/link", url.Values{"connection": {"acme"}})
	to, err := url.Parse(a.location)
	if err != nil || a.status != 303 || to.Host != "idp.example" {
		t.Fatalf("%d %s", a.status, a.location)
	}
	return to.Query().Get("state")
}

func TestLinkAnother(t *testing.T) {
	h := open(t, nil)
	p := entered(h)
	// The sign-in is too long ago.
	a := p.post("/oauth2/link", url.Values{"connection": {"acme"}})
	if a.status != 303 || a.location != "/oauth2/prove?rd=%2Foauth2%2Faccount" {
		t.Fatalf("%d %s", a.status, a.location)
	}
	p = entered(h)
	h.advance(-10 * time.Minute)
	before := p.cookies()["session"]
	state := goToLink(t, p)
	a = p.back(state, "ann")
	if a.status != 302 || a.location != "/oauth2/account#links" {
		t.Errorf("%d %s\n%s", a.status, a.location, a.body)
	}
	if got := h.linker.all; len(got) != 1 || got[0] != "acme ann -> alice" {
		t.Errorf("linked %v", got)
	}
	if p.cookies()["session"] != before || len(h.sessions.renewed) > 0 {
		t.Error("the session has changed")
	}
	if a := p.back(state, "ann"); a.status != 400 {
		t.Errorf("the state passes twice: %d", a.status)
	}
	if a := p.back(goToLink(t, p), "taken"); a.status != 403 || !strings.Contains(a.body, `href="/oauth2/account#links"`) {
		t.Errorf("somebody else's: %d\n%s", a.status, a.body)
	}
}

func TestLinkRefused(t *testing.T) {
	h := open(t, nil)
	if a := h.person().post("/oauth2/link", url.Values{"connection": {"acme"}}); !strings.Contains(a.location, "/oauth2/sign_in?") {
		t.Errorf("nobody: %d %s", a.status, a.location)
	}
	through := h.person()
	through.back(through.begin("partner", "/"), "carol")
	if a := through.post("/oauth2/link", url.Values{"connection": {"acme"}}); a.status != 404 {
		t.Errorf("who passes through: %d", a.status)
	}
	p := entered(h)
	h.advance(-10 * time.Minute)
	if a := p.get("/oauth2/link"); a.status != 405 {
		t.Errorf("GET: %d", a.status)
	}
	if a := p.post("/oauth2/link", url.Values{"connection": {"gone"}}); a.status != 404 {
		t.Errorf("no such connection: %d", a.status)
	}
	if a := p.post("/oauth2/link", url.Values{"connection": {"acme"}}, "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("cross-site: %d", a.status)
	}
	// Attack: begin a link, and have a victim's browser finish it, so that the
	// victim's identity opens the attacker's account; or the other way around.
	state := goToLink(t, p)
	victim := entered(h)
	if a := victim.back(state, "victim"); a.status != 400 {
		t.Errorf("in another browser: %d", a.status)
	}
	// The session ends while the person is away.
	h.advance(-10 * time.Minute)
	p = entered(h)
	h.advance(-10 * time.Minute)
	state = goToLink(t, p)
	p.post("/oauth2/sign_out", url.Values{})
	if a := p.back(state, "ann"); a.status != 400 {
		t.Errorf("signed out: %d", a.status)
	}
	if len(h.linker.all) > 0 {
		t.Errorf("linked %v", h.linker.all)
	}
	// An account without a password shows that it is them as they came in.
	dave := h.person()
	dave.back(dave.begin("acme", "/"), "dave")
	if a := dave.post("/oauth2/link", url.Values{"connection": {"partner"}}); a.status != 303 || !strings.Contains(a.location, "idp.example") {
		t.Errorf("right after the sign-in: %d %s", a.status, a.location)
	}
	h.advance(11 * time.Minute)
	if a := dave.post("/oauth2/link", url.Values{"connection": {"partner"}}); a.status != http.StatusSeeOther || a.location != "/oauth2/prove?rd=%2Foauth2%2Faccount" {
		t.Errorf("later: %d %s", a.status, a.location)
	}
}
