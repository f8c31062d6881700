package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
)

// writeConfig writes a config.yaml into a new directory that is closed to
// others and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "gatehouse")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pinger answers /ping with a status, to the host that browsers use.
func pinger(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ping" || r.Host != "gate.example" {
			http.Error(w, "not asked as it should be", http.StatusTeapot)
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	})
}

func TestPing(t *testing.T) {
	serve := func(t *testing.T, status int) *httptest.Server {
		s := httptest.NewServer(pinger(status))
		t.Cleanup(s.Close)
		return s
	}
	tests := []struct {
		name string
		// server starts what listens and says where.
		server func(t *testing.T) config.Server
		want   string // part of the error; empty: alive
	}{
		{"tcp", func(t *testing.T) config.Server {
			return config.Server{Listen: serve(t, 200).Listener.Addr().String()}
		}, ""},
		{"wildcard", func(t *testing.T) config.Server {
			_, port, _ := net.SplitHostPort(serve(t, 200).Listener.Addr().String())
			return config.Server{Listen: "0.0.0.0:" + port}
		}, ""},
		{"no host", func(t *testing.T) config.Server {
			_, port, _ := net.SplitHostPort(serve(t, 200).Listener.Addr().String())
			return config.Server{Listen: ":" + port}
		}, ""},
		{"unix", func(t *testing.T) config.Server {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			s := &http.Server{Handler: pinger(200), ReadHeaderTimeout: time.Second}
			go func() { _ = s.Serve(l) }()
			t.Cleanup(func() { _ = s.Close() })
			return config.Server{Listen: "unix://" + path}
		}, ""},
		{"tls, of an authority that nobody knows", func(t *testing.T) config.Server {
			s := httptest.NewTLSServer(pinger(200))
			t.Cleanup(s.Close)
			return config.Server{Listen: s.Listener.Addr().String(), TLS: config.TLSFiles{CertFile: "cert.pem"}}
		}, ""},
		{"draining", func(t *testing.T) config.Server {
			return config.Server{Listen: serve(t, 503).Listener.Addr().String()}
		}, "503"},
		{"something else that redirects", func(t *testing.T) config.Server {
			return config.Server{Listen: serve(t, 302).Listener.Addr().String()}
		}, "302"},
		{"nobody", func(t *testing.T) config.Server {
			s := serve(t, 200)
			s.Close()
			return config.Server{Listen: s.Listener.Addr().String()}
		}, "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := tt.server(t)
			server.PublicURL = "https://gate.example"
			err := ping(t.Context(), server)
			if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOwnAddressIPv6(t *testing.T) {
	if network, address, err := ownAddress("[::]:4180"); err != nil || network != "tcp" || address != "[::1]:4180" {
		t.Errorf("%s %s, %v", network, address, err)
	}
}

func TestHealth(t *testing.T) {
	s := httptest.NewServer(pinger(200))
	defer s.Close()
	text := func(addr string) string {
		return "server: {listen: \"" + addr + "\", public_url: \"https://gate.example\"}\n" +
			"routes: [{path: /, upstream: \"static:202\", access: public}]\n"
	}
	alive := writeConfig(t, text(s.Listener.Addr().String()))
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"alive", []string{"--config", alive}, exitOK},
		{"nobody", []string{"--config", writeConfig(t, text("127.0.0.1:1"))}, exitFailed},
		{"no file", []string{"--config", alive + ".not"}, exitFailed},
		{"bad file", []string{"--config", writeConfig(t, "server: 1\n")}, exitFailed},
		{"unknown flag", []string{"--wait"}, exitUsage},
		{"too much", []string{"now", "--config", alive}, exitUsage},
		{"help", []string{"--help"}, exitOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := runHealth(tt.args, &stdout, &stderr); got != tt.want {
				t.Errorf("exit code %d, want %d\n%s%s", got, tt.want, &stdout, &stderr)
			}
			if tt.want != exitOK && stderr.Len() == 0 {
				t.Error("it says nothing")
			}
		})
	}
}
