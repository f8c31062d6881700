package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"gatehouse/internal/config"
)

// certificate is what the public listener shows. A renewal needs no restart, and
// ends no connection.
type certificate struct {
	now atomic.Pointer[tls.Certificate]
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil }

// set reports whether the pair is another one than before.
func (c *certificate) set(pair *tls.Certificate) (another bool) {
	old := c.now.Swap(pair)
	return old != nil && pair != nil && !bytes.Equal(old.Certificate[0], pair.Certificate[0])
}

// loadCertificate reads a pair of files; nil where none are named.
func loadCertificate(files config.TLSFiles) (*tls.Certificate, error) {
	if files.CertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return &pair, nil
}
