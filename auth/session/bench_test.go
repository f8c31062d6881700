package session_test

import "testing"

// The road of every request: cookie, hash, cache, limits.
func BenchmarkAuthenticate(b *testing.B) {
	w := newWorld(b)
	s := w.replica()
	br := &browser{}
	br.start(b, s, of("alice"))
	r := br.request()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}

// A warm request may make the hash, the key of the cache and the fake's
// person, and nothing else.
func TestAuthenticateAllocates(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	br := &browser{}
	br.start(t, s, of("alice"))
	r := br.request()
	// The least of several: under the race detector a pool forgets at random.
	n := 1000.0
	for range 50 {
		n = min(n, testing.AllocsPerRun(1, func() {
			if _, _, err := s.Authenticate(r); err != nil {
				t.Fatal(err)
			}
		}))
	}
	if n > 4 {
		t.Errorf("%.0f allocations", n)
	}
}
