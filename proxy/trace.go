package proxy

import (
	"net/http"
	"strings"
)

// traceID returns the trace id of the request's traceparent (W3C Trace
// Context, section 3.2), 32 hexadecimal digits, or "" where there is none or
// it is not valid: a version that is not known is read as far as the known
// one, as section 4.3 has it.
func traceID(h http.Header) string {
	lines := h["Traceparent"]
	if len(lines) != 1 {
		return ""
	}
	v := lines[0]
	const whole = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(v) < whole || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return ""
	}
	version, trace, parent, flags := v[:2], v[3:35], v[36:52], v[53:whole]
	switch {
	case len(v) > whole && (version == "00" || v[whole] != '-'),
		version == "ff",
		!lowerHex(version) || !lowerHex(trace) || !lowerHex(parent) || !lowerHex(flags),
		strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "":
		return ""
	}
	return trace
}

func lowerHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// passTrace leaves a valid trace context as it was sent: Gatehouse makes no
// span, so it has nothing to change in it. One that is not valid goes, and
// its tracestate with it, as section 4.3 asks of whoever cannot parse it: the
// upstream begins its own trace instead of taking up a stranger's garbage.
func passTrace(id string, out http.Header) {
	if id != "" && out["Traceparent"] != nil {
		return
	}
	delete(out, "Traceparent")
	delete(out, "Tracestate")
}
