package redis_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
	"gatehouse/test/servers"
)

// A client that sends a write again when its reply was lost turns one sign-in
// into none: the winner of a Create would read that somebody else had won, a
// state would be taken and reported as unknown. So such a write is sent once,
// and its caller reads that the store is in trouble.
func TestWriteWithLostReplyIsNotRepeated(t *testing.T) {
	modes := map[string]func(t *testing.T, p *proxy) (redis.Options, *servers.RedisServer){
		"standalone": func(t *testing.T, p *proxy) (redis.Options, *servers.RedisServer) {
			server := servers.Redis(t, servers.RedisOptions{})
			return redis.Options{Mode: redis.Standalone, Addresses: []string{p.addr}}, server
		},
		"cluster": func(t *testing.T, p *proxy) (redis.Options, *servers.RedisServer) {
			return redis.Options{Mode: redis.Cluster, Addresses: []string{p.addr}}, clusterOfOne(t, p.addr)
		},
	}
	for mode, start := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			p := newProxy(t, func(chunk []byte) bool {
				write := bytes.Contains(chunk, []byte("lost:")) && !bytes.Contains(chunk, []byte("\r\nget\r\n"))
				if write {
					sent.Add(1)
				}
				return write
			})
			o, server := start(t, p)
			p.target.Store(&server.Addr)
			o.Timeout = 10 * time.Second
			o.KeyPrefix = "p:"
			s := newStore(t, o)
			behind := server.Client(t)
			// The script is known, so that it is sent in one command.
			if err := s.Create(t.Context(), "known", []byte("a"), 0); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.Update(t.Context(), "known", replace("b")); err != nil {
					t.Fatal(err)
				}
			}
			for _, tt := range []struct {
				name   string
				before string // "-": none
				write  func(key string) error
				after  string // "-": none
			}{
				{"create", "-", func(key string) error { return s.Create(t.Context(), key, []byte("new"), 0) }, "new"},
				{"update from nothing", "-", func(key string) error { return s.Update(t.Context(), key, replace("new")) }, "new"},
				{"update", "old", func(key string) error { return s.Update(t.Context(), key, replace("new")) }, "new"},
				{"take", "old", func(key string) error { _, err := s.Take(t.Context(), key); return err }, "-"},
			} {
				key := "lost:" + tt.name
				if tt.before != "-" {
					if err := behind.Set(t.Context(), "p:"+key, tt.before, 0).Err(); err != nil {
						t.Fatal(err)
					}
				}
				sent.Store(0)
				if err := tt.write(key); !errors.Is(err, store.ErrDown) {
					t.Errorf("%s: %v, want ErrDown", tt.name, err)
				}
				if n := sent.Load(); n != 1 {
					t.Errorf("%s was sent %d times, want once", tt.name, n)
				}
				got, err := behind.Get(t.Context(), "p:"+key).Result()
				if err != nil {
					got = "-"
				}
				if got != tt.after {
					t.Errorf("%s: Redis holds %q, want %q", tt.name, got, tt.after)
				}
			}
		})
	}
}

func TestReadWithLostReplyIsRepeated(t *testing.T) {
	server := servers.Redis(t, servers.RedisOptions{})
	var left atomic.Int64
	p := newProxy(t, func(sent []byte) bool { return bytes.Contains(sent, []byte("lost:")) && left.Add(-1) >= 0 })
	p.target.Store(&server.Addr)
	o := standalone(t, server)
	o.Addresses = []string{p.addr}
	s := newStore(t, o)
	if err := s.Create(t.Context(), "lost:key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	left.Store(2)
	if value, err := s.Get(t.Context(), "lost:key"); err != nil || string(value) != "value" {
		t.Errorf("get after two lost replies: %q, %v", value, err)
	}
	left.Store(2)
	if err := s.Delete(t.Context(), "lost:key"); err != nil {
		t.Errorf("delete after two lost replies: %v", err)
	}
	left.Store(1 << 30)
	if _, err := s.Get(t.Context(), "lost:key"); !errors.Is(err, store.ErrDown) {
		t.Errorf("get when every reply is lost: %v, want ErrDown", err)
	}
}

func TestForgottenScriptIsSentAgain(t *testing.T) {
	server := servers.Redis(t, servers.RedisOptions{})
	s := newStore(t, standalone(t, server))
	for _, value := range []string{"a", "b", "c"} {
		if err := server.Client(t).ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(t.Context(), "key", replace(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), "key"); err != nil || string(got) != value {
			t.Errorf("get: %q, %v; want %q", got, err, value)
		}
	}
}

func replace(value string) func([]byte) ([]byte, time.Duration, error) {
	return func([]byte) ([]byte, time.Duration, error) { return []byte(value), 0, nil }
}

// A Scan goes on where a reply was lost: it may have a million records behind it.
func TestScanWithLostReplies(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t, servers.RedisOptions{})
	var sent, lost atomic.Int64
	p := newProxy(t, func(chunk []byte) bool {
		if !bytes.Contains(chunk, []byte("\r\nscan\r\n")) && !bytes.Contains(chunk, []byte("\r\nget\r\n")) {
			return false
		}
		if sent.Add(1)%2 == 0 {
			lost.Add(1)
			return true
		}
		return false
	})
	p.target.Store(&server.Addr)
	o := standalone(t, server)
	o.Addresses = []string{p.addr}
	s := newStore(t, o)
	const n = 2000
	for i := range n {
		if err := s.Create(t.Context(), fmt.Sprint("key", i), []byte("value"), 0); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	if err := s.Scan(t.Context(), "key", func(string, []byte) error { seen++; return nil }); err != nil || seen != n || lost.Load() == 0 {
		t.Errorf("%d of %d records, %d replies lost: %v", seen, n, lost.Load(), err)
	}
}
