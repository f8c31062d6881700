package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/web"
)

func denied(reason auth.Reason) error {
	return fmt.Errorf("callback: %w", &auth.Denied{Reason: reason, Connection: "acme", Detail: "SECRET detail"})
}

func TestErrorTable(t *testing.T) {
	type answer struct {
		Status     int
		Code       string
		RetryAfter string
		Link       string // where the page's button leads; "-" for none
	}
	const begin, leave = "/oauth2/sign_in", "/oauth2/sign_out?rd=%2Fpage"
	for _, c := range []struct {
		name string
		err  error
		want answer
	}{
		{"no session", auth.ErrUnauthenticated, answer{401, "unauthenticated", "", begin}},
		{"not allowed", auth.ErrForbidden, answer{403, "forbidden", "", leave}},
		{"store down", auth.ErrStoreDown, answer{503, "store_down", "5", ""}},
		{"store down, in the store's own words", store.ErrDown, answer{503, "store_down", "5", ""}},
		{"store contended", store.ErrConflict, answer{503, "store_down", "5", ""}},
		{"provider down", auth.ErrProviderDown, answer{502, "provider_down", "", begin}},
		{"provider refused", auth.ErrProviderRefused, answer{403, "provider_refused", "", begin}},
		{"invalid answer", auth.ErrInvalidAnswer, answer{502, "invalid_answer", "", begin}},
		{"invalid state", auth.ErrInvalidState, answer{400, "invalid_state", "", begin}},
		{"overtaken", auth.ErrOvertaken, answer{409, "account_changed", "", begin}},
		{"last way in", auth.ErrLastWay, answer{409, "last_way_in", "", "-"}},
		{"wrong password", auth.ErrWrongPassword, answer{401, "wrong_password", "", begin}},
		{"wrong code", auth.ErrWrongCode, answer{401, "wrong_code", "", ""}},
		{"malformed", auth.ErrMalformed, answer{400, "malformed", "", "/"}},
		{"method", auth.ErrMethodNotAllowed, answer{405, "method_not_allowed", "", "/"}},
		{"not found", auth.ErrNotFound, answer{404, "not_found", "", "/"}},
		{"upstream down", auth.ErrUpstreamDown, answer{502, "upstream_down", "", ""}},
		{"upstream slow", auth.ErrUpstreamSlow, answer{504, "upstream_slow", "", ""}},
		{"cross-site", auth.ErrCrossSite, answer{403, "cross_site", "", "/"}},
		{"too many sign-ins", auth.ErrTooManySignIns, answer{429, "too_many_sign_ins", "30", begin}},
		{"too many sign-ins, for so long", fmt.Errorf("%w: %w", auth.ErrTooManySignIns, &auth.Throttled{RetryAfter: 90 * time.Second}), answer{429, "too_many_sign_ins", "90", begin}},
		{"throttled", &auth.Throttled{RetryAfter: 90 * time.Second}, answer{429, "too_many_attempts", "90", begin}},
		{"throttled, rounded up", &auth.Throttled{RetryAfter: 1001 * time.Millisecond}, answer{429, "too_many_attempts", "2", begin}},
		{"throttled, at least a second", &auth.Throttled{}, answer{429, "too_many_attempts", "1", begin}},
		{"throttled, clock gone wrong", &auth.Throttled{RetryAfter: -time.Hour}, answer{429, "too_many_attempts", "1", begin}},
		{"disabled", denied(auth.DeniedDisabled), answer{403, "account_disabled", "", begin}},
		{"e-mail domain", denied(auth.DeniedEmailDomain), answer{403, "email_domain", "", begin}},
		{"requirement", denied(auth.DeniedRequirement), answer{403, "requirement", "", begin}},
		{"link", denied(auth.DeniedLink), answer{403, "link_denied", "", begin}},
		{"no proof", denied(auth.DeniedProof), answer{403, "not_a_proof", "", begin}},
		{"quarantined", denied(auth.DeniedQuarantine), answer{403, "quarantined", "", begin}},
		{"groups withheld", denied(auth.DeniedGroups), answer{403, "groups_withheld", "", begin}},
		{"unconfirmable", denied(auth.DeniedUnconfirmable), answer{403, "link_unconfirmable", "", begin}},
		{"ambiguous", denied(auth.DeniedAmbiguous), answer{403, "ambiguous", "", begin}},
		{"no account", denied(auth.DeniedNoAccount), answer{403, "no_account", "", begin}},
		{"factor", denied(auth.DeniedFactor), answer{403, "factor_impossible", "", begin}},
		{"factor that is of no use", denied(auth.DeniedFactorLost), answer{403, "factor_unusable", "", begin}},
		{"too large", denied(auth.DeniedTooLarge), answer{403, "identity_too_large", "", begin}},
		{"connection", denied(auth.DeniedConnection), answer{403, "connection_not_known", "", begin}},
		{"a reason of tomorrow", denied("tomorrow"), answer{403, "forbidden", "", begin}},
		{"unknown", errors.New("SECRET: dial 10.0.0.7"), answer{500, "internal", "", ""}},
		{"nothing", nil, answer{500, "internal", "", ""}},
		{"wrapped", fmt.Errorf("SECRET: %w", auth.ErrNotFound), answer{404, "not_found", "", "/"}},
		{"a store in trouble outweighs a denial", errors.Join(denied(auth.DeniedNoAccount), auth.ErrStoreDown), answer{503, "store_down", "5", ""}},
		{"a way back", web.TryAt(auth.ErrInvalidState, "/oauth2/sign_in?rd=%2Fa", "/oauth2/start"), answer{400, "invalid_state", "", "/oauth2/sign_in?rd=%2Fa"}},
		{"a way back from a script's hands", web.TryAt(auth.ErrInvalidState, "javascript:alert(1)", ""), answer{400, "invalid_state", "", "#ZgotmplZ"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &web.Pages{Prefix: prefix}

			w := httptest.NewRecorder()
			p.Error(w, request("GET", "/page"), c.err)
			page := w.Body.String()
			got := answer{w.Code, web.Code(c.err), w.Header().Get("Retry-After"), button(t, page)}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("page (-want +got):\n%s", diff)
			}

			w = httptest.NewRecorder()
			r := request("GET", "/page")
			r.Header.Set("Accept", "application/json")
			p.Error(w, r, c.err)
			fields := map[string]string{}
			if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil {
				t.Fatal(err)
			}
			if w.Code != c.want.Status || w.Header().Get("Retry-After") != c.want.RetryAfter ||
				fields["error"] != c.want.Code || fields["message"] == "" || fields["request_id"] != "0f4c2a9be81d7730" {
				t.Errorf("JSON: %d %q %q", w.Code, w.Header(), fields)
			}

			// Error texts name hosts, files and accounts: nothing of them leaves.
			for _, shown := range []string{page, w.Body.String()} {
				if strings.Contains(shown, "SECRET") {
					t.Errorf("the error's own text is shown:\n%s", shown)
				}
			}
		})
	}
}

// A sign-in that failed at the callback must not offer the callback again:
// its state is spent, and the person would go in a circle.
func TestTryAgainNeverRepeatsTheCallback(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	w := httptest.NewRecorder()
	p.Error(w, request("GET", "/oauth2/callback?code=c&state=s"), auth.ErrStoreDown)
	if got, want := button(t, w.Body.String()), "/oauth2/sign_in"; got != want {
		t.Errorf("the button leads to %q, want %q", got, want)
	}
}

// A request target may begin with two slashes. Were it put into the "try
// again" link, //evil.example/ would lead off the site.
func TestTryAgainStaysOnTheSite(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	w := httptest.NewRecorder()
	r := request("GET", "/x")
	r.URL.Path, r.RequestURI = "//evil.example/", "//evil.example/"
	p.Error(w, r, auth.ErrStoreDown)
	if strings.Contains(w.Body.String(), "evil.example") {
		t.Errorf("the page names the request target:\n%s", w.Body.String())
	}
}

// Who wants another account comes back to the page that was asked for; a form
// that was posted cannot be opened by its address. The address is only ever a
// parameter, which sign_out judges: it must not become the link itself.
func TestOtherAccountKeepsTheWayBack(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	for _, c := range []struct{ name, method, target, want string }{
		{"a page", "GET", "/admin/?week=7&b=a%2Fb", "/oauth2/sign_out?rd=%2Fadmin%2F%3Fweek%3D7%26b%3Da%252Fb"},
		{"a form", "POST", "/admin/", "/oauth2/sign_out"},
		{"a hostile target", "GET", "//evil.example/", "/oauth2/sign_out?rd=%2F%2Fevil.example%2F"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.method, "/")
			var err error
			if r.URL, err = url.ParseRequestURI(c.target); err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			p.Error(w, r, auth.ErrForbidden)
			if got := button(t, w.Body.String()); got != c.want {
				t.Errorf("the button leads to %q, want %q", got, c.want)
			}
		})
	}
}

// Whom more proof would let in is shown where, also after a form was posted,
// when nobody can be sent there at once.
func TestProveMore(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	const more = "/oauth2/step_up?rd=%2Fpay"
	for _, c := range []struct {
		name  string
		raise *auth.Raise
		want  string
	}{
		{"it would", &auth.Raise{}, more},
		{"it would not", nil, "/oauth2/sign_out"},
	} {
		w := httptest.NewRecorder()
		p.Error(w, request("POST", "/pay"), &auth.Forbidden{Raise: c.raise})
		if got := button(t, w.Body.String()); got != c.want {
			t.Errorf("%s: the first button leads to %q, want %q", c.name, got, c.want)
		}
	}
}

// A provider that is down may not be the only way in.
func TestProviderDownOffersAnotherWay(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	const signIn, start = "/oauth2/sign_in?rd=%2Fa", "/oauth2/start?connection=acme"
	for _, c := range []struct {
		name, same string
		want       []string
	}{
		{"several ways in", start, []string{"Try again " + start, "Sign in another way " + signIn}},
		{"one way in", "", []string{"Try again " + signIn}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			p.Error(w, request("GET", "/oauth2/start"), web.TryAt(auth.ErrProviderDown, signIn, c.same))
			var got []string
			for _, n := range nodes(t, w.Body.String()) {
				if href, ok := attr(n, "href"); n.Data == "a" && ok {
					got = append(got, text(n)+" "+href)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
		})
	}
}

// A page must not say of somebody what it does not know: an upstream fails for
// strangers too, and an address can be typed.
func TestPagesClaimNothingUnknown(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	for _, e := range gallery(t) {
		page := render(p, e).Body.String()
		for name, claim := range map[string]string{
			"error_upstream": "You are signed in", "sign_out": "Another site sent you", "signed_out": "your identity provider",
		} {
			if e.name == name && strings.Contains(page, claim) {
				t.Errorf("%s says %q", name, claim)
			}
		}
	}
}

// Who was refused can tell an administrator which decision it was; other
// failures are no decision.
func TestDecisionID(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	decided := fmt.Errorf("resolve: %w", &auth.Denied{Reason: auth.DeniedLink, Decision: `d-1"><b>`})
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"a denial", decided, `d-1"><b>`},
		{"a denial without one", denied(auth.DeniedLink), ""},
		{"trouble", auth.ErrStoreDown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			p.Error(w, request("GET", "/page"), c.err)
			got := ""
			for _, n := range nodes(t, w.Body.String()) {
				if n.Data == "p" && strings.HasPrefix(text(n), "Decision id ") {
					got = strings.TrimPrefix(text(n), "Decision id ")
				}
			}
			if got != c.want || strings.Contains(w.Body.String(), "Decision id") != (c.want != "") {
				t.Errorf("page: decision %q, want %q", got, c.want)
			}
			w = httptest.NewRecorder()
			r := request("GET", "/page")
			r.Header.Set("Accept", "application/json")
			p.Error(w, r, c.err)
			fields := map[string]string{}
			if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil {
				t.Fatal(err)
			}
			if id, sent := fields["decision_id"]; id != c.want || sent != (c.want != "") {
				t.Errorf("JSON: decision_id %q, want %q", id, c.want)
			}
		})
	}
}

func TestTryAtKeepsTheError(t *testing.T) {
	if web.TryAt(nil, "/", "/") != nil {
		t.Error("TryAt makes an error of none")
	}
	w := httptest.NewRecorder()
	(&web.Pages{Prefix: prefix}).Error(w, request("GET", "/page"), web.TryAt(web.TryAt(auth.ErrInvalidState, "/first", ""), "/second", ""))
	if got := button(t, w.Body.String()); got != "/first" {
		t.Errorf("the button leads to %s, want where the first who knew said", got)
	}
	if err := web.TryAt(auth.ErrStoreDown, "/", "/"); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("%v is not ErrStoreDown", err)
	}
}

func TestUnauthenticated(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	w := httptest.NewRecorder()
	p.Unauthenticated(w, request("POST", "/api"), "https://gate.example/oauth2/sign_in?rd=%2Fa&b=<c>")
	if w.Code != http.StatusUnauthorized {
		t.Errorf("status %d", w.Code)
	}
	got := map[string]string{}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"error":      "unauthenticated",
		"message":    "This page is only for people who are signed in.",
		"sign_in":    "https://gate.example/oauth2/sign_in?rd=%2Fa&b=<c>",
		"request_id": "0f4c2a9be81d7730",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestWantsPage(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, c := range []struct {
		name   string
		header http.Header
		want   bool
	}{
		{"a browser", http.Header{"Accept": {browser}, "Sec-Fetch-Mode": {"navigate"}}, true},
		{"a browser of old", http.Header{"Accept": {browser}}, true},
		{"letter case", http.Header{"Accept": {"Text/HTML"}}, true},
		{"on a second line", http.Header{"Accept": {"application/json", "text/html;q=0.1"}}, true},
		{"nothing said", http.Header{}, false},
		{"a program", http.Header{"Accept": {"*/*"}}, false},
		{"JSON", http.Header{"Accept": {"application/json, text/plain, */*"}}, false},
		{"no HTML, please", http.Header{"Accept": {"text/html;q=0, application/json"}}, false},
		{"no HTML, please, in decimals", http.Header{"Accept": {"text/html; Q=0.000"}}, false},
		{"a longer name", http.Header{"Accept": {"text/html-fragment"}}, false},
		{"fetch", http.Header{"Accept": {browser}, "Sec-Fetch-Mode": {"cors"}}, false},
		{"two modes", http.Header{"Accept": {browser}, "Sec-Fetch-Mode": {"navigate", "cors"}}, false},
		{"XMLHttpRequest", http.Header{"Accept": {browser}, "X-Requested-With": {"XMLHttpRequest"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := web.WantsPage(&http.Request{Method: "POST", Header: c.header}); got != c.want {
				t.Errorf("WantsPage = %v, want %v", got, c.want)
			}
		})
	}
}
