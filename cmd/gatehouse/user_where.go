package main

import (
	"bytes"
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
	result, err := whereTheStoreIs(ctx, cfg, c, stderr)
	if err != nil {
		return failed(stderr, forPeople(err))
	}
	if _, err := stderr.Write(result.Stderr); err != nil {
		return exitFailed
	}
	if _, err := stdout.Write(result.Stdout); err != nil {
		return exitFailed
	}
	return result.Code
}

func whereTheStoreIs(ctx context.Context, cfg *config.Config, c adminsock.Command, stderr io.Writer) (adminsock.Result, error) {
	if cfg.Store.Redis != nil {
		return runHere(ctx, cfg, c, stderr)
	}
	deadline := time.Now().Add(startingTimeout)
	for {
		result, err := adminsock.Run(ctx, cfg.Server.AdminSocket, c)
		if !errors.Is(err, adminsock.ErrNobody) {
			return result, err
		}
		result, err = runHere(ctx, cfg, c, stderr)
		if !errors.Is(err, bolt.ErrLocked) {
			return result, err
		}
		if time.Now().After(deadline) {
			return adminsock.Result{}, fmt.Errorf("another process holds %s, and no server answers at %s; "+
				"is it one with another server.admin_socket?", cfg.Store.Embedded.Path, cfg.Server.AdminSocket)
		}
	}
}

// runHere opens the store in this process.
func runHere(ctx context.Context, cfg *config.Config, c adminsock.Command, stderr io.Writer) (adminsock.Result, error) {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if len(c.Args) > 0 && c.Args[0] == "explain" {
		return explainHere(ctx, cfg, c, log)
	}
	s, err := openState(ctx, cfg, log)
	if err != nil {
		return adminsock.Result{}, err
	}
	result := s.administration().run(ctx, c)
	return result, s.close()
}

// run executes a command: here, or for whoever sent it through the socket.
func (a *administration) run(ctx context.Context, c adminsock.Command) adminsock.Result {
	ctx = asAdministrator(ctx)
	var stdout, stderr bytes.Buffer
	code := exitUsage
	if len(c.Args) > 0 {
		switch c.Args[0] {
		case "user":
			code = a.user(ctx, c.Args[1:], c.Stdin, &stdout, &stderr)
		case "session":
			code = a.session(ctx, c.Args[1:], &stdout, &stderr)
		case "doctor":
			code = a.doctor(ctx, c.Args[1:], &stdout, &stderr)
		case "explain":
			code = a.explain(ctx, c.Args[1:], c.Stdin, &stdout, &stderr)
		}
	}
	return adminsock.Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Code: code}
}
