package main

import (
	"context"
	"errors"
	"io"
	stdlog "log"
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
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from now on: one that comes too early must not end the process
	defer signal.Stop(hangups)
	watch := &config.Watch{Path: *path, Env: os.LookupEnv}
	cfg, warnings, err := watch.Load()
	if err != nil {
		return failed(stderr, err)
	}
	logs := &logs{to: stderr}
	logs.set(cfg.Log)
	log := logs.logger()
	// What net/http says of an application that breaks its protocol.
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(log.Handler(), slog.LevelDebug).Writer())
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
	a.reloader = newReloader(a.process, watch, logs, hangups)
	if err := a.serve(ctx, nil); err != nil {
		log.Error("the gateway has failed", "error", err)
		return exitFailed
	}
	return exitOK
}

// serve runs the gateway until ctx ends, and closes it. Ready, where there is
// one, is called once it listens, and an error of it ends it.
func (p *process) serve(ctx context.Context, ready func(context.Context) error) (err error) {
	defer func() { err = errors.Join(err, p.close()) }()
	return p.run(ctx, ready)
}
