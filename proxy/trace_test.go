package proxy

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/internal/config"
)

const (
	traceOfTest = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + traceOfTest + "-b7ad6b7169203331-01"
)

var traceparents = []struct {
	name  string
	sent  []string
	valid bool
}{
	{"whole", []string{traceparent}, true},
	{"not sampled", []string{"00-" + traceOfTest + "-b7ad6b7169203331-00"}, true},
	{"later version", []string{"cc-" + traceOfTest + "-b7ad6b7169203331-01"}, true},
	{"later version with more", []string{"cc-" + traceOfTest + "-b7ad6b7169203331-01-what-the-future-holds"}, true},
	{"later version with more that is not set apart", []string{"cc-" + traceOfTest + "-b7ad6b7169203331-01.more"}, false},
	{"more than this version has", []string{traceparent + "-more"}, false},
	{"version that is none", []string{"ff-" + traceOfTest + "-b7ad6b7169203331-01"}, false},
	{"capital letters", []string{strings.ToUpper(traceparent)}, false},
	{"trace of zeros", []string{"00-00000000000000000000000000000000-b7ad6b7169203331-01"}, false},
	{"parent of zeros", []string{"00-" + traceOfTest + "-0000000000000000-01"}, false},
	{"no hexadecimal", []string{"00-" + traceOfTest[:31] + "\"-b7ad6b7169203331-01"}, false},
	{"flags that are none", []string{"00-" + traceOfTest + "-b7ad6b7169203331-0x"}, false},
	{"short", []string{traceparent[:54]}, false},
	{"other separators", []string{strings.ReplaceAll(traceparent, "-", "_")}, false},
	{"empty", []string{""}, false},
	{"twice", []string{traceparent, traceparent}, false},
	{"none", nil, false},
}

// TestTraceContextIsPassedOn: a valid one as it was sent, and of a broken one
// nothing. The trace's id is in the access log.
func TestTraceContextIsPassedOn(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	for _, tt := range traceparents {
		t.Run(tt.name, func(t *testing.T) {
			headers := []string{"tracestate: acme=1,b=2", "tracestate: c=3"}
			for _, line := range tt.sent {
				headers = append(headers, "traceparent: "+line)
			}
			before := len(f.log.requests(t))
			f.get(t, "/", "", headers...)
			r := app.got()
			parent, state := strings.Join(r.Header["Traceparent"], "|"), strings.Join(r.Header["Tracestate"], "|")
			want, wantState, wantID := "", "", any(nil)
			if tt.valid {
				want, wantState, wantID = strings.Join(tt.sent, "|"), "acme=1,b=2|c=3", traceOfTest
			}
			if parent != want || state != wantState {
				t.Errorf("forwarded traceparent %q and tracestate %q, want %q and %q", parent, state, want, wantState)
			}
			waitFor(t, "the line", func() bool { return len(f.log.requests(t)) > before })
			if got := f.log.requests(t)[before]["trace_id"]; got != wantID {
				t.Errorf("the log says %v, want %v", got, wantID)
			}
		})
	}
}

// TestTraceThatTheClientTakesBack: what Connection names does not pass, and a
// tracestate is worth nothing without its traceparent.
func TestTraceThatTheClientTakesBack(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	f.raw(t, "GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close, traceparent\r\ntraceparent: "+traceparent+"\r\ntracestate: a=1\r\n\r\n")
	if h := app.got().Header; h["Traceparent"] != nil || h["Tracestate"] != nil {
		t.Errorf("forwarded %v %v", h["Traceparent"], h["Tracestate"])
	}
}

func FuzzTraceID(f *testing.F) {
	for _, tt := range traceparents {
		if len(tt.sent) == 1 {
			f.Add(tt.sent[0])
		}
	}
	f.Fuzz(func(t *testing.T, sent string) {
		id := traceID(http.Header{"Traceparent": {sent}})
		if id == "" {
			return
		}
		if len(id) != 32 || !lowerHex(id) || strings.Trim(id, "0") == "" || !strings.HasPrefix(sent[3:], id) {
			t.Errorf("%q has the id %q", sent, id)
		}
	})
}
