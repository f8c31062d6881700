package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"gatehouse/internal/config"
)

// upstreamTLS makes connections to an upstream that has an authority, or asks
// for a certificate, of its own. Files are read again for each new connection:
// beside a handshake it costs nothing, and renewals need no restart.
type upstreamTLS struct {
	config.UpstreamTLS
	host    string
	dialer  *net.Dialer
	timeout time.Duration // of connecting, and then of the handshake
	one     bool          // HTTP/1 only
	warn    func(msg string, args ...any)

	mu     sync.Mutex
	good   *tls.Config
	failed string // why the files could not be used: said once
}

// open reads the files for the first time.
func (u *upstreamTLS) open() (err error) {
	u.good, err = u.load()
	return err
}

// load makes a configuration of the files as they are.
func (u *upstreamTLS) load() (*tls.Config, error) {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: u.host, NextProtos: []string{"h2", "http/1.1"},
		InsecureSkipVerify: u.InsecureSkipVerify, // as the file says; check warns of it
	}
	if u.one {
		c.NextProtos = c.NextProtos[1:]
	}
	if u.ServerName != "" {
		c.ServerName = u.ServerName
	}
	if u.CAFile != "" {
		text, err := os.ReadFile(u.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read upstream_tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("read upstream_tls.ca_file: no certificate in it")
		}
	}
	if u.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(u.CertFile, u.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read upstream_tls.cert_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// current is load, or the last good configuration where the files cannot be
// used, as in the middle of a renewal.
func (u *upstreamTLS) current() *tls.Config {
	fresh, err := u.load()
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil:
		u.good, u.failed = fresh, ""
	case err.Error() != u.failed:
		u.failed = err.Error()
		u.warn("files of upstream_tls cannot be used; those before stand", "error", err)
	}
	return u.good
}

// dial is http.Transport.DialTLSContext.
func (u *upstreamTLS) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := u.dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	t := tls.Client(c, u.current())
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return t, nil
}
