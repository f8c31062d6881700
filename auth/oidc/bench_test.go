package oidc

import (
	"testing"

	"gatehouse/test/badidp"
)

// BenchmarkFinish is a sign-in from the callback on: a code exchange over
// loopback, which includes the provider's own signature, and all checks.
func BenchmarkFinish(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256"} {
		b.Run(alg, func(b *testing.B) {
			idp := badidp.Start(b)
			idp.SetAlgorithm(alg)
			p, _ := connect(b, idp.URL())
			address, err := p.Begin(b.Context(), pending)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				answer := browse(b, address)
				b.StartTimer()
				if _, _, err := p.Finish(b.Context(), pending, answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerifyIDToken is the part of it that is ours alone.
func BenchmarkVerifyIDToken(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			idp := badidp.Start(b)
			idp.SetAlgorithm(alg)
			p, _ := connect(b, idp.URL())
			m, err := p.discovered(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			token := idp.LogoutToken(map[string]any{"nonce": "n", "events": nil}, map[string]any{"typ": "JWT"})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.verifyIDToken(b.Context(), m, token, expected{nonce: "n"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
