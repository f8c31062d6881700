package returnurl_test

import (
	"strings"
	"testing"
)

// browserHost reads a Location as a browser at base does (WHATWG URL,
// sections 4.4 and 4.5, for what is not IDNA) and returns scheme and host with
// port. It is written from the standard's states and shares nothing with the
// code under test. An empty scheme means that the browser stays where it is
// or fails.
func browserHost(raw string) (scheme, authority string) {
	raw = strings.TrimFunc(raw, func(r rune) bool { return r <= 0x20 })
	raw = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(raw)
	const baseScheme = "https"
	slash := func(i int) bool { return i < len(raw) && (raw[i] == '/' || raw[i] == '\\') }
	scheme, i := "", 0
	if len(raw) > 0 && isAlpha(raw[0]) {
		for j := 0; j < len(raw); j++ {
			c := raw[j]
			if c == ':' {
				scheme, i = strings.ToLower(raw[:j]), j+1
				break
			}
			if !isAlpha(c) && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
				break
			}
		}
	}
	switch scheme {
	case "http", "https", "ws", "wss", "ftp":
		if scheme == baseScheme && (!slash(i) || !slash(i+1)) {
			return "", "" // "special relative or authority": https:x is relative to the base
		}
		for slash(i) {
			i++
		}
	case "":
		if !slash(0) || !slash(1) {
			return "", "" // a path, a query, a fragment
		}
		scheme = baseScheme
		for slash(i) {
			i++
		}
	default:
		return scheme, "" // javascript:, data:
	}
	end := i
	for end < len(raw) && raw[end] != '/' && raw[end] != '\\' && raw[end] != '?' && raw[end] != '#' {
		end++
	}
	authority = raw[i:end]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	return scheme, strings.ToLower(authority)
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// FuzzJudge: whatever is accepted, a browser that gets it in a Location
// header stays on the site.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{
		"/", "/a?b#c", "//evil", `/\evil`, "/\t/evil", "https://gate.example/", "https:evil", "https:/evil",
		"https:///evil", "https://x.b.example:443/", "https://a@gate.example", "http://gate.example", "javascript:x",
		`https://gate.example\.evil`, "https://evil。b.example", "/%2e//x", "/oauth2/sign_in", " /a", "HTTPS://GATE.EXAMPLE",
		"http://b.example:80/ü?ü#ü", "/a b", "https://gate.example:443", "//x.b.example",
	} {
		f.Add(seed)
	}
	s := site(f, "https://gate.example", ".b.example", "c.example:*")
	f.Fuzz(func(t *testing.T, raw string) {
		emitted, ok := s.Judge(raw)
		if !ok {
			return
		}
		for i := range len(emitted) {
			if emitted[i] <= ' ' || emitted[i] >= 0x7f {
				t.Fatalf("%q was accepted and emits the byte %#x", raw, emitted[i])
			}
		}
		if again, ok := s.Judge(emitted); !ok || again != emitted {
			t.Fatalf("%q was accepted as %q, which is judged %q, %v", raw, emitted, again, ok)
		}
		scheme, authority := browserHost(emitted)
		if scheme == "" {
			return
		}
		host, _, _ := strings.Cut(authority, ":")
		switch {
		case scheme == "https" && (authority == "gate.example" || authority == "gate.example:443"):
		case scheme != "http" && scheme != "https":
			t.Fatalf("%q was accepted and has the scheme %q", raw, scheme)
		case host == "c.example":
		case host == "b.example" || strings.HasSuffix(host, ".b.example"):
			if authority != host && authority != host+":80" && authority != host+":443" {
				t.Fatalf("%q was accepted with a foreign port", raw)
			}
		default:
			t.Fatalf("%q was accepted and leads to %q", raw, authority)
		}
	})
}
