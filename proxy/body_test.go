package proxy

import (
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowClient sends a byte a minute.
type slowClient struct{ left int }

func (s *slowClient) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	time.Sleep(time.Minute)
	return 1, nil
}

func (s *slowClient) Close() error { return nil }

// TestClockAwaitsNoClient: the time that an upstream has until its headers
// runs while it does not read, and not while the client does not send.
func TestClockAwaitsNoClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expired atomic.Pointer[time.Time]
		b := &requestBody{ReadCloser: &slowClient{left: 3}}
		b.start(time.Second, func() { now := time.Now(); expired.Store(&now) })
		if _, err := io.ReadAll(b); err != nil {
			t.Fatal(err)
		}
		if expired.Load() != nil {
			t.Error("a slow client counted against the upstream")
		}
		sent := time.Now()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if at := expired.Load(); at == nil || at.Sub(sent) != time.Second {
			t.Errorf("expired at %v, want 1s after %v", at, sent)
		}
		b.stop()
	})
}

// TestClockEnds: once the headers are there, a body may take its time.
func TestClockEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expired := false
		b := &requestBody{ReadCloser: &slowClient{left: 1}}
		b.start(time.Second, func() { expired = true })
		b.stop()
		if _, err := io.ReadAll(b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if expired || b.broken() {
			t.Errorf("expired %v, broken %v", expired, b.broken())
		}
	})
}
