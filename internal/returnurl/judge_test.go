package returnurl_test

import (
	"strings"
	"testing"

	"gatehouse/internal/returnurl"
)

func site(t testing.TB, public string, domains ...string) *returnurl.Site {
	t.Helper()
	s, err := returnurl.New(public, "/oauth2", domains)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var domains = []string{"a.example", ".b.example", "*.c.example:8443", "d.example:*", "[2001:db8::1]:9000"}

func TestJudgeAccepts(t *testing.T) {
	s := site(t, "https://gate.example", domains...)
	for _, c := range []struct{ name, in, want string }{
		{"root", "/", "/"},
		{"path", "/app/page", "/app/page"},
		{"query that holds a URL", "/app?next=https://evil.example/", "/app?next=https://evil.example/"},
		{"backslash after the query began", `/app?a=\b`, `/app?a=\b`},
		{"fragment", "/app#/deep//link", "/app#/deep//link"},
		{"escapes stay as they are", "/a%2Fb%20c?d=%26", "/a%2Fb%20c?d=%26"},
		{"spaces are encoded", "/a b?c d", "/a%20b?c%20d"},
		{"non-ASCII is encoded", "/grüße?q=ü", "/gr%C3%BC%C3%9Fe?q=%C3%BC"},
		{"double slash deeper down", "/a//b", "/a//b"},
		{"at sign in the path", "/@evil.example", "/@evil.example"},
		{"colon in the path", "/a:b", "/a:b"},
		{"dots that stay inside", "/a/../b", "/a/../b"},
		{"own page that is no step", "/oauth2/account", "/oauth2/account"},
		{"other endpoint with such a beginning", "/oauth2/sign_in_help", "/oauth2/sign_in_help"},
		{"public host", "https://gate.example/app", "https://gate.example/app"},
		{"public host, its port said", "https://gate.example:443/app", "https://gate.example:443/app"},
		{"public host in capitals", "HTTPS://GATE.example/app", "HTTPS://GATE.example/app"},
		{"double slash behind a host", "https://gate.example//x", "https://gate.example//x"},
		{"no path", "https://gate.example", "https://gate.example"},
		{"query at once", "https://gate.example?a=b", "https://gate.example?a=b"},
		{"exact domain", "https://a.example/x", "https://a.example/x"},
		{"exact domain over http", "http://a.example/x", "http://a.example/x"},
		{"exact domain with its own port", "http://a.example:80/x", "http://a.example:80/x"},
		{"subtree", "https://x.y.b.example/", "https://x.y.b.example/"},
		{"subtree's top, as in oauth2-proxy", "https://b.example/", "https://b.example/"},
		{"wildcard with port", "https://x.c.example:8443/", "https://x.c.example:8443/"},
		{"any port", "http://d.example:1234/", "http://d.example:1234/"},
		{"any port, none said", "https://d.example/", "https://d.example/"},
		{"IPv6", "http://[2001:DB8::1]:9000/", "http://[2001:DB8::1]:9000/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := s.Judge(c.in); !ok || got != c.want {
				t.Errorf("Judge(%q) = %q, %v; want %q", c.in, got, ok, c.want)
			}
		})
	}
}

// Each row is a way in which a link on our name has led, or could lead, to a
// page of somebody else's (open redirect), or round in a circle.
func TestJudgeRefuses(t *testing.T) {
	s := site(t, "https://gate.example", domains...)
	for _, c := range []struct{ name, in string }{
		{"empty", ""},
		{"relative", "evil.example"},
		{"relative path", "app"},
		{"dots", "../app"},
		{"query only", "?a"},
		{"fragment only", "#a"},
		{"other host", "https://evil.example/"},
		{"scheme-relative", "//evil.example/"},
		{"three slashes", "///evil.example/"},
		{"backslash for the second slash", `/\evil.example/`},
		{"two backslashes", `\\evil.example/`},
		{"backslash first", `\/evil.example/`},
		{"backslash later in the path", `/a\..\..\evil`},
		{"TAB that browsers strip", "/\t/evil.example/"},
		{"LF that browsers strip", "/\n/evil.example/"},
		{"CR that browsers strip", "/\r/evil.example/"},
		{"TAB in the scheme", "ht\ttps://evil.example/"},
		{"header injection", "/app\r\nSet-Cookie: a=b"},
		{"NUL", "/a\x00b"},
		{"DEL", "/a\x7fb"},
		{"leading space that browsers strip", " //evil.example"},
		{"leading control character", "\x01//evil.example"},
		{"dot segment before a double slash", "/.//evil.example"},
		{"dot-dot segment before a double slash", "/..//evil.example"},
		{"encoded dot segment before a double slash", "/%2e//evil.example"},
		{"encoded dot-dot segments", "/a/%2E%2e//evil.example"},
		{"dots that end in a double slash", "/a/..//evil.example"},
		{"user information", "https://gate.example@evil.example/"},
		{"user and password", "https://gate.example:443@evil.example/"},
		{"user information at our host", "https://evil@gate.example/"},
		{"backslash before the at sign", `https://evil.example\@gate.example/`},
		{"our host behind a fragment", "https://evil.example#@gate.example/"},
		{"our host behind a query", "https://evil.example?@gate.example/"},
		{"our host behind a semicolon", "https://evil.example;gate.example/"},
		{"no slashes", "https:evil.example"},
		{"no slashes, our host", "https:gate.example"},
		{"one slash", "https:/evil.example"},
		{"three slashes after the scheme", "https:///evil.example/"},
		{"backslashes after the scheme", `https:\\evil.example/`},
		{"slash and backslash after the scheme", `https:/\evil.example/`},
		{"backslash after our host", `https://gate.example\.evil.example/`},
		{"empty host", "https:///"},
		{"javascript", "javascript:alert(1)"},
		{"javascript that looks like a URL", "javascript://gate.example/%0aalert(1)"},
		{"data", "data:text/html,x"},
		{"ftp", "ftp://gate.example/"},
		{"our host as a label", "https://gate.example.evil.example/"},
		{"our host as a suffix without a dot", "https://evilgate.example/"},
		{"subdomain of an exact host", "https://x.a.example/"},
		{"suffix that is no label", "https://evilb.example/"},
		{"empty label", "https://.b.example/"},
		{"empty label inside", "https://x..b.example/"},
		{"trailing dot", "https://gate.example./"},
		{"escape in the host", "https://gate%2eexample/"},
		{"slash escaped in the host", "https://evil.example%2f.b.example/"},
		{"full stop of another script", "https://evil.example。b.example/"},
		{"fullwidth letters", "https://ｇate.example/"},
		{"Kelvin sign", "https://\u212Aate.example/"},
		{"soft hyphen", "https://gate\u00AD.example/"},
		{"downgrade of our own host", "http://gate.example/"},
		{"other port of our host", "https://gate.example:8443/"},
		{"other port of a domain", "https://a.example:444/"},
		{"no port where one is asked for", "https://x.c.example/"},
		{"wrong port where one is asked for", "https://x.c.example:8444/"},
		{"port with a leading zero", "https://gate.example:0443/"},
		{"port 0", "https://d.example:0/"},
		{"port too large", "https://d.example:65536/"},
		{"port that is none", "https://d.example:evil/"},
		{"sign in the port", "https://d.example:+80/"},
		{"empty port", "https://gate.example:/"},
		{"two ports", "https://d.example:1:2/"},
		{"IPv6 without brackets", "https://2001:db8::1/"},
		{"IPv6 zone", "http://[2001:db8::1%25eth0]:9000/"},
		{"junk after the bracket", "http://[2001:db8::1]evil.example:9000/"},
		{"too long", "/" + strings.Repeat("a", 5000)},
		{"too long once encoded", "/" + strings.Repeat("ü", 1500)},
		{"broken escape", "/%zz"},
		{"sign_in", "/oauth2/sign_in"},
		{"sign_in with a query", "/oauth2/sign_in?rd=/"},
		{"start", "/oauth2/start?rd=%2f"},
		{"callback", "/oauth2/callback?code=x"},
		{"mfa", "/oauth2/mfa"},
		{"step_up", "/oauth2/step_up?rd=/"},
		{"sign_out", "/oauth2/sign_out"},
		{"sign_out, absolute", "https://gate.example/oauth2/sign_out"},
		{"sign_out at another host of ours", "https://a.example/oauth2/sign_out"},
		{"sign_out below", "/oauth2/sign_out/"},
		{"sign_out behind dots", "/app/../oauth2/sign_out"},
		{"sign_out behind slashes", "/oauth2//sign_out"},
		{"sign_out encoded", "/oauth2/sign%5fout"},
		{"sign_out encoded twice", "/oauth2/sign%255fout"},
		{"sign_out with an encoded slash", "/oauth2%2fsign_out"},
		{"sign_out with an encoded backslash", "/oauth2%5csign_out"},
		{"sign_out in capitals", "/OAUTH2/Sign_Out"},
		{"encoded without end", "/%" + strings.Repeat("25", 20) + "41"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := s.Judge(c.in); ok {
				t.Errorf("Judge(%q) = %q, want a refusal", c.in, got)
			}
		})
	}
}

func TestPublicURLWithPort(t *testing.T) {
	s := site(t, "http://localhost:4180")
	for in, want := range map[string]bool{
		"http://localhost:4180/app":  true,
		"http://LOCALHOST:4180":      true,
		"http://localhost/":          false,
		"http://localhost:4181/":     false,
		"https://localhost:4180/":    false, // another site to cookies
		"http://127.0.0.1:4180/":     false,
		"http://2130706433:4180/":    false, // 127.0.0.1 to a browser
		"http://localhost:4180@evil": false,
	} {
		if _, ok := s.Judge(in); ok != want {
			t.Errorf("Judge(%q) = %v, want %v", in, ok, want)
		}
	}
	if got := s.Origin(); got != "http://localhost:4180" {
		t.Errorf("Origin() = %q", got)
	}
	if got := s.SignIn("/a?b=c&d"); got != "http://localhost:4180/oauth2/sign_in?rd=%2Fa%3Fb%3Dc%26d" {
		t.Errorf("SignIn = %q", got)
	}
	if got := site(t, "HTTPS://Gate.Example:443").Origin(); got != "https://gate.example" {
		t.Errorf("Origin() = %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		public string
		domain string
	}{
		{"", ""},
		{"gate.example", ""},
		{"ftp://gate.example", ""},
		{"https://", ""},
		{"https://g%61te.example", ""},
		{"https://gate.example", "*"},
		{"https://gate.example", "."},
		{"https://gate.example", "*.*.example"},
		{"https://gate.example", "https://a.example"},
		{"https://gate.example", "a.example/x"},
		{"https://gate.example", "a.example:x"},
		{"https://gate.example", "a.example:1:*"},
		{"https://gate.example", "ä.example"},
	} {
		domains := []string{c.domain}
		if c.domain == "" {
			domains = nil
		}
		if _, err := returnurl.New(c.public, "/oauth2", domains); err == nil {
			t.Errorf("New(%q, %q) did not fail", c.public, c.domain)
		}
	}
}

func TestHosts(t *testing.T) {
	s := site(t, "https://gate.example", domains...)
	for _, c := range []struct {
		host          string
		public, knows bool
	}{
		{"gate.example", true, true},
		{"GATE.example:443", true, true},
		{"gate.example:80", false, false},
		{"x.b.example", false, true},
		{"d.example:99", false, true},
		{"evil.example", false, false},
		{"", false, false},
		{"gate.example@evil", false, false},
	} {
		if s.Public(c.host) != c.public || s.Knows(c.host) != c.knows {
			t.Errorf("host %q: Public %v, Knows %v", c.host, s.Public(c.host), s.Knows(c.host))
		}
	}
}
