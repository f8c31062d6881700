package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: t.Name()}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{cert: cert, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	writePEM(t, a.file, "CERTIFICATE", a.sign(t, cert, key))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(t *testing.T, cert *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// issue writes a certificate for a name and its key.
func (a *authority) issue(t *testing.T, name, certFile, keyFile string) {
	t.Helper()
	key := newKey(t)
	der := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key)
	writePEM(t, certFile, "CERTIFICATE", der)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, keyFile, "PRIVATE KEY", der)
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secureApplication answers with the protocol, the name that was asked for
// and the name in the certificate that it was shown, over one connection a
// request.
func secureApplication(t *testing.T, server, clients *authority) string {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	server.issue(t, "app.internal", certFile, keyFile)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			shown = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		w.Header().Set("Connection", "close")
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.TLS.ServerName, shown)
	}))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	if clients != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		s.TLS.ClientCAs.AddCert(parsed(t, clients.file))
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func parsed(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestUpstreamTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ours.issue(t, "gate.internal", file("cert.pem"), file("key.pem"))
	theirs.issue(t, "stranger.internal", file("other.pem"), file("other.key"))
	app, asking := secureApplication(t, ours, nil), secureApplication(t, ours, ours)

	trusting := config.UpstreamTLS{CAFile: ours.file, ServerName: "app.internal"}
	with := func(change func(*config.UpstreamTLS)) config.UpstreamTLS {
		c := trusting
		change(&c)
		return c
	}
	tests := []struct {
		path, upstream string
		tls            config.UpstreamTLS
		status         int
		want           string
	}{
		{"/trusted", app, trusting, 200, "HTTP/2.0 app.internal nobody"},
		{"/no-name", app, with(func(c *config.UpstreamTLS) { c.ServerName = "" }), 502, ""},
		{"/other-name", app, with(func(c *config.UpstreamTLS) { c.ServerName = "other.internal" }), 502, ""},
		{"/other-authority", app, with(func(c *config.UpstreamTLS) { c.CAFile = theirs.file }), 502, ""},
		{"/system", app, config.UpstreamTLS{ServerName: "app.internal"}, 502, ""},
		{"/anybody", app, config.UpstreamTLS{ServerName: "any.internal", InsecureSkipVerify: true}, 200, "HTTP/2.0 any.internal nobody"},
		{"/unshown", asking, trusting, 502, ""},
		{"/shown", asking, with(func(c *config.UpstreamTLS) { c.CertFile, c.KeyFile = file("cert.pem"), file("key.pem") }), 200, "HTTP/2.0 app.internal gate.internal"},
		{"/stranger", asking, with(func(c *config.UpstreamTLS) { c.CertFile, c.KeyFile = file("other.pem"), file("other.key") }), 502, ""},
	}
	cfg := defaults()
	for _, tt := range tests {
		cfg.Routes = append(cfg.Routes, config.Route{Path: tt.path, Access: public, Upstream: tt.upstream, UpstreamTLS: tt.tls})
	}
	cfg.Routes = to("", cfg.Routes...)
	f := start(t, cfg, somebody())
	for _, tt := range tests {
		resp := f.get(t, tt.path, "")
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != tt.status || tt.want != "" && string(body) != tt.want {
			t.Errorf("%s: %d %q, want %d %q", tt.path, resp.StatusCode, body, tt.status, tt.want)
		}
		if tt.status == 502 && strings.Contains(string(body), "x509") {
			t.Errorf("%s: the page shows the error itself", tt.path)
		}
	}
}

// TestUpstreamTLSIsRenewed: certificates of a service mesh live for hours. New
// files count from the next connection on; half of a pair changes nothing.
func TestUpstreamTLSIsRenewed(t *testing.T) {
	ours := newAuthority(t)
	asking := secureApplication(t, ours, ours)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ours.issue(t, "first.internal", certFile, keyFile)
	cfg := defaults()
	cfg.Routes = to(asking, config.Route{Path: "/", Access: public, UpstreamTLS: config.UpstreamTLS{
		CAFile: ours.file, ServerName: "app.internal", CertFile: certFile, KeyFile: keyFile,
	}})
	f := start(t, cfg, somebody())
	wants := func(name string) {
		t.Helper()
		resp := f.get(t, "/", "")
		body, _ := io.ReadAll(resp.Body)
		if got := string(body); resp.StatusCode != 200 || !strings.HasSuffix(got, " "+name) {
			t.Errorf("%d %q, want %s", resp.StatusCode, got, name)
		}
		f.Close() // no connection is left from before
	}
	wants("first.internal")
	if err := os.WriteFile(certFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	wants("first.internal")
	wants("first.internal")
	const complaint = "files of upstream_tls cannot be used"
	if n := strings.Count(f.log.String(), complaint); n != 1 {
		t.Errorf("%d complaints, want one:\n%s", n, f.log.String())
	}
	ours.issue(t, "second.internal", certFile, keyFile)
	wants("second.internal")
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil {
		t.Error("a gateway begins without its files")
	}
}
