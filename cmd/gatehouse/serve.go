package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"gatehouse/internal/config"
)

const serveUsage = `usage: gatehouse serve [--config config.yaml]

Runs the gateway until it is told to end (SIGTERM, SIGINT): it then takes no
new connections and lets running requests finish. Logs go to standard error.

  --config F  the file

Exit code 0: it ended as it was told; 1: it could not start, or failed; 2: usage.
`

// runServe is the command gatehouse serve.
func runServe(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("serve")
	path := flags.String("config", defaultConfig, "")
	if code, done := parseCommand(flags, serveUsage, args, stdout, stderr); done {
		return code
	}
	cfg, warnings, err := config.Load(*path, os.LookupEnv)
	if err != nil {
		return failed(stderr, err)
	}
	log := newLogger(cfg.Log, stderr)
	for _, w := range warnings {
		log.Warn(w.Message, "code", w.Code, "line", w.Line, "key", w.Path)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	a, err := openApp(ctx, cfg, log, "")
	if err != nil {
		log.Error("the gateway cannot start", "error", err)
		return exitFailed
	}
	if err := a.serve(ctx, nil); err != nil {
		log.Error("the gateway has failed", "error", err)
		return exitFailed
	}
	return exitOK
}

// newLogger logs by the configuration, which is valid.
func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level))
	o := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// serve runs the gateway until ctx ends, and closes it. Ready, where there is
// one, is called once it listens, and an error of it ends it.
func (p *process) serve(ctx context.Context, ready func(context.Context) error) (err error) {
	defer func() { err = errors.Join(err, p.close()) }()
	return p.run(ctx, ready)
}
