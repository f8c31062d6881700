package console_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/web"
	"gatehouse/provision/console"
)

// people are who may ask, by the header in which these tests say who it is.
var people = map[string]auth.Session{
	"ada":      {Account: "1"},                                        // admins, assigned here
	"bert":     {Account: "2"},                                        // staff
	"fred":     {Account: "3"},                                        // admins, because a provider says so
	"passer":   {Identity: auth.Identity{Connection: "partner"}},      // admins, likewise, without an account
	"idle":     {Account: "5"},                                        // admins, assigned here, and long at it
	"drowning": {Account: "6"},                                        // the same, and the store goes
	"stranger": {Account: "4", Identity: auth.Identity{Subject: "4"}}, // an account that is gone
}

type house struct{}

func (house) Authenticate(r *http.Request) (*auth.Session, *auth.Person, error) {
	who := r.Header.Get("X-Who")
	if who == "down" {
		return nil, nil, auth.ErrStoreDown
	}
	sess, ok := people[who]
	if !ok {
		return nil, nil, auth.ErrUnauthenticated
	}
	p := &auth.Person{User: who, Account: sess.Account}
	if who != "bert" {
		p.Groups = []string{"admins"}
	}
	return &sess, p, nil
}

func (house) Profile(_ context.Context, account string) (auth.Profile, error) {
	group := func(name, source string) []auth.Value { return []auth.Value{{Values: []string{name}, Source: source}} }
	switch account {
	case "1", "5", "6":
		return auth.Profile{Username: "ada", Groups: group("admins", auth.Local)}, nil
	case "2":
		return auth.Profile{Username: "bert", Groups: group("staff", auth.Local)}, nil
	case "3":
		return auth.Profile{Username: "fred", Groups: group("admins", "acme")}, nil
	}
	return auth.Profile{}, auth.ErrNotFound
}

// proved: one administrator has left their session open.
func (house) proved(_ context.Context, s *auth.Session) (bool, error) {
	switch s.Account {
	case "5":
		return false, nil
	case "6":
		return false, auth.ErrStoreDown
	}
	return true, nil
}

// silent is an error that adds no words.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// ran is a command that was given.
type ran struct {
	By   string
	Args []string
}

// ask sends one request to an API whose commands are noted; an account called
// "nobody" does not exist, and every action on "stubborn" is refused.
func ask(t *testing.T, federated bool, who, method, path, body string, headers ...string) (*httptest.ResponseRecorder, []ran) {
	t.Helper()
	var all []ran
	api := &console.API{
		Prefix: "/oauth2", Origin: "https://gate.example", SignIn: "https://gate.example/oauth2/sign_in",
		Groups: []string{"admins"}, AllowFederated: federated, Sessions: house{}, Accounts: house{}, Proved: house{}.proved, Pages: &web.Pages{Prefix: "/oauth2"},
		Run: func(_ context.Context, by string, args []string, stdout io.Writer) error {
			all = append(all, ran{by, args})
			switch args[len(args)-1] {
			case "nobody":
				return fmt.Errorf(`there is no account "nobody"%w`, silent{auth.ErrNotFound})
			case "stubborn":
				return errors.New("no")
			case "odd":
				return fmt.Errorf("%w: the name is odd", auth.ErrMalformed)
			case "drowned":
				return auth.ErrStoreDown
			}
			fmt.Fprintf(stdout, "{\"ran\":%q}\n", args[0])
			if args[0] == "list" {
				return &console.Incomplete{Missing: "1 account cannot be read"}
			}
			return nil
		},
	}
	mux := http.NewServeMux()
	if err := api.Mount(mux); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("X-Who", who)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w, all
}

func TestCommands(t *testing.T) {
	const accounts = "/oauth2/admin/api/accounts"
	for _, tt := range []struct {
		name, method, path, body string
		want                     []string
	}{
		{"list", "GET", accounts, "", []string{"list", "--json"}},
		{"show", "GET", accounts + "/bert%40corp.example", "", []string{"show", "--json", "--", "bert@corp.example"}},
		{"history", "GET", accounts + "/bert/history", "", []string{"history", "--json", "--", "bert"}},
		{"factors", "GET", accounts + "/bert/factors", "", []string{"factors", "--json", "--", "bert"}},
		{"disable", "POST", accounts + "/bert/disable", "{}", []string{"disable", "--json", "--", "bert"}},
		{"enable", "POST", accounts + "/bert/enable", "", []string{"enable", "--json", "--", "bert"}},
		{"unlock", "POST", accounts + "/bert/unlock", "{}", []string{"unlock", "--json", "--", "bert"}},
		{"a factor is demanded", "POST", accounts + "/bert/require-mfa", "{}", []string{"require-mfa", "--json", "--", "bert"}},
		{"reset of all", "POST", accounts + "/bert/reset-mfa", "{}", []string{"reset-mfa", "--json", "--", "bert"}},
		{"reset of one", "POST", accounts + "/bert/reset-mfa", `{"factor":"x"}`, []string{"reset-mfa", "--json", "--factor=x", "--", "bert"}},
		{"a link", "POST", accounts + "/bert/setup-link", `{"mail":true}`, []string{"setup-link", "--json", "--mail=true", "--", "bert"}},
		{
			"add", "POST", accounts, `{"username":"cleo","email":"cleo@corp.example","groups":["a,b"],"attributes":{"team":"x=y"},"setup_link":true}`,
			[]string{"add", "--json", "--email=cleo@corp.example", "--name=", "--group=a,b", "--attr=team=x=y", "--setup-link", "--", "cleo"},
		},
		// Attack: a name that is a flag.
		{"a flag as a name", "POST", accounts + "/--config=evil.yaml/disable", "{}", []string{"disable", "--json", "--", "--config=evil.yaml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, all := ask(t, false, "ada", tt.method, tt.path, tt.body)
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"ran":"`+tt.want[0]+`"`) || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v\n%s", w.Code, w.Header(), w.Body)
			}
			if diff := cmp.Diff(ran{"ada", tt.want}, all[len(all)-1]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Only who was made an administrator here is one: a provider must not be able
// to make one, unless the configuration lets it.
func TestWhoMayAsk(t *testing.T) {
	for _, tt := range []struct {
		who       string
		federated bool
		want      int
	}{
		{"", false, http.StatusUnauthorized},
		{"down", false, http.StatusServiceUnavailable},
		{"ada", false, http.StatusOK},
		{"bert", false, http.StatusForbidden},
		{"fred", false, http.StatusForbidden},
		{"passer", false, http.StatusForbidden},
		{"stranger", false, http.StatusNotFound},
		{"ada", true, http.StatusOK},
		{"bert", true, http.StatusForbidden},
		{"fred", true, http.StatusOK},
		{"passer", true, http.StatusOK},
	} {
		for _, request := range [][2]string{{"GET", ""}, {"POST", "/bert/disable"}} {
			w, all := ask(t, tt.federated, tt.who, request[0], "/oauth2/admin/api/accounts"+request[1], "")
			if w.Code != tt.want || (tt.want != http.StatusOK && len(all) > 0) {
				t.Errorf("%s, federated %t, %s: %d, ran %v", tt.who, tt.federated, request[0], w.Code, all)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	const bert = "/oauth2/admin/api/accounts/bert/"
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		says                     string
		ran                      bool
	}{
		{"no such account", "GET", "/oauth2/admin/api/accounts/nobody", "", nil, 404, `there is no account \"nobody\"`, true},
		{"no such account to act on", "POST", "/oauth2/admin/api/accounts/nobody/disable", "", nil, 404, "not_found", true},
		{"refused", "POST", "/oauth2/admin/api/accounts/stubborn/disable", "", nil, 422, `"message":"no"`, true},
		{"no command", "POST", "/oauth2/admin/api/accounts/odd/disable", "", nil, 400, `"message":"the name is odd"`, true},
		// An outage must not look like a deletion, or like a refusal.
		{"the store is down", "GET", "/oauth2/admin/api/accounts/drowned", "", nil, 503, "store_down", true},
		{"the store is down at an action", "POST", "/oauth2/admin/api/accounts/drowned/disable", "", nil, 503, "store_down", true},
		{"no such action", "POST", bert + "delete", "", nil, 404, "", false},
		{"no such field", "POST", bert + "disable", `{"mail":true}`, nil, 400, `disable has no field \"mail\"`, false},
		{"a field of another form", "POST", bert + "reset-mfa", `{"factor":["x"]}`, nil, 400, "neither a text", false},
		{"no object", "POST", bert + "disable", `[]`, nil, 400, "not a JSON object", false},
		{"something behind the object", "POST", bert + "disable", `{} }`, nil, 400, "something follows", false},
		{"a field twice", "POST", bert + "reset-mfa", `{"factor":"totp","factor":"passkey"}`, nil, 400, "stands there twice", false},
		{"a field twice, spelled otherwise", "POST", "/oauth2/admin/api/accounts", `{"username":"x","Username":"root"}`, nil, 400, "stands there twice", false},
		{"two objects", "POST", bert + "disable", `{} {}`, nil, 400, "something follows", false},
		{"an attribute that is none", "POST", "/oauth2/admin/api/accounts", `{"username":"x","attributes":{"a=b":["c"]}}`, nil, 400, "no attribute has a =", false},
		{"too much", "POST", bert + "disable", `{"x":"` + strings.Repeat("x", 70_000) + `"}`, nil, 400, "too long", false},
		// Attack: a page elsewhere posts in the name of an administrator.
		{"another site", "POST", bert + "disable", "{}", []string{"Sec-Fetch-Site", "cross-site"}, 403, "", false},
		{"a form", "POST", bert + "disable", "{}", []string{"Content-Type", "text/plain"}, 400, "Content-Type", false},
		{"a method", "PUT", bert + "disable", "{}", nil, 405, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, all := ask(t, false, "ada", tt.method, tt.path, tt.body, tt.headers...)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if (len(all) > 0) != tt.ran {
				t.Errorf("ran %v", all)
			}
		})
	}
}

// One damaged account must not hide the others.
func TestIncompleteAnswer(t *testing.T) {
	w, _ := ask(t, false, "ada", "GET", "/oauth2/admin/api/accounts", "")
	if got := w.Header().Get("X-Gatehouse-Incomplete"); w.Code != 200 || got != "1 account cannot be read" || !strings.Contains(w.Body.String(), `"ran":"list"`) {
		t.Errorf("%d %q %s", w.Code, got, w.Body)
	}
}

// Attack: an administrator's session is left open, or came by a provider that
// somebody has taken over, and is made a way in that lasts.
func TestProofBeforeAWayIn(t *testing.T) {
	const accounts = "/oauth2/admin/api/accounts"
	for _, tt := range []struct {
		who, path string
		status    int
	}{
		{"idle", accounts, 403},
		{"idle", accounts + "/bert/setup-link", 403},
		{"idle", accounts + "/bert/reset-mfa", 403},
		{"idle", accounts + "/bert/unlock", 200},
		{"idle", accounts + "/bert/disable", 200},
		{"ada", accounts + "/bert/setup-link", 200},
		{"drowning", accounts + "/bert/setup-link", 503},
	} {
		w, all := ask(t, false, tt.who, "POST", tt.path, "")
		if w.Code != tt.status || (len(all) > 0) != (tt.status == 200) {
			t.Errorf("%s %s: %d %s, ran %v", tt.who, tt.path, w.Code, w.Body, all)
		}
		if tt.status == 403 && !strings.Contains(w.Body.String(), `"error":"proof_required","message":"show that it is you, at https://gate.example/oauth2/prove`) {
			t.Errorf("%s: %s", tt.path, w.Body)
		}
	}
}
