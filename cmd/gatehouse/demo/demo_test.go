package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gatehouse/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// people is a Directory in memory.
type people struct {
	mu    sync.Mutex
	added []NewAccount
	err   error
	known map[string]Account
}

func (p *people) Add(_ context.Context, a NewAccount) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.added = append(p.added, a)
	return p.err
}

func (p *people) Account(_ context.Context, user string) (Account, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.known[user]
	return a, ok, p.err
}

func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	var folder string
	users := &people{}
	d := &Demo{
		Listen: "127.0.0.1:0",
		Out:    &out,
		Serve: func(ctx context.Context, path, banner string, ready func(context.Context, Directory) error) error {
			folder = filepath.Dir(path)
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the configuration is open to others: %v %v", info.Mode(), err)
			}
			if banner == "" {
				t.Error("the gateway's pages would not say that this is a demonstration")
			}
			c, warnings, err := config.Load(path, nil)
			if err != nil {
				t.Fatalf("the gateway refuses the configuration: %v", err)
			}
			// That both providers may assert one address is what the
			// demonstration is about; nothing else may be odd.
			for _, w := range warnings {
				if w.Code != config.WarnEmailShared {
					t.Errorf("the configuration is warned about: %v", w)
				}
			}
			if err := ready(ctx, users); err != nil {
				return err
			}
			jit := map[string]bool{}
			for _, connection := range c.Connections {
				jit[connection.ID] = connection.JIT.Enabled
				refusesOtherHosts(t, connection.Issuer+"/.well-known/openid-configuration", http.StatusOK)
			}
			if diff := cmp.Diff(map[string]bool{"acme": true, "partner": false}, jit); diff != "" {
				t.Errorf("connections (-want +got):\n%s", diff)
			}
			// The application is reached through the gateway only, which
			// passes on the host that the browser named.
			refusesOtherHosts(t, c.Routes[0].Upstream+"/", http.StatusMisdirectedRequest)
			for _, route := range c.Routes {
				if route.Host != "localhost" {
					t.Errorf("the route %s answers to host %q", route.Path, route.Host)
				}
			}
			stop()
			<-ctx.Done()
			return nil
		},
	}
	if err := d.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the run is still there: %v", err)
	}
	if len(users.added) != 1 {
		t.Fatalf("%d accounts were added", len(users.added))
	}
	a := users.added[0]
	if a.Username != localUser || a.Email != localEmail || len(a.Password) < 16 || !strings.Contains(out.String(), a.Password) {
		t.Errorf("the account %+v does not match what was printed:\n%s", a, out.String())
	}
}

// A page on the Internet that lets its own name resolve to 127.0.0.1 must not
// be able to read from the demonstration's servers (DNS rebinding).
func refusesOtherHosts(t *testing.T, url string, own int) {
	t.Helper()
	for host, want := range map[string]int{"": own, "evil.example": http.StatusMisdirectedRequest, "127.0.0.1": http.StatusMisdirectedRequest, "localhost:1": http.StatusMisdirectedRequest} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.Close = host, true
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != want {
			t.Errorf("%s with Host %q: %d, want %d", url, host, resp.StatusCode, want)
		}
		// Whoever is refused learns the right address, and nothing of the wrong one.
		if host != "" && (!strings.Contains(string(body), `<a href="http://`) || strings.Contains(string(body), "evil")) {
			t.Errorf("%s with Host %q does not say where to go:\n%s", url, host, body)
		}
	}
}

func TestRunLeavesNothingBehind(t *testing.T) {
	trouble := errors.New("trouble")
	for _, c := range []struct {
		name  string
		users *people
		serve func(ready func(context.Context, Directory) error, users *people) error
	}{
		{"the gateway does not start", &people{}, func(func(context.Context, Directory) error, *people) error { return trouble }},
		{"the store does not take the account", &people{err: trouble}, func(ready func(context.Context, Directory) error, users *people) error {
			return ready(context.Background(), users)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var folder string
			d := &Demo{Listen: "localhost:0", Out: &bytes.Buffer{}, Serve: func(_ context.Context, path, _ string, ready func(context.Context, Directory) error) error {
				folder = filepath.Dir(path)
				return c.serve(ready, c.users)
			}}
			if err := d.Run(t.Context()); !errors.Is(err, trouble) {
				t.Errorf("Run: %v, want the trouble", err)
			}
			if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder of the run is still there: %v", err)
			}
		})
	}
}

// Whoever reaches the demonstration can be anybody in it, so no other machine
// may reach it.
func TestListensOnLoopbackOnly(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:4180", ":4180", "[::]:4180", "192.0.2.1:4180", "gate.example:4180", "127.0.0.1", "unix:///tmp/x", ""} {
		d := &Demo{Listen: listen, Out: &bytes.Buffer{}, Serve: func(context.Context, string, string, func(context.Context, Directory) error) error {
			t.Errorf("the demonstration starts on %q", listen)
			return nil
		}}
		if err := d.Run(t.Context()); err == nil {
			t.Errorf("%q: no error", listen)
		}
	}
}

func TestFrontAddress(t *testing.T) {
	for listen, want := range map[string]address{
		"127.0.0.1:4180": {"127.0.0.1:4180", "localhost:4180", "http://localhost:4180"},
		"localhost:4180": {"127.0.0.1:4180", "localhost:4180", "http://localhost:4180"},
		"127.0.0.7:80":   {"127.0.0.7:80", "127.0.0.7:80", "http://127.0.0.7:80"},
		"[::1]:4180":     {"[::1]:4180", "[::1]:4180", "http://[::1]:4180"},
	} {
		got, err := frontAddress(listen)
		if err != nil {
			t.Errorf("%s: %v", listen, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(address{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", listen, diff)
		}
		if _, _, err := net.SplitHostPort(got.host); err != nil {
			t.Error(err)
		}
	}
}
