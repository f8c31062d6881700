package oauth2proxy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern string
		want    string // the places, ! after one that is guarded
		whole   bool
	}{
		{"^/healthz$", "/healthz", true},
		{`^/favicon\.ico$`, "/favicon.ico", true},
		{"^/favicon.ico$", "/favicon.ico", false},
		{"^/public/", "/public/!", true},
		{"^/public/.*", "/public/!", true},
		{"^/public/.*$", "/public/!", true},
		{"^/public(/.*)?$", "/public/", true},
		{"^/public(/|$)", "/public/", true},
		{"^/public(?:/.*|)$", "/public/", true},
		{"^/public", "/public/", false},
		{"^/(css|js)/", "/css/! /js/!", true},
		{"^/v[12]/ping$", "/v1/ping /v2/ping", true},
		{"^/img/logo(-dark)?[.]svg$", "/img/logo.svg /img/logo-dark.svg", true},
		{"^/a|^/b/", "/a/ /b/!", false},
		{"^/a$|/b$", "/a /b", false},
		{"^/", "/", true},
		{"", "/", true},
		{".*", "/", true},
		{"/static/", "/static/!", false},
		{"/status$", "/status", false},
		// What no route can say stays protected.
		{"^/$", "", false},
		{"^/login/$", "", false},
		{"^/[a-z]+/public$", "", false},
		{`\.css$`, "", false},
		{"^/assets/.+", "", false},
		{"^/assets/[^/]*$", "", false},
		{"(?i)^/public/", "", false},
		{"^/.*/public/", "", false},
		{"^public/", "", false},
		{"^/a b$", "", false},
		{"^/a//b$", "", false},
		{"^/a;b$", "", false},
		{"^/a/../b/", "", false},
		{"^/x$y", "", false},
		{"^/(", "", false},
		{"^/[a-z][a-z][a-z]$", "", false},
		{"^/a$|^/a/$", "/a", false},
	} {
		var got []string
		all, whole := places(tt.pattern)
		for _, p := range all {
			got = append(got, p.path+map[bool]string{true: "!"}[p.guard])
		}
		if got := strings.Join(got, " "); got != tt.want || whole != tt.whole {
			t.Errorf("%q is %q and whole %v, want %q and %v", tt.pattern, got, whole, tt.want, tt.whole)
		}
	}
}

// takesIn reports whether a route of the place is the one for a path that
// nothing else is about.
func (p place) takesIn(path string) bool {
	below, isSubtree := strings.CutSuffix(p.path, "/")
	switch {
	case !isSubtree:
		return path == p.path
	case path == below:
		return !p.guard // a longer, exact route has it
	}
	return strings.HasPrefix(path, p.path)
}

// FuzzPlaces: whatever the pattern, a path that becomes public was public.
// Attack: a pattern that is written as a wider route than it was.
func FuzzPlaces(f *testing.F) {
	for _, pattern := range []string{"^/public/", "^/(a|b)(/.*)?$", "/x", "^/a.c$", "^/[ab]$|^/d", `^/\.well-known/`, "^/a{1,2}$", "(?s)^/.*$", "^^/a$$"} {
		for _, path := range []string{"/", "/public", "/public/x", "/a", "/a/b", "/y/x", "/abc", "/.well-known/x"} {
			f.Add(pattern, path)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		re, err := regexp.Compile(pattern)
		all, _ := places(pattern)
		if err != nil {
			if len(all) > 0 {
				t.Fatalf("%q is no pattern, and has places %v", pattern, all)
			}
			return
		}
		for _, p := range all {
			for _, path := range []string{path, p.path, strings.TrimSuffix(p.path, "/"), p.path + strings.Trim(path, "/"), p.path + path} {
				if strings.HasPrefix(path, "/") && !strings.Contains(path, "\n") && p.takesIn(path) && !re.MatchString(path) {
					t.Fatalf("%q does not match %q, and %+v takes it in", pattern, path, p)
				}
			}
		}
	})
}

// TestNothingBecomesPublic holds the routes of a whole configuration against
// the rules that they come from, for every path of a small world: one that
// passes without a session did so before.
func TestNothingBecomesPublic(t *testing.T) {
	t.Parallel()
	var paths []string
	words := []string{"a", "b", "ab", "a.b", "static"}
	paths = append(paths, "/")
	for _, one := range words {
		paths = append(paths, "/"+one, "/"+one+"/")
		for _, two := range words {
			paths = append(paths, "/"+one+"/"+two, "/"+one+"/"+two+"/", "/"+one+"/"+two+"/x")
		}
	}
	patterns := []string{"^/a/", "^/a$", "^/a", "/b", "^/(a|b)/", "^/a(/.*)?$", "^/a/b$", "^/static/", "^/static/a/", "^/a.b$", "^/", "^/a/b/", "GET=^/a/", "POST=^/a/b", "GET=^/static", "OPTIONS=^/b$"}
	compiled := map[string]*regexp.Regexp{}
	for _, rule := range patterns {
		compiled[rule] = regexp.MustCompile(rule[strings.Index(rule, "=")+1:])
	}
	for _, upstreams := range [][]string{
		{"http://one/"},
		{"http://one/", "http://two/a/", "http://three/a/b"},
		{"http://one/", "file:///srv#/static/"},
	} {
		for i, first := range patterns {
			for _, second := range patterns[i:] {
				for _, preflight := range []string{"true", "false"}[len(upstreams)%2:] {
					src := Sources{Flags: []Flag{
						{"client-id", "x"},
						{"client-secret", "x"},
						{"provider", "oidc"},
						{"oidc-issuer-url", "https://id.acme.example"},
						{"email-domain", "*"},
						{"redirect-url", "https://apps.acme.example"},
						{"skip-auth-preflight", preflight},
						{"skip-auth-route", first},
						{"skip-auth-route", second},
					}}
					for _, u := range upstreams {
						src.Flags = append(src.Flags, Flag{"upstream", u})
					}
					result, err := Translate(src)
					if err != nil {
						t.Fatal(err)
					}
					public := passes(t, result)
					for _, method := range []string{"GET", "POST", "OPTIONS"} {
						for _, path := range paths {
							before := method == "OPTIONS" && preflight == "true"
							for _, rule := range []string{first, second} {
								of, _, ok := strings.Cut(rule, "=")
								before = before || (!ok || of == method) && compiled[rule].MatchString(path)
							}
							if public(method, path) && !before {
								t.Fatalf("%s %s needs no session, and did before, with %q, %q, preflight %s:\n%s", method, path, first, second, preflight, result.Config)
							}
						}
					}
				}
			}
		}
	}
}

// TestSkippedRules: a rule of which only a part is a pattern makes public what
// it did, and nothing else.
func TestSkippedRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, public string // GET and POST of these paths
		said         string
	}{
		{"^/a$", "GET /a POST /a", ""},
		{"=^/a$", "GET /a POST /a", ""},
		{"get=^/a$", "GET /a", ""},
		{"GET!=^/a$", "", "says what is not public"},
		{"!=^/a$", "", "says what is not public"},
		{"GET=^/a$|!=b", "", "says what is not public"},
		{"^/a$|b=c", "", "had no effect"},
		{"TRACE=^/a$", "", "never forwarded"},
		{"^/oauth2/", "", "is no plain path"},
		{"^/ping$", "", "is no plain path"},
		{"^/(a|oauth2/start)$", "GET /a POST /a", "takes in more"},
	} {
		result, err := Translate(Sources{Flags: []Flag{
			{"client-id", "x"},
			{"client-secret", "x"},
			{"provider", "oidc"},
			{"oidc-issuer-url", "https://id.acme.example"},
			{"email-domain", "*"},
			{"redirect-url", "https://apps.acme.example"},
			{"upstream", "http://app:8080"},
			{"skip-auth-route", tt.rule},
		}})
		if err != nil {
			t.Fatal(err)
		}
		public := passes(t, result)
		var got []string
		for _, path := range []string{"/", "/a", "/b", "/c", "/oauth2/start", "/ping"} {
			for _, method := range []string{"GET", "POST"} {
				if public(method, path) {
					got = append(got, method+" "+path)
				}
			}
		}
		if got := strings.Join(got, " "); got != tt.public || !strings.Contains(string(result.Config), tt.said) {
			t.Errorf("%s makes public: %q, want %q and %q\n%s", tt.rule, got, tt.public, tt.said, result.Config)
		}
	}
}

// passes returns whether a request needs no session, as docs/configuration.md
// says: the longest path decides, an exact one before a subtree, and a route
// whose methods lack the request's is no candidate.
func passes(t *testing.T, result Result) func(method, path string) bool {
	t.Helper()
	cfg := loaded(t, result)
	return func(method, path string) bool {
		best, public := -1, false
		for _, r := range cfg.Routes {
			below, isSubtree := strings.CutSuffix(r.Path, "/")
			length := len(below) * 4
			switch {
			case !isSubtree && r.Path == path:
				length += 2
			case isSubtree && (path == below || strings.HasPrefix(path, r.Path)):
			default:
				continue
			}
			if len(r.Methods) > 0 {
				if !strings.Contains(fmt.Sprint(r.Methods), method) {
					continue
				}
				length++
			}
			if length > best {
				best, public = length, r.Access.Public
			}
		}
		return public
	}
}
