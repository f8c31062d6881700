package redis_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/test/servers"
)

// proxy stands between a store and Redis and loses replies.
type proxy struct {
	addr   string
	target atomic.Pointer[string] // the server's address
	// lose says for what is sent whether its reply gets lost, and the
	// connection with it.
	lose func(sent []byte) bool

	frozen   atomic.Int64 // connections up to this number carry nothing any more
	accepted atomic.Int64
	mu       sync.Mutex
	conns    []net.Conn
	running  sync.WaitGroup
}

// newProxy starts a proxy; nil loses no reply. It serves when it has a target.
func newProxy(t *testing.T, lose func(sent []byte) bool) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if lose == nil {
		lose = func([]byte) bool { return false }
	}
	p := &proxy{addr: l.Addr().String(), lose: lose}
	p.running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", *p.target.Load())
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			p.serve(client, server)
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			conn.Close()
		}
		p.mu.Unlock()
		p.running.Wait()
	})
	return p
}

func (p *proxy) serve(client, server net.Conn) {
	var doomed atomic.Bool
	number := p.accepted.Add(1)
	closeBoth := func() {
		client.Close()
		server.Close()
	}
	pump := func(to io.Writer, from io.Reader, look func([]byte) bool) {
		defer closeBoth()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if number <= p.frozen.Load() {
				continue // the connection stays open and nothing arrives
			}
			if !look(buffer[:n]) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	p.running.Go(func() {
		pump(server, client, func(sent []byte) bool {
			if p.lose(sent) {
				doomed.Store(true)
			}
			return true
		})
	})
	p.running.Go(func() {
		pump(client, server, func([]byte) bool { return !doomed.Load() })
	})
}

// freeze makes the connections of this moment carry nothing any more, as when
// a router forgets them; new ones work.
func (p *proxy) freeze() { p.frozen.Store(p.accepted.Load()) }

// clusterOfOne starts a Redis Cluster of one node that sends its clients to
// addr.
func clusterOfOne(t *testing.T, addr string) *servers.RedisServer {
	t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	_, bus, _ := strings.Cut(servers.FreeAddr(t), ":")
	server := servers.Redis(t, servers.RedisOptions{Args: []string{
		"--cluster-enabled", "yes", "--cluster-port", bus,
		"--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", port,
	}})
	client := server.Client(t)
	if err := client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	servers.WaitFor(t, "the cluster to agree", func(ctx context.Context) bool {
		info, err := client.ClusterInfo(ctx).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	return server
}
