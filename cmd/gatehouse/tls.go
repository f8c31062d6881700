package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate serves a certificate from two files and reads them again when
// they have changed, so that a renewal needs no restart.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]stamp
	failed  *[2]stamp // of files that could not be used: said once
	checked time.Time
}

// stamp tells two versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

// recheck is how often the files are looked at; between looks a handshake
// costs no system call.
const recheck = time.Second

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load reads both files. The stamps are taken first: a file that changes in
// between is then read once more.
func (c *certificate) load() error {
	stamps, err := c.stamps()
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	c.current, c.stamp, c.checked = &pair, stamps, time.Now()
	return nil
}

func (c *certificate) stamps() (s [2]stamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, statErr := os.Stat(name)
		if statErr != nil {
			err = statErr
			continue
		}
		s[i] = stamp{info.ModTime(), info.Size()}
	}
	return s, err
}

// get is tls.Config.GetCertificate. A pair that cannot be read, such as one
// half of a renewal, leaves the last good one in place.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < recheck {
		return c.current, nil
	}
	c.checked = time.Now()
	stamps, _ := c.stamps() // zero for files that are not there
	if stamps == c.stamp || c.failed != nil && stamps == *c.failed {
		return c.current, nil
	}
	if err := c.load(); err != nil {
		c.failed = &stamps
		c.log.Error("certificate kept: the new one cannot be read", "error", err)
		return c.current, nil
	}
	c.failed = nil
	c.log.Info("certificate reloaded", "file", c.certFile)
	return c.current, nil
}
