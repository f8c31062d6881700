package cookie_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/cookie"
)

func request(lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, line := range lines {
		r.Header.Add("Cookie", line)
	}
	return r
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id := cookie.NewID()
		if !cookie.IsID(id) || seen[id] {
			t.Fatalf("NewID() = %q", id)
		}
		seen[id] = true
	}
}

// Who can set cookies on a sibling host must not choose which of two the
// gateway believes, and no second spelling of a value may pass.
func TestID(t *testing.T) {
	const good = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct {
		name string
		in   []string
		want string
	}{
		{"none", nil, ""},
		{"alone", []string{"g=" + good}, good},
		{"among others", []string{"a=1; g=" + good + "; b=2"}, good},
		{"on a second line", []string{"a=1", "g=" + good}, good},
		{"without spaces", []string{"a=1;g=" + good}, good},
		{"twice", []string{"g=" + good + "; g=" + good}, ""},
		{"twice on two lines", []string{"g=" + good, "g=" + good}, ""},
		{"with a malformed twin", []string{"g=" + good + "; g=\"x"}, ""},
		{"with a twin without a value", []string{"g; g=" + good}, ""},
		{"other case of the name", []string{"G=" + good}, ""},
		{"name as a suffix", []string{"xg=" + good}, ""},
		{"quoted", []string{`g="` + good + `"`}, ""},
		{"truncated", []string{"g=" + good[1:]}, ""},
		{"oversized", []string{"g=" + good + "A"}, ""},
		{"very oversized", []string{"g=" + strings.Repeat("A", 100_000)}, ""},
		{"padded", []string{"g=" + good[1:] + "="}, ""},
		{"other alphabet", []string{"g=" + good[1:] + "+"}, ""},
		{"other trailing bits", []string{"g=" + good[1:] + "B"}, ""},
		{"line break inside", []string{"g=" + good[:20] + "\n" + good[20:42]}, ""},
		{"empty", []string{"g="}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := cookie.ID(request(c.in...), "g"); got != c.want {
				t.Errorf("ID = %q, want %q", got, c.want)
			}
		})
	}
}

func TestIDsByPrefix(t *testing.T) {
	a, b := cookie.NewID(), cookie.NewID()
	r := request("x_1=" + a + "; x_2=bad; y_1=" + b + "; x_3=" + b)
	if diff := cmp.Diff([]cookie.Pair{{Name: "x_1", Value: a}, {Name: "x_3", Value: b}}, cookie.IDs(r, "x_", 9)); diff != "" {
		t.Error(diff)
	}
	if got := cookie.IDs(r, "x_", 1); len(got) != 1 {
		t.Errorf("limit 1: %v", got)
	}
	if got := cookie.Count(request("g=1; g=2; h=3"), "g"); got != 2 {
		t.Errorf("Count = %d", got)
	}
}

func TestPolicy(t *testing.T) {
	for _, c := range []struct {
		name          string
		policy        cookie.Policy
		session, step string
		cookie        string
	}{
		{
			"plain HTTP",
			cookie.Policy{Name: "g", SameSite: http.SameSiteLaxMode},
			"g", "g_mfa", "g_mfa=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
		},
		{
			"https",
			cookie.Policy{Name: "g", Secure: true, SameSite: http.SameSiteLaxMode},
			"__Host-g", "__Host-g_mfa", "__Host-g_mfa=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"https with a domain: the steps stay on the host",
			cookie.Policy{Name: "g", Secure: true, Domain: "b.example", SameSite: http.SameSiteLaxMode},
			"g", "__Host-g_mfa", "__Host-g_mfa=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"strict: the identity provider's answer must bring the steps' cookies",
			cookie.Policy{Name: "g", Secure: true, SameSite: http.SameSiteStrictMode},
			"__Host-g", "__Host-g_mfa", "__Host-g_mfa=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"none",
			cookie.Policy{Name: "g", Secure: true, SameSite: http.SameSiteNoneMode},
			"__Host-g", "__Host-g_mfa", "__Host-g_mfa=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=None",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.policy.SetStep(w, c.policy.Step("mfa"), "v", time.Minute)
			got := []string{c.policy.Session(), c.policy.Step("mfa"), w.Header().Get("Set-Cookie")}
			if diff := cmp.Diff([]string{c.session, c.step, c.cookie}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzID: whatever is accepted is one cookie with one spelling.
func FuzzID(f *testing.F) {
	for _, seed := range []string{"", "g=", "g=" + cookie.NewID(), "g=a; g=b", `g="` + cookie.NewID() + `"`, ";;=;g", "g=" + cookie.NewID() + "; g="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := request(line)
		id := cookie.ID(r, "g")
		if id == "" {
			return
		}
		if !cookie.IsID(id) || strings.Count(line, id) != 1 {
			t.Fatalf("%q gives %q", line, id)
		}
		// What net/http would have found is the same.
		if c, err := r.Cookie("g"); err != nil || c.Value != id {
			t.Fatalf("%q gives %q, net/http finds %v, %v", line, id, c, err)
		}
	})
}
