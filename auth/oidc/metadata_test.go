package oidc

import (
	"testing"

	"gatehouse/internal/config"
)

// Plain http would let anybody on the way read the code and the client's
// secret, or replace the keys.
func TestCheckURL(t *testing.T) {
	tests := []struct {
		name, issuer string
		insecure     bool
		url          string
		ok           bool
	}{
		{"https", "https://id.example", false, "https://id.example/token", true},
		{"https, another host", "https://id.example", false, "https://api.example/token", true},
		{"http below an https issuer", "https://id.example", false, "http://id.example/token", false},
		{"http on loopback below an https issuer", "https://id.example", false, "http://127.0.0.1/token", false},
		{"http below an https issuer, insecure", "https://id.example", true, "http://id.example/token", false},
		{"loopback", "http://127.0.0.1:9", false, "http://127.0.0.1:9/token", true},
		{"loopback, by name", "http://localhost:9", false, "http://localhost:9/token", true},
		{"loopback, IPv6", "http://[::1]:9", false, "http://[::1]:9/token", true},
		{"away from loopback", "http://127.0.0.1:9", false, "http://192.0.2.1/token", false},
		{"a name that begins like loopback", "http://127.0.0.1:9", false, "http://127.0.0.1.evil.example/token", false},
		{"a plain http issuer", "http://id.example", false, "http://id.example", false},
		{"the same, insecure", "http://id.example", true, "http://id.example", true},
		{"user information", "https://id.example", false, "https://user@id.example/token", false},
		{"fragment", "https://id.example", false, "https://id.example/token#x", false},
		{"no host", "https://id.example", false, "https:///token", false},
		{"opaque", "https://id.example", false, "https:id.example", false},
		{"relative", "https://id.example", false, "/token", false},
		{"another scheme", "https://id.example", false, "ftp://id.example/token", false},
		{"nothing", "https://id.example", false, "", false},
		{"control character", "https://id.example", false, "https://id.example/\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkURL(config.Connection{Issuer: tt.issuer, InsecureHTTP: tt.insecure}, tt.url)
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}
