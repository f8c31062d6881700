// Package auditlog writes the lines that say what was decided about people: who
// signed in, who was refused and why, which account an identity is, what an
// administrator changed. It owns the mark by which they are told from all
// other lines, "audit": true, and nothing else.
//
// There is one line for each decision, its message is the name of the event,
// and one key means the same in every line. What was typed, and what opens
// anything (a password, code, token, cookie or link), is never in one: that is
// up to the callers, who name the fields.
package auditlog

import (
	"context"
	"log/slog"
)

// Write writes the line of an event; to a nil logger nothing.
func Write(ctx context.Context, log *slog.Logger, event string, attrs ...slog.Attr) {
	if log == nil {
		return
	}
	log.LogAttrs(ctx, slog.LevelInfo, event, append(attrs[:len(attrs):len(attrs)], slog.Bool("audit", true))...)
}
