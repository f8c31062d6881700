package config

import (
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want bool
	}{
		{"example.com", true},
		{"localhost", true},
		{"app_1", true},
		{"a-b.c-d", true},
		{"3com.example", true},
		{"xn--bcher-kva.example", true},
		{"127.0.0.1", true},
		{"::1", true},
		{strings.Repeat("a.", 126) + "a", true},
		{"", false},
		{".", false},
		{"example.com.", false},
		{".example.com", false},
		{"a..b", false},
		{"-a.example", false},
		{"a-.example", false},
		{"Example.com", false},
		{"bücher.example", false},
		{"a b", false},
		{"a:1", false},
		{"[::1]", false},
		{"fe80::1%eth0", false},
		{"*.example.com", false},
		{"user@example.com", false},
		{"127.1", false},       // 127.0.0.1 to a browser
		{"2130706433", false},  // the same
		{"0x7f.0x1", false},    // the same
		{"1.2.3.4.5", false},   // a browser refuses it
		{"example.01", false},  // as it does any name that ends in a number
		{"a.example/x", false}, //
		{strings.Repeat("a", 64), false},
		{strings.Repeat("a.", 127) + "a", false},
	} {
		if got := isHost(tt.in); got != tt.want {
			t.Errorf("isHost(%q) = %t", tt.in, got)
		}
	}
}

func TestUnder(t *testing.T) {
	for _, tt := range []struct {
		host, domain string
		want         bool
	}{
		{"example.com", "example.com", true},
		{"a.example.com", "example.com", true},
		{"a.b.example.com", "example.com", true},
		// The label boundary: who owns badexample.com must not count as ours.
		{"badexample.com", "example.com", false},
		{"example.com.evil.test", "example.com", false},
		{"com", "example.com", false},
		{"example.com", "", false},
		{"", "", false},
	} {
		if got := isUnder(tt.host, tt.domain); got != tt.want {
			t.Errorf("isUnder(%q, %q) = %t", tt.host, tt.domain, got)
		}
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.255.0.1": true, "::1": true, "::ffff:127.0.0.1": true,
		// What a name resolves to is somebody else's word.
		"localhost.example.com": false, "127.0.0.1.example.com": false, "foo.localhost": false, "0.0.0.0": false, "10.0.0.1": false, "": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("isLoopback(%q) = %t", host, got)
		}
	}
}

func TestEmails(t *testing.T) {
	for email, want := range map[string]bool{
		"ann@acme.example": true, "a.b+c@acme.example": true, "ünal@acme.example": true, "Ann@ACME.example": true,
		"": false, "ann": false, "@acme.example": false, "ann@": false, "a@b@acme.example": false, `"a b"@acme.example`: false,
		"ann@acme example": false, "ann(x)@acme.example": false, "ann,bob@acme.example": false, "ann@*.example": false,
	} {
		if got := isEmail(email); got != want {
			t.Errorf("isEmail(%q) = %t", email, got)
		}
	}
}

// Applications read headers through CGI and its kin, where these are one.
func TestStandardHeadersInEverySpelling(t *testing.T) {
	for name, want := range map[string]bool{
		"Host": true, "hOST": true, "X_Forwarded.For": true, "x-real-ip": true, "CONTENT_LENGTH": true, "Accept": true,
		"Accept-Language": true, "Sec-Fetch-Site": true, "X-Original-URL": true, "X-Auth-Request-User": true, "Transfer_Encoding": true,
		"X-Forwarded-User": false, "Remote-User": false, "X-Hostess": false, "X-Forwarded-Access-Token": false, "From-Gatehouse": false,
	} {
		if got := isStandard(name); got != want {
			t.Errorf("isStandard(%q) = %t", name, got)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"cookie_name", "cookie_domain", "same_site", "lifetime", "id"}
	for name, want := range map[string]string{
		"cookie-name": "cookie_name", "Lifetime": "lifetime", "livetime": "lifetime", "samesite": "same_site", "ids": "id",
		"colour": "", "": "", strings.Repeat("x", 1<<20): "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest(%.20q) = %q, want %q", name, got, want)
		}
	}
}
