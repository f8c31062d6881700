package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"

	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/bolt"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/overlay"
)

// explainHere runs gatehouse explain --live in this process, on a store that
// only seems to change: not even the keys are made that every other command
// would make in an empty one.
func explainHere(ctx context.Context, cfg *config.Config, c adminsock.Command, log *slog.Logger, stdout, stderr io.Writer) (int, error) {
	below, err := openToLook(cfg.Store)
	if err != nil {
		return 0, err
	}
	s, err := newProcess(&overlay.Store{Below: below, Top: memory.New()}, &store.LocalBus{}, log).newState(ctx, cfg, nil)
	if err != nil {
		return 0, errors.Join(err, below.Close())
	}
	code := s.administration().explain(ctx, c.Args[1:], c.Stdin, stdout, stderr)
	return code, below.Close()
}

// openToLook opens a store of which nothing but reading will be asked. One that
// nobody has begun yet is empty.
func openToLook(cfg config.Store) (store.Store, error) {
	if cfg.Redis != nil {
		st, _, err := openStore(cfg)
		return st, err
	}
	st, err := bolt.OpenReadOnly(bolt.Options{Path: cfg.Embedded.Path})
	if errors.Is(err, fs.ErrNotExist) {
		return memory.New(), nil
	}
	if err != nil {
		return nil, err
	}
	return st, nil
}
