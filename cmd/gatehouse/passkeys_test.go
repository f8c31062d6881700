package main

import (
	"slices"
	"testing"

	"gatehouse/auth/mfa"
	"gatehouse/internal/config"
)

// The configuration says where passkeys are offered, and auth/mfa where they can
// be made: neither may know of an address that the other does not.
func TestPasskeysAreOfferedWhereTheyWork(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]bool{
		"https://gate.example":       true,
		"https://GATE.example:8443":  true,
		"https://intranet":           false,
		"https://xn--bcher-kva.test": true,
		"http://localhost:4180":      true,
		"https://localhost":          true,
		"http://gate.localhost":      true,
		"http://gate.example":        false,
		"http://notlocalhost":        false,
		"https://192.0.2.7":          false,
		"https://[2001:db8::7]:8443": false,
		"http://127.0.0.1:4180":      false,
	} {
		cfg, _, err := config.Parse("config.yaml", []byte("server: {public_url: '"+url+"'}"), nil)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		offered, works := slices.Contains(cfg.MFA.Methods, config.MethodPasskey), mfa.RelyingPartyOf(cfg.Server.PublicURL, "Gatehouse").Works()
		if offered != want || works != want {
			t.Errorf("%s: offered %v, works %v, want %v", url, offered, works, want)
		}
	}
}
