package account_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
)

// Every endpoint by every kind of session. The attack on most of them: an open
// session, taken over at an unlocked desk or by a stolen cookie, or begun at an
// identity provider that the attacker controls, becomes a password or a factor
// of theirs.
func TestEveryRouteByEverySession(t *testing.T) {
	const (
		enter   = "302 /oauth2/sign_in?rd=%2Foauth2%2Faccount"
		entered = "303 /oauth2/sign_in?rd=%2Foauth2%2Faccount"
		prove   = "303 /oauth2/prove?rd=%2Foauth2%2Faccount"
	)
	people := []string{"", "guest", "carol", "carol-stale", "alice-acme", "alice-unproved", "alice-stale", "alice"}
	for _, c := range []struct {
		method, path string
		want         []string // status and location, by people
	}{
		{"GET", "", []string{enter, "200", "200", "200", "200", "200", "200", "200"}},
		{"HEAD", "", []string{enter, "200", "200", "200", "200", "200", "200", "200"}},
		{"POST", "/sessions/end", []string{
			entered, "404", "303 /oauth2/account#sessions", "303 /oauth2/account#sessions",
			"303 /oauth2/account#sessions", "303 /oauth2/account#sessions", "303 /oauth2/account#sessions", "303 /oauth2/account#sessions",
		}},
		{"POST", "/sessions/end_others", []string{
			entered, "404", "303 /oauth2/account#sessions", "303 /oauth2/account#sessions",
			"303 /oauth2/account#sessions", "303 /oauth2/account#sessions", "303 /oauth2/account#sessions", "303 /oauth2/account#sessions",
		}},
		{"POST", "/unlink", []string{
			entered, "404", "404", prove, prove, prove, prove, "404",
		}},
		{"GET", "/password", []string{
			enter, "404", "404", "404", "302 /oauth2/prove?rd=%2Foauth2%2Faccount%2Fpassword",
			"302 /oauth2/prove?rd=%2Foauth2%2Faccount%2Fpassword", "302 /oauth2/prove?rd=%2Foauth2%2Faccount%2Fpassword", "200",
		}},
		{"POST", "/password", []string{entered, "404", "404", "404", prove, prove, prove, "422"}},
		{"POST", "/factors/add", []string{entered, "404", "404", "404", prove, prove, prove, "404"}},
		{"POST", "/factors/confirm", []string{entered, "404", "404", "404", prove, prove, prove, "409"}},
		{"POST", "/factors/rename", []string{entered, "404", "404", "404", prove, prove, prove, "422"}},
		{"POST", "/factors/remove", []string{entered, "404", "404", "404", prove, prove, prove, "303 /oauth2/account#factors"}},
		{"POST", "/recovery", []string{entered, "404", "404", "404", prove, prove, prove, "409"}},
		{"POST", "", []string{"405", "405", "405", "405", "405", "405", "405", "405"}},
		{"GET", "/factors/add", []string{"405", "405", "405", "405", "405", "405", "405", "405"}},
		{"GET", "/recovery", []string{"405", "405", "405", "405", "405", "405", "405", "405"}},
		{"GET", "/unlink", []string{"405", "405", "405", "405", "405", "405", "405", "405"}},
	} {
		for i, person := range people {
			var form url.Values
			if c.method == http.MethodPost {
				form = url.Values{}
			}
			w := open(t).do(c.method, person, c.path, form)
			got := strings.TrimSpace(strconv.Itoa(w.Code) + " " + w.Header().Get("Location"))
			if got != c.want[i] {
				t.Errorf("%s account%s by %q: %s, want %s", c.method, c.path, person, got, c.want[i])
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s account%s by %q may be kept", c.method, c.path, person)
			}
		}
	}
}

// Another site has the person's browser send a form.
func TestFormsOfOtherSites(t *testing.T) {
	for _, path := range []string{"/sessions/end", "/sessions/end_others", "/unlink", "/password", "/factors/add", "/factors/confirm", "/factors/rename", "/factors/remove", "/recovery"} {
		h := open(t)
		w := h.do(http.MethodPost, "alice", path, url.Values{"password": {"a new long password"}, "again": {"a new long password"}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		expect(t, w, http.StatusForbidden, "")
		if h.passwords["alice"] != "old" || len(h.events) > 0 || len(h.sessions) != len(open(t).sessions) {
			t.Errorf("%s did something", path)
		}
	}
}

// A program is told, a person is led to the sign-in.
func TestProgramsGetNoRedirect(t *testing.T) {
	w := open(t).do(http.MethodGet, "", "", nil, "Accept", "*/*", "Sec-Fetch-Mode", "cors")
	expect(t, w, http.StatusUnauthorized, "")
}

func TestOverview(t *testing.T) {
	h := open(t)
	w := h.get("alice", "")
	shows(t, w, "alice@acme.example", "From Acme SSO", "user-of-alice", "Firefox on Linux", "192.0.2.7", "this one",
		"Identity linked", "by Acme SSO", "/oauth2/link", "/oauth2/account/password", "Add an authenticator app")
	if strings.Contains(w.Body.String(), "Make recovery codes") {
		t.Error("recovery codes without anything to recover")
	}
	w = h.get("carol", "")
	shows(t, w, "You are signed in through it now")
	for _, form := range []string{"/account/password", "/account/factors", "/account/recovery"} {
		if strings.Contains(w.Body.String(), form) {
			t.Errorf("an account without a password is shown %s", form)
		}
	}
}

// A username is what a provider or an administrator made it, and whoever did is
// named; it is no promise that an administrator cannot change it.
func TestWhoGaveTheUsername(t *testing.T) {
	for source, want := range map[string]string{"acme": "From Acme SSO", auth.Local: "Set by an administrator"} {
		h := open(t)
		h.usernameSource = source
		page := h.get("alice", "").Body.String()
		_, row, _ := strings.Cut(page, `<p class="name">Username</p>`)
		row, _, _ = strings.Cut(row, "</li>")
		if !strings.Contains(row, want) || !strings.Contains(row, "only an administrator can change it") {
			t.Errorf("a username from %s: %s", source, row)
		}
	}
}

// Of who passes through nothing is stored, and the page says so.
func TestPassThroughOverview(t *testing.T) {
	w := open(t).get("guest", "")
	shows(t, w, "Nothing is stored about you", "user-of-guest", "through <strong>Guests</strong>")
	if strings.Contains(w.Body.String(), "<form") {
		t.Error("there is a form")
	}
}

// A person ends their own sessions and nobody else's: the id of another's, seen
// in a log, must not be enough to sign them out.
func TestEndSession(t *testing.T) {
	h := open(t)
	expect(t, h.post("alice", "/sessions/end", "id", "bob"), http.StatusSeeOther, "/oauth2/account#sessions")
	if h.sessions["bob"] == nil {
		t.Error("bob was signed out")
	}
	expect(t, h.post("alice", "/sessions/end", "id", "alice-stale"), http.StatusSeeOther, "/oauth2/account#sessions")
	if h.sessions["alice-stale"] != nil || h.sessions["alice-acme"] == nil {
		t.Error("the wrong session ended")
	}
	h.post("alice", "/sessions/end_others")
	if h.sessions["alice"] == nil || h.sessions["alice-acme"] != nil || h.sessions["bob"] == nil {
		t.Error("end_others ended the wrong sessions")
	}
}

func TestUnlink(t *testing.T) {
	h := open(t)
	link := []string{"connection", "acme", "issuer", "https://id.acme.example", "subject", "a1"}
	h.lastWay = true
	w := h.post("alice", "/unlink", link...)
	expect(t, w, http.StatusConflict, "")
	shows(t, w, "last way in", "a1")
	h.lastWay = false
	w = h.post("alice", "/unlink", "connection", "guests", "issuer", "https://id.acme.example", "subject", "a1")
	expect(t, w, http.StatusNotFound, "")
	shows(t, w, "nothing was unlinked")
	expect(t, h.post("alice", "/unlink", link...), http.StatusSeeOther, "/oauth2/account#links")
	expect(t, h.post("alice", "/unlink", link...), http.StatusNotFound, "") // sent twice
	if n := strings.Count(h.log.String(), "identity_unlinked"); n != 1 {
		t.Errorf("%d lines for one change", n)
	}
	if len(h.links) != 0 {
		t.Error("still linked")
	}
}

// A new password ends every other session: a stranger may be in one.
func TestChangePassword(t *testing.T) {
	h := open(t)
	for _, c := range []struct{ password, again, problem string }{
		{"a new long password", "another long password", "do not match"},
		{"short", "short", "too easy to guess"},
		// What everybody knows of a person is no secret of theirs.
		{"alice@acme.example", "alice@acme.example", "too easy to guess"},
	} {
		w := h.post("alice", "/password", "password", c.password, "again", c.again)
		expect(t, w, http.StatusUnprocessableEntity, "")
		shows(t, w, c.problem)
		if strings.Contains(w.Body.String(), c.password+`"`) {
			t.Error("the page shows what was typed")
		}
	}
	if h.passwords["alice"] != "old" || h.sessions["alice-stale"] == nil || len(h.events) > 0 {
		t.Fatal("a refused password did something")
	}
	expect(t, h.post("alice", "/password", "password", "a new long password", "again", "a new long password"), http.StatusSeeOther, "/oauth2/account#password")
	if h.passwords["alice"] != "a new long password" || h.sessions["alice-stale"] != nil || h.sessions["alice-acme"] != nil || h.sessions["alice"] == nil {
		t.Error("password or sessions are not as they should be")
	}
	if diff := cmp.Diff([]string{"alice password_changed"}, h.events); diff != "" {
		t.Error(diff)
	}
	// One proof is good for one password.
	expect(t, h.post("alice", "/password", "password", "another long password", "again", "another long password"), http.StatusSeeOther, "/oauth2/prove?rd=%2Foauth2%2Faccount")
	if h.passwords["alice"] != "a new long password" {
		t.Error("it was changed twice")
	}
	if strings.Contains(h.log.String(), "long password") {
		t.Error("the password is in the log")
	}
}

// Somebody changes the password because a stranger is in their account, and the
// store goes: before it, nothing is changed; after it, the stranger is out
// already, and the owner hears of the change whoever made it.
func TestPasswordWhileTheStoreGoes(t *testing.T) {
	for ends, want := range map[int]string{1: "old", 2: "a new long password"} {
		h := open(t)
		h.ends = ends
		w := h.post("alice", "/password", "password", "a new long password", "again", "a new long password")
		expect(t, w, http.StatusServiceUnavailable, "")
		changed := want != "old"
		told, logged := len(h.events) > 0, strings.Contains(h.log.String(), "password_changed")
		if h.passwords["alice"] != want || told != changed || logged != changed || (h.sessions["alice-stale"] == nil) != changed {
			t.Errorf("the store goes at end %d: password %q, told %v, logged %v, sessions %d", ends, h.passwords["alice"], told, logged, len(h.sessions))
		}
	}
}

// Attack: change one's own password without end, which costs more than anything
// else that can be asked for.
func TestOneChangeOfAPasswordAtATime(t *testing.T) {
	h := open(t)
	h.turn.Lock()
	w := h.post("alice", "/password", "password", "a new long password", "again", "a new long password")
	expect(t, w, http.StatusTooManyRequests, "")
	if w.Header().Get("Retry-After") == "" || h.passwords["alice"] != "old" {
		t.Errorf("changed to %q, Retry-After %q", h.passwords["alice"], w.Header().Get("Retry-After"))
	}
}

func TestAddFactor(t *testing.T) {
	h := open(t)
	h.demanded["alice"], h.demanded["bob"] = true, true // by an administrator
	const confirm = "/oauth2/account/factors/confirm?kind=totp"
	expect(t, h.post("alice", "/factors/add", "kind", "totp"), http.StatusSeeOther, confirm)
	shows(t, h.get("alice", "/factors/confirm?kind=totp"), "SECR", "ETOF")
	// What was offered to one session is worth nothing in another, not even of
	// the same account: a thief's session cannot finish what the owner began.
	h.sessions["alice-stale"].Proved = h.now
	for _, other := range []string{"bob", "alice-stale"} {
		expect(t, h.get(other, "/factors/confirm?kind=totp"), http.StatusFound, "/oauth2/account#factors")
		expect(t, h.post(other, "/factors/confirm", "kind", "totp", "code", "123456"), http.StatusConflict, "")
	}
	for _, code := range []string{"", "000000", strings.Repeat("{", auth.MaxAnswer), strings.Repeat("1", auth.MaxAnswer+1)} {
		w := h.post("alice", "/factors/confirm", "kind", "totp", "code", code)
		expect(t, w, http.StatusUnauthorized, "")
		shows(t, w, "did not match", "SECR")
	}
	w := h.post("alice", "/factors/confirm", "kind", "totp", "code", "slow")
	expect(t, w, http.StatusTooManyRequests, "")
	shows(t, w, "too many attempts. Try again in 60 seconds.")
	if w.Header().Get("Retry-After") != "60" {
		t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
	}
	h.turn.Lock()
	w = h.post("alice", "/factors/confirm", "kind", "totp", "code", "123456")
	h.turn.Unlock()
	expect(t, w, http.StatusTooManyRequests, "")
	shows(t, w, "being changed right now", "SECR") // no talk of attempts: nobody has guessed
	w = h.post("alice", "/factors/confirm", "kind", "totp", "code", "000000", "name", "My <phone>")
	shows(t, w, `value="My &lt;phone&gt;"`)
	expect(t, h.post("alice", "/factors/confirm", "kind", "totp", "code", "123456", "name", "My <phone>"), http.StatusSeeOther, "/oauth2/account#factors")
	expect(t, h.post("alice", "/factors/confirm", "kind", "totp", "code", "123456"), http.StatusConflict, "")
	if len(h.factors["alice"]) != 1 || h.factors["alice"][0].Name != "My <phone>" || len(h.factors["bob"]) != 0 {
		t.Errorf("factors %+v", h.factors)
	}
	if h.demanded["alice"] || !h.demanded["bob"] {
		t.Errorf("still demanded of %v", h.demanded)
	}
	if diff := cmp.Diff([]string{"alice second_factor_enrolled totp"}, h.events); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(h.log.String(), "123456") || strings.Contains(h.log.String(), "SECRET") {
		t.Error("a code or a secret is in the log")
	}
}

// Where no second factor is owed, a session that was left open has proved all
// that there was. With the first factor that is no longer all, and whoever sits
// at that session cannot add one of their own beside it, not even with an offer
// that was made before. The session that enrolled it goes on, under a new id.
func TestTheFirstFactorEndsOlderProofs(t *testing.T) {
	h := open(t)
	for _, id := range []string{"alice", "alice-stale"} {
		h.sessions[id].Proved, h.sessions[id].ProvedFactor = h.now, ""
	}
	const confirm, prove = "/oauth2/account/factors/confirm?kind=passkey", "/oauth2/prove?rd=%2Foauth2%2Faccount"
	expect(t, h.post("alice", "/factors/add", "kind", "totp"), http.StatusSeeOther, "/oauth2/account/factors/confirm?kind=totp")
	expect(t, h.post("alice-stale", "/factors/add", "kind", "passkey"), http.StatusSeeOther, confirm)
	w := h.post("alice", "/factors/confirm", "kind", "totp", "code", "123456")
	expect(t, w, http.StatusSeeOther, "/oauth2/account#factors")
	renewed := h.sessions["alice-renewed"]
	if h.sessions["alice"] != nil || renewed == nil || w.Header().Get("Set-Cookie") != "s=alice-renewed" {
		t.Fatal("the session that was raised kept its id")
	}
	if diff := cmp.Diff([]string{auth.MethodOTP, auth.MethodMFA}, renewed.Identity.AMR); diff != "" {
		t.Error(diff)
	}
	expect(t, h.post("alice-stale", "/factors/confirm", "kind", "passkey", "code", "123456"), http.StatusSeeOther, prove)
	expect(t, h.post("alice-stale", "/password", "password", "a new long password", "again", "a new long password"), http.StatusSeeOther, "/oauth2/prove?rd=%2Foauth2%2Faccount")
	expect(t, h.post("alice-renewed", "/recovery"), http.StatusOK, "")
	if got := h.factors["alice"]; len(got) != 1 || got[0].Kind != auth.KindTOTP {
		t.Errorf("factors %+v", got)
	}
}

// A passkey is made by a script of ours, on the one page that may run it.
func TestAddPasskey(t *testing.T) {
	h := open(t)
	expect(t, h.post("alice", "/factors/add", "kind", "passkey"), http.StatusSeeOther, "/oauth2/account/factors/confirm?kind=passkey")
	w := h.get("alice", "/factors/confirm?kind=passkey")
	shows(t, w, `data-webauthn="create"`, "&#34;challenge&#34;:&#34;c1&#34;")
	if !strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("the script may not run: %v", w.Header())
	}
	if w := h.get("alice", ""); strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src") {
		t.Error("scripts may run on the overview")
	}
	w = h.post("alice", "/factors/confirm", "kind", "passkey", "code", "000000")
	expect(t, w, http.StatusUnauthorized, "")
	shows(t, w, "passkey could not be added")
	expect(t, h.post("alice", "/factors/confirm", "kind", "passkey", "code", "123456", "name", "Blue key"), http.StatusSeeOther, "/oauth2/account#factors")
	if got := h.factors["alice"][0].Name; got != "Blue key" {
		t.Errorf("it is called %q", got)
	}
	if diff := cmp.Diff([]string{"alice second_factor_enrolled passkey"}, h.events); diff != "" {
		t.Error(diff)
	}
}

// An offer that has rested for too long is no offer, and neither is one of a
// kind that may not be used.
func TestOffersThatDoNotStand(t *testing.T) {
	h := open(t)
	h.post("alice", "/factors/add", "kind", "totp")
	h.now = h.now.Add(11 * time.Minute)
	h.sessions["alice"].Proved = h.now
	expect(t, h.post("alice", "/factors/confirm", "kind", "totp", "code", "123456"), http.StatusConflict, "")
	expect(t, h.post("alice", "/factors/add", "kind", "email_code"), http.StatusNotFound, "")
}

func TestRenameAndRemoveFactors(t *testing.T) {
	h := open(t)
	h.page.Required = true
	h.factors["alice"] = []auth.Authenticator{{ID: "1", Kind: "totp", Name: "Phone"}, {ID: "2", Kind: "totp", Name: "Tablet"}}
	h.codes["alice"] = h.Generate()
	expect(t, h.post("alice", "/factors/rename", "kind", "totp", "id", "1", "name", "Old phone"), http.StatusSeeOther, "/oauth2/account#factors")
	expect(t, h.post("alice", "/factors/rename", "kind", "totp", "id", "1", "name", ""), http.StatusUnprocessableEntity, "")
	w := h.post("alice", "/factors/rename", "kind", "totp", "id", "3", "name", "Gone")
	expect(t, w, http.StatusNotFound, "")
	shows(t, w, "nothing was renamed", "Old phone")
	if log := h.log.String(); strings.Count(log, "factor_renamed") != 1 || strings.Contains(log, "Old phone") {
		t.Errorf("not one line for one change, without what was typed:\n%s", log)
	}
	expect(t, h.post("alice", "/factors/remove", "kind", "totp", "id", "1"), http.StatusSeeOther, "/oauth2/account#factors")
	// The last one, codes or no codes: who has only codes would have a factor
	// on paper and be asked to enrol by whoever knows the password.
	w = h.post("alice", "/factors/remove", "kind", "totp", "id", "2")
	expect(t, w, http.StatusConflict, "")
	shows(t, w, "your only second factor")
	// Codes are made anew, not removed.
	expect(t, h.post("alice", "/factors/remove", "kind", "recovery_code", "id", "codes"), http.StatusSeeOther, "/oauth2/account#factors")
	if len(h.factors["alice"]) != 1 || len(h.codes["alice"]) == 0 {
		t.Errorf("left %+v and %v", h.factors["alice"], h.codes["alice"])
	}
	h.page.Required = false
	expect(t, h.post("alice", "/factors/remove", "kind", "totp", "id", "2"), http.StatusSeeOther, "/oauth2/account#factors")
	want := []string{"alice second_factor_removed totp: Old phone", "alice second_factor_removed totp: Tablet"}
	if diff := cmp.Diff(want, h.events); diff != "" {
		t.Error(diff)
	}
}

// What can prove nothing now, such as codes to an address by which the password
// was reset, is no factor to be left with: its owner would be locked out.
func TestWhatIsBarredDoesNotCountAsLeft(t *testing.T) {
	h := open(t)
	h.page.Required = true
	app := auth.Authenticator{ID: "1", Kind: auth.KindTOTP}
	mail := auth.Authenticator{ID: "2", Kind: auth.KindEmailCode, Barred: true}
	h.factors["alice"] = []auth.Authenticator{app, mail}
	shows(t, h.post("alice", "/factors/remove", "kind", app.Kind, "id", app.ID), "your only second factor")
	if diff := cmp.Diff([]auth.Authenticator{app, mail}, h.factors["alice"]); diff != "" {
		t.Error(diff)
	}
	expect(t, h.post("alice", "/factors/remove", "kind", mail.Kind, "id", mail.ID), http.StatusSeeOther, "/oauth2/account#factors")
	h.factors["alice"] = []auth.Authenticator{app, {ID: "2", Kind: auth.KindEmailCode}}
	expect(t, h.post("alice", "/factors/remove", "kind", app.Kind, "id", app.ID), http.StatusSeeOther, "/oauth2/account#factors")
}

// Attack: two requests at once, each of which removes one of the last two where
// one is required. Whoever learns the password would enrol a factor of theirs.
// Nor do codes that are made meanwhile stand by themselves.
func TestRemovalsAtOnce(t *testing.T) {
	h := open(t)
	h.page.Required = true
	h.factors["alice"] = []auth.Authenticator{{ID: "1", Kind: "totp", Name: "Phone"}, {ID: "2", Kind: "totp", Name: "Tablet"}}
	h.between = func() {
		for path, form := range map[string][]string{
			"/factors/remove": {"kind", "totp", "id", "2"},
			"/recovery":       nil,
		} {
			w := h.post("alice", path, form...)
			expect(t, w, http.StatusTooManyRequests, "")
			shows(t, w, "being changed right now")
			if w.Header().Get("Retry-After") != "1" {
				t.Errorf("%s: Retry-After %q", path, w.Header().Get("Retry-After"))
			}
		}
	}
	expect(t, h.post("alice", "/factors/remove", "kind", "totp", "id", "1"), http.StatusSeeOther, "/oauth2/account#factors")
	expect(t, h.post("alice", "/factors/remove", "kind", "totp", "id", "2"), http.StatusConflict, "")
	if len(h.factors["alice"]) != 1 || len(h.codes["alice"]) != 0 {
		t.Errorf("left %+v and %v", h.factors["alice"], h.codes["alice"])
	}
}

// Codes are shown by the answer to the request that makes them, and nowhere
// else.
func TestRecoveryCodes(t *testing.T) {
	h := open(t)
	h.factors["alice"] = []auth.Authenticator{{ID: "1", Kind: "totp", Name: "Phone"}}
	h.codes["alice"] = []string{"old"}
	w := h.post("alice", "/recovery")
	expect(t, w, http.StatusOK, "")
	shows(t, w, "aaaa-bbbb-cccc", "dddd-eeee-ffff")
	if !slices.Equal(h.codes["alice"], h.Generate()) {
		t.Errorf("kept %v", h.codes["alice"])
	}
	w = h.get("alice", "")
	shows(t, w, "You have 2 left of ten", "Only a few are left")
	if strings.Contains(w.Body.String(), "aaaa-bbbb") || strings.Contains(h.log.String(), "aaaa-bbbb") {
		t.Error("the codes are shown again")
	}
	if diff := cmp.Diff([]string{"alice recovery_codes_made"}, h.events); diff != "" {
		t.Error(diff)
	}
	h.page.Recovery = nil
	expect(t, h.post("alice", "/recovery"), http.StatusNotFound, "")
}

func TestFieldsGivenTwice(t *testing.T) {
	w := open(t).do(http.MethodPost, "alice", "/sessions/end", url.Values{"id": {"a", "b"}})
	expect(t, w, http.StatusBadRequest, "")
}
