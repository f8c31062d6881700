package auditlog_test

import (
	"bytes"
	"log/slog"
	"testing"

	"gatehouse/internal/auditlog"
)

func TestWrite(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	attrs := make([]slog.Attr, 1, 2)
	attrs[0] = slog.String("account", "1")
	auditlog.Write(t.Context(), log, "sign_in", attrs...)
	auditlog.Write(t.Context(), log, "sign_out")
	auditlog.Write(t.Context(), nil, "nowhere")
	if want := "level=INFO msg=sign_in account=1 audit=true\nlevel=INFO msg=sign_out audit=true\n"; out.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", out.String(), want)
	}
	if spare := attrs[:2][1]; spare.Key != "" {
		t.Errorf("the caller's own fields were written into: %v", spare)
	}
}
