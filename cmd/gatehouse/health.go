package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"gatehouse/internal/config"
)

const healthUsage = `usage: gatehouse health [--config config.yaml]

Asks the server that runs with this configuration on this machine whether it is
alive. Exit code 0: it is; 1: it is not.
`

// healthTimeout is how long a living server may take to answer.
const healthTimeout = 3 * time.Second

// runHealth is the command gatehouse health.
func runHealth(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("health")
	path := flags.String("config", defaultConfig, "")
	if code, done := parseCommand(flags, healthUsage, args, stdout, stderr); done {
		return code
	}
	cfg, _, err := config.Load(*path, os.LookupEnv)
	if err != nil {
		return failed(stderr, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	if err := ping(ctx, cfg.Server); err != nil {
		fmt.Fprintf(stderr, "gatehouse health: %s: %v\n", cfg.Server.Listen, err)
		return exitFailed
	}
	fmt.Fprintln(stdout, "alive")
	return exitOK
}

// ping asks the server's own listener for /ping.
func ping(ctx context.Context, server config.Server) error {
	network, address, err := ownAddress(server.Listen)
	if err != nil {
		return err
	}
	target := url.URL{Scheme: "http", Host: "localhost", Path: "/ping"}
	if server.TLS.CertFile != "" {
		target.Scheme = "https"
	}
	if public, err := url.Parse(server.PublicURL); err == nil && public.Host != "" {
		target.Host = public.Host // a host that the server knows
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	client := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			},
			// The connection does not leave this machine, says nothing secret and
			// is asked for one status; the certificate may be of a name or an
			// authority that this machine does not know.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: target.Hostname()},
		},
	}
	resp, err := client.Do(req)
	if err != nil {
		return cause(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/ping answers %s", resp.Status)
	}
	return nil
}

// ownAddress is where this machine reaches what listens at server.listen: the
// wildcard addresses are no addresses to connect to.
func ownAddress(listen string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(listen, "unix://"); ok {
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", "", err
	}
	if ip := net.ParseIP(host); host == "" || ip.Equal(net.IPv4zero) {
		host = "127.0.0.1"
	} else if ip.Equal(net.IPv6unspecified) {
		host = "::1"
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// cause strips the URL from an error of net/http: people know what they asked.
func cause(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
}
