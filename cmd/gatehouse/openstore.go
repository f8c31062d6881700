package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/bolt"
	"gatehouse/internal/store/redis"
)

// openStore opens the store that the configuration names and the bus that
// tells replicas of changes: Redis is both, the embedded store has no replicas
// to tell. A Redis that does not answer shows at the first operation.
func openStore(cfg config.Store) (store.Store, store.Bus, error) {
	if cfg.Redis == nil {
		st, err := bolt.Open(bolt.Options{Path: cfg.Embedded.Path})
		if err != nil {
			return nil, nil, fmt.Errorf("open the embedded store: %w", err)
		}
		return st, &store.LocalBus{}, nil
	}
	tlsConfig, err := redisTLS(cfg.Redis.TLS)
	if err != nil {
		return nil, nil, fmt.Errorf("open redis: %w", err)
	}
	st, err := redis.New(redis.Options{
		Mode:       cfg.Redis.Mode,
		Addresses:  cfg.Redis.Addresses,
		MasterName: cfg.Redis.MasterName,
		Username:   cfg.Redis.Username,
		Password:   cfg.Redis.Password.Reveal(),
		DB:         cfg.Redis.DB,
		TLS:        tlsConfig,
		KeyPrefix:  cfg.Redis.KeyPrefix,
		Timeout:    cfg.Redis.Timeout,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open redis: %w", err)
	}
	return st, st, nil
}

// redisTLS is nil where TLS is off. The system's authorities are believed
// unless the file names its own.
func redisTLS(cfg config.RedisTLS) (*tls.Config, error) {
	if !cfg.Enabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		var err error
		if c.RootCAs, err = authorities(cfg.CAFile); err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
	}
	if cfg.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// authorities are those of a file in PEM.
func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("there is no certificate in it")
	}
	return pool, nil
}

// warnOfEviction says so when Redis may drop accounts to make room.
func warnOfEviction(ctx context.Context, st *redis.Store, log *slog.Logger) {
	policy, err := st.EvictionPolicy(ctx)
	switch {
	case err != nil:
		log.Warn("cannot tell whether redis may evict accounts; see that maxmemory-policy is noeviction", "error", err)
	case policy != "noeviction":
		log.Warn("REDIS MAY EVICT ACCOUNTS: set maxmemory-policy to noeviction", "maxmemory_policy", policy)
	}
}
