package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"gatehouse/auth"
	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
	"gatehouse/test/servers"
)

const goodPassword = "correct horse battery"

// place is where commands find their store.
type place struct {
	config string // path of config.yaml
	server *state // nil: none runs
}

const routesText = "routes: [{path: /, upstream: \"static:202\", access: authenticated}]\n"

// places are the situations in which the commands must work alike. More is
// what their configuration has beside the store.
func places(t *testing.T, more ...string) map[string]func(t *testing.T) *place {
	t.Helper()
	writeConfig := func(t *testing.T, text string) string { return writeConfig(t, text+strings.Join(more, "")) }
	return map[string]func(t *testing.T) *place{
		"embedded, no server": func(t *testing.T) *place {
			return &place{config: writeConfig(t, routesText)}
		},
		"embedded, server runs": func(t *testing.T) *place {
			p := &place{config: writeConfig(t, routesText)}
			p.serve(t)
			return p
		},
		"redis, no server": func(t *testing.T) *place {
			return &place{config: writeConfig(t, redisText(servers.Redis(t, servers.RedisOptions{}).Addr))}
		},
		"redis, server runs": func(t *testing.T) *place {
			p := &place{config: writeConfig(t, redisText(servers.Redis(t, servers.RedisOptions{}).Addr))}
			p.serve(t)
			return p
		},
	}
}

func redisText(addr string) string {
	return routesText + "store: {redis: {addresses: [\"" + addr + "\"], timeout: 5s}}\n"
}

func (p *place) load(t *testing.T) *config.Config {
	t.Helper()
	cfg, _, err := config.Load(p.config, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// serve starts what a server offers to the commands.
func (p *place) serve(t *testing.T) {
	t.Helper()
	cfg := p.load(t)
	a, err := openState(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.server = a
	s := &adminsock.Server{Log: slog.New(slog.DiscardHandler), Run: a.administration().run}
	if err := s.Listen(cfg.Server.AdminSocket); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-done, a.close()); err != nil {
			t.Error(err)
		}
	})
}

// use opens the place as the server does, or is the server.
func (p *place) use(t *testing.T, f func(a *state)) {
	t.Helper()
	if p.server != nil {
		f(p.server)
		return
	}
	a, err := openState(t.Context(), p.load(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f(a)
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

func (p *place) command(stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	args = append(args, "--config", p.config)
	code := run(args, strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// must runs a command that has to succeed.
func (p *place) must(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	r := p.command(stdin, args...)
	if r.code != exitOK {
		t.Fatalf("%q: exit code %d\n%s", args, r.code, r.stderr)
	}
	return r
}

// refused runs a command that has to fail and say so.
func (p *place) refused(t *testing.T, want string, args ...string) {
	t.Helper()
	r := p.command("", args...)
	if r.code != exitFailed || !strings.Contains(r.stderr, want) || r.stdout != "" {
		t.Errorf("%q: exit code %d, %q, want 1 and %q", args, r.code, r.stdout+r.stderr, want)
	}
}

// shown reads what show --json prints.
func (p *place) shown(t *testing.T, name string) accountView {
	t.Helper()
	var v accountView
	dec := json.NewDecoder(strings.NewReader(p.must(t, "", "user", "show", name, "--json").stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// signIn gives the account a session and returns whether it still counts.
func (p *place) signIn(t *testing.T, account string) (id string, alive func() bool) {
	t.Helper()
	p.use(t, func(a *state) {
		s, err := a.sessions.Start(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), auth.Session{
			Account:  account,
			Identity: auth.Identity{Connection: auth.Local, Subject: account, AMR: []string{"pwd"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		id = s.ID
	})
	return id, func() (found bool) {
		p.use(t, func(a *state) {
			err := a.sessions.List(t.Context(), func(s *auth.Session) error {
				found = found || s.ID == id
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		return found
	}
}
