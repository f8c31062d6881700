package servers

import (
	"context"
	"crypto/tls"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisOptions say how a Redis is reached. The zero value is plain TCP
// without a password, and nothing that outlives the process.
type RedisOptions struct {
	Password string
	TLS      bool // TLS only, with a certificate of an authority of its own
	Unix     bool // a socket in the file system only
	Persist  bool // every write is on the disk before it is answered
	Args     []string
}

// RedisServer is a redis-server child.
type RedisServer struct {
	Addr     string // host:port, or unix:///path
	Password string
	// With RedisOptions.TLS: PEM files of the authority and of a certificate
	// that serves both ends.
	CAFile, CertFile, KeyFile string

	dir     string
	args    []string
	process *Process
}

// Redis starts a redis-server and waits until it answers.
func Redis(t testing.TB, o RedisOptions) *RedisServer {
	t.Helper()
	s := &RedisServer{Password: o.Password, dir: t.TempDir()}
	s.args = []string{"--dir", s.dir, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"}
	if o.Persist {
		s.args = append(s.args, "--appendonly", "yes", "--appendfsync", "always")
	}
	if o.Password != "" {
		s.args = append(s.args, "--requirepass", o.Password, "--masterauth", o.Password)
	}
	switch {
	case o.Unix:
		path := filepath.Join(s.dir, "redis.sock")
		s.Addr = "unix://" + path
		s.args = append(s.args, "--port", "0", "--unixsocket", path, "--unixsocketperm", "700")
	case o.TLS:
		s.CAFile, s.CertFile, s.KeyFile = certificate(t, s.dir)
		s.Addr = FreeAddr(t)
		s.args = append(s.args, "--port", "0", "--tls-port", port(s.Addr), "--tls-auth-clients", "no",
			"--tls-ca-cert-file", s.CAFile, "--tls-cert-file", s.CertFile, "--tls-key-file", s.KeyFile)
	default:
		s.Addr = FreeAddr(t)
		s.args = append(s.args, "--port", port(s.Addr))
	}
	s.args = append(s.args, o.Args...)
	s.Start(t)
	return s
}

// Start starts the server again on the same address, after Stop or Kill.
func (s *RedisServer) Start(t testing.TB) {
	t.Helper()
	s.process = StartProcess(t, exec.Command("redis-server", s.args...))
	client := s.Client(t)
	defer client.Close()
	WaitFor(t, "Redis to answer", func(ctx context.Context) bool {
		select {
		case <-s.process.Done():
			t.Fatalf("redis-server ended:\n%s", s.process.Output())
		default:
		}
		return client.Ping(ctx).Err() == nil
	})
}

// Stop ends the server in order.
func (s *RedisServer) Stop() { s.process.Stop() }

// Kill ends the server at once.
func (s *RedisServer) Kill() { s.process.Kill() }

// Pause stops the server where it is: connections stay open and nothing is
// answered, as when a host hangs.
func (s *RedisServer) Pause() { s.process.Signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *RedisServer) Resume() { s.process.Signal(syscall.SIGCONT) }

// TLSConfig is how a client trusts the server; nil without TLS.
func (s *RedisServer) TLSConfig(t testing.TB) *tls.Config {
	t.Helper()
	if s.CAFile == "" {
		return nil
	}
	return trust(t, s.CAFile)
}

// Client returns a client of the server for looking behind the scenes; it is
// closed when the test ends.
func (s *RedisServer) Client(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr:       strings.TrimPrefix(s.Addr, "unix://"),
		Password:   s.Password,
		TLSConfig:  s.TLSConfig(t),
		MaxRetries: -1,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
