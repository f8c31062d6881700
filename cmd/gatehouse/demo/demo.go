package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// banner stands on every page, the gateway's own included.
const banner = "This is a demonstration. Whoever opens it can be anybody; nothing is kept."

// Demo is the demonstration.
type Demo struct {
	Listen string    // host:port of the gateway; loopback only; port 0 picks a free one
	Out    io.Writer // what to open and what to try is printed here

	// Serve runs a gateway with the configuration file until ctx ends. The
	// banner goes on each of its pages. It calls ready once, when the gateway
	// listens, and ends with the error of ready if there is one.
	Serve func(ctx context.Context, config, banner string, ready func(context.Context, Directory) error) error
}

// Run runs the demonstration until ctx ends. It leaves nothing behind.
func (d *Demo) Run(ctx context.Context) (err error) {
	front, err := frontAddress(d.Listen)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	dir, err := os.MkdirTemp("", "gatehouse-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	s, err := d.build(front)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer s.close()
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, s.config(), 0o600); err != nil {
		return fmt.Errorf("demo: %w", err)
	}

	group, ctx := errgroup.WithContext(ctx)
	for _, server := range s.servers {
		group.Go(func() error {
			if err := server.http.Serve(server.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("demo: %w", err)
			}
			return nil
		})
	}
	group.Go(func() error {
		if err := s.app.post.serve(s.post); err != nil {
			return fmt.Errorf("demo: take mails: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer s.close()
		return d.Serve(ctx, config, banner, func(ctx context.Context, dir Directory) error {
			password := newPassword()
			if err := dir.Add(ctx, NewAccount{
				Username: localUser, Email: localEmail, Name: "Local Account", Password: password,
			}); err != nil {
				return fmt.Errorf("add the local account: %w", err)
			}
			s.app.know(dir)
			return hints(d.Out, s.front.url, password)
		})
	})
	return group.Wait()
}

// stage is what stands around the gateway.
type stage struct {
	front   address
	app     *app
	acme    *provider
	partner *provider
	servers []server
	post    net.Listener // of the app's postbox
}

type server struct {
	listener net.Listener
	http     *http.Server
}

// build makes the two identity providers, the application and its postbox and
// lets them listen, each on a free port of loopback.
func (d *Demo) build(front address) (_ *stage, err error) {
	s := &stage{front: front, app: newApp(front)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	callback := front.url + prefix + "/callback"
	if s.acme, err = newProvider(acme, callback); err != nil {
		return nil, err
	}
	if s.partner, err = newProvider(partner, callback); err != nil {
		return nil, err
	}
	for _, p := range []*provider{s.acme, s.partner} {
		addr, err := s.listen(p.handler(), "")
		if err != nil {
			return nil, err
		}
		p.issuer = "http://" + addr
	}
	if s.app.addr, err = s.listen(s.app.handler(), front.host); err != nil {
		return nil, err
	}
	if s.post, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	return s, nil
}

// listen adds a server on a free port of loopback and returns its address.
// Requests must name the host, or that address where host is empty.
func (s *stage) listen(handler http.Handler, host string) (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr = l.Addr().String()
	if host == "" {
		host = addr
	}
	s.servers = append(s.servers, server{l, &http.Server{
		Handler:           OnlyHost(host, handler),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
	}})
	return addr, nil
}

func (s *stage) close() {
	for _, server := range s.servers {
		server.http.Close()
		server.listener.Close()
	}
	if s.post != nil {
		s.post.Close()
	}
}

// newPassword is four groups of four from a 32-letter alphabet: 80 bits.
func newPassword() string {
	letters := strings.ToLower(rand.Text())
	return strings.Join([]string{letters[:4], letters[4:8], letters[8:12], letters[12:16]}, "-")
}
