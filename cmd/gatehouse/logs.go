package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"gatehouse/internal/config"
)

// newLogger logs by the configuration, which is valid.
func newLogger(cfg config.Log, w io.Writer) *slog.Logger { return slog.New(newHandler(cfg, w)) }

func newHandler(cfg config.Log, w io.Writer) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level))
	o := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" {
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}

// logs is the log of a server. Another level and another format are those of all
// loggers that were made of it, also of what outlives a configuration.
type logs struct {
	to  io.Writer
	now atomic.Pointer[slog.Handler]
}

// set makes the log that of a configuration.
func (l *logs) set(cfg config.Log) {
	h := newHandler(cfg, l.to)
	l.now.Store(&h)
}

// logger needs set before it.
func (l *logs) logger() *slog.Logger { return slog.New(changingHandler{logs: l}) }

// changingHandler hands each record to the handler of now.
type changingHandler struct {
	logs *logs
	with func(slog.Handler) slog.Handler // what With and WithGroup have asked for; nil: nothing
}

func (h changingHandler) handler() slog.Handler {
	now := *h.logs.now.Load()
	if h.with == nil {
		return now
	}
	return h.with(now)
}

func (h changingHandler) and(more func(slog.Handler) slog.Handler) slog.Handler {
	before := h.with
	if before == nil {
		return changingHandler{h.logs, more}
	}
	return changingHandler{h.logs, func(n slog.Handler) slog.Handler { return more(before(n)) }}
}

func (h changingHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return (*h.logs.now.Load()).Enabled(ctx, level)
}

func (h changingHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.handler().Handle(ctx, r)
}

func (h changingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(n slog.Handler) slog.Handler { return n.WithAttrs(attrs) })
}

func (h changingHandler) WithGroup(name string) slog.Handler {
	return h.and(func(n slog.Handler) slog.Handler { return n.WithGroup(name) })
}
