package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
	"gatehouse/internal/store/bolt"
)

const (
	// commandTimeout bounds a whole command that does not say how long it takes.
	commandTimeout = 2 * time.Minute
	// startingTimeout is how long a command waits for a server that holds the
	// embedded store and does not answer at its socket: it may be starting, or
	// stopping.
	startingTimeout = 5 * time.Second
)

// administer runs a user or session command where the store is: in the running
// server, when it holds the embedded store, so that what it cached is forgotten
// at once; otherwise here. On Redis that is always here, and the servers are
// told by message.
func administer(path string, c adminsock.Command, stdout, stderr io.Writer) int {
	cfg, _, err := config.Load(path, os.LookupEnv)
	if err != nil {
		return failed(stderr, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(c.Within, commandTimeout))
	defer cancel()
	code, err := whereTheStoreIs(ctx, cfg, c, stdout, stderr)
	if err != nil {
		return failed(stderr, forPeople(err))
	}
	return code
}

func whereTheStoreIs(ctx context.Context, cfg *config.Config, c adminsock.Command, stdout, stderr io.Writer) (int, error) {
	if cfg.Store.Redis != nil {
		return runHere(ctx, cfg, c, stdout, stderr)
	}
	deadline := time.Now().Add(startingTimeout)
	for {
		code, err := adminsock.Run(ctx, cfg.Server.AdminSocket, c, stdout, stderr)
		if !errors.Is(err, adminsock.ErrNobody) {
			return code, err
		}
		code, err = runHere(ctx, cfg, c, stdout, stderr)
		if !errors.Is(err, bolt.ErrLocked) {
			return code, err
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("another process holds %s, and no server answers at %s; "+
				"is it one with another server.admin_socket?", cfg.Store.Embedded.Path, cfg.Server.AdminSocket)
		}
	}
}

// runHere opens the store in this process. Errors: bolt.ErrLocked, after which
// nothing has happened and nothing was printed.
func runHere(ctx context.Context, cfg *config.Config, c adminsock.Command, stdout, stderr io.Writer) (code int, err error) {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	out := bufio.NewWriter(stdout)
	if len(c.Args) > 0 && c.Args[0] == "explain" {
		code, err = explainHere(ctx, cfg, c, log, out, stderr)
		return code, errors.Join(err, out.Flush())
	}
	s, err := openState(ctx, cfg, log)
	if err != nil {
		return 0, err
	}
	code = s.administration().run(ctx, c, out, stderr)
	return code, errors.Join(out.Flush(), s.close())
}

// run executes a command: here, or for whoever sent it through the socket.
func (a *administration) run(ctx context.Context, c adminsock.Command, stdout, stderr io.Writer) (code int) {
	ctx = asAdministrator(ctx)
	if len(c.Args) > 0 {
		switch c.Args[0] {
		case "user":
			return a.user(ctx, c.Args[1:], c.Stdin, stdout, stderr)
		case "session":
			return a.session(ctx, c.Args[1:], stdout, stderr)
		case "mail":
			return a.outbox(ctx, c.Args[1:], stdout, stderr)
		case "doctor":
			return a.doctor(ctx, c.Args[1:], stdout, stderr)
		case "why":
			return a.why(ctx, c.Args[1:], stdout, stderr)
		case "explain":
			return a.explain(ctx, c.Args[1:], c.Stdin, stdout, stderr)
		}
	}
	return exitUsage
}
