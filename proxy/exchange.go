package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/clientip"
	"gatehouse/internal/web"
)

// exchange is one request and its answer: what was found out on the way, and
// the ResponseWriter that sees the status.
type exchange struct {
	http.ResponseWriter
	gateway *Gateway
	id      string
	peer    clientip.Peer
	start   time.Time
	target  target
	route   *route

	original original // what a trusted proxy asks about; zero: nothing

	forwarded target   // what the upstream is asked for: without a stripped prefix
	url       *url.URL // of the same

	person  *auth.Person // nil: nobody, or not asked
	body    *requestBody // nil: none
	idle    *idleClock   // nil: none
	tunnel  *tunnel      // nil: not upgraded
	trace   string       // id of the trace that the request is part of; "": none
	verdict string       // what was decided; "": nothing yet
	told    *route       // of a page of ours that tells why it refuses somebody
	inquiry inquiry      // what an asking proxy wants to know; zero: nothing
	limited bool         // the answer has a deadline
	refused bool         // nothing may tell an asking proxy that it may pass
	reason  string       // why it was refused: a stable code
	err     error        // what was malformed; nil: the reason says it all

	status   int
	bytes    int64         // of the answer
	informed int           // informational answers (1xx)
	unheard  bool          // the client takes no more of it
	sent     time.Time     // to the upstream
	upstream time.Duration // until the head of its answer; 0: none came

	// Of guarded exchanges; see open.go.
	mu      sync.Mutex
	request *http.Request // nil once the exchange is over
	cancel  context.CancelCauseFunc
	checked time.Time // last found in order
	cut     error     // why it was cut; nil: it was not
}

// maxInformed bounds the informational answers (1xx) of one exchange that are
// passed on: an upstream may send them without end, until its time is over.
const maxInformed = 32

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return x
}

// introduce tells handlers of our own, and pages, what they ask the context
// for. A proxied request is spared the cost.
func (x *exchange) introduce(r *http.Request) *http.Request {
	return r.WithContext(web.WithRequestID(clientip.With(r.Context(), x.peer), x.id))
}

// WriteHeader notes the status. Informational answers pass on the way through
// httputil.ReverseProxy without its ModifyResponse, so they are cleaned here;
// after them it has cleared all headers, ours too.
func (x *exchange) WriteHeader(status int) {
	if status == http.StatusContinue {
		// The server says it by itself when the upstream begins to take the body:
		// the upstream's own would be a second one, or one that nobody asked for.
		return
	}
	if id := x.Header()["X-Request-Id"]; len(id) != 1 || id[0] != x.id {
		x.Header()["X-Request-Id"] = []string{x.id}
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		if x.informed++; x.informed > maxInformed {
			return
		}
		x.gateway.cookies.refuse(x.Header())
		if x.route != nil {
			x.route.response.remove(x.Header())
		}
		x.ResponseWriter.WriteHeader(status)
		return
	}
	if x.refused && status < 300 {
		// Whoever asks for a verdict would take it for one.
		status = http.StatusForbidden
	}
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	x.idle.heard(n)
	x.unheard = x.unheard || err != nil
	return n, err
}

// Unwrap lets http.ResponseController reach Flush and Hijack.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Flush is http.Flusher. What was written before may be taken only now.
func (x *exchange) Flush() {
	if http.NewResponseController(x.ResponseWriter).Flush() == nil {
		x.idle.heard(1)
	}
}

// traffic is the bytes of the body and of the answer that have passed so far,
// without their heads; of an upgraded connection all that came after.
func (x *exchange) traffic() (in, out int64) {
	if x.body != nil {
		in = x.body.received.Load()
	}
	if x.tunnel != nil {
		return in + x.tunnel.in.Load(), x.tunnel.out.Load()
	}
	return in, x.bytes
}

// log writes the access log's line. The path is the one that was sent, without
// the query, which may hold codes and tokens.
func (x *exchange) log(r *http.Request, log *slog.Logger, took time.Duration) {
	if !log.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	in, out := x.traffic()
	attrs := make([]slog.Attr, 0, 21)
	attrs = append(attrs,
		slog.String("request_id", x.id),
		slog.String("client", x.peer.String()),
		slog.String("method", r.Method),
		slog.String("host", r.Host),
		slog.String("path", x.target.path),
		slog.String("verdict", x.verdict),
		slog.Int("status", x.status),
		slog.Int64("bytes", out),
		slog.Int64("bytes_in", in),
		slog.Duration("duration", took),
	)
	if x.upstream > 0 {
		attrs = append(attrs, slog.Duration("upstream_duration", x.upstream))
	}
	if x.route != nil {
		attrs = append(attrs, slog.String("route", x.route.name))
	}
	if judged := x.inquiry.route; judged != nil && judged != x.route {
		attrs = append(attrs, slog.String("judged_route", judged.name))
	}
	if o := x.original; o != (original{}) {
		attrs = append(attrs, slog.String("about_method", o.method), slog.String("about_host", o.host), slog.String("about_path", o.path))
	}
	if x.person != nil {
		attrs = append(attrs, slog.String("user", shown(x.person.User)), slog.String("connection", x.person.Connection))
	}
	if x.trace != "" {
		attrs = append(attrs, slog.String("trace_id", x.trace))
	}
	if x.reason != "" {
		attrs = append(attrs, slog.String("reason", x.reason))
	}
	if x.err != nil {
		attrs = append(attrs, slog.Any("error", x.err))
	}
	log.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
}

// shown is a user as logs show it: what an identity provider sends may be as
// long as a header.
func shown(user string) string { return user[:min(len(user), 256)] }

// requestID returns the id of a trusted proxy's request if it is well formed,
// or a new one: a client's own id could forge or poison log lines.
func requestID(r *http.Request, trusted bool) string {
	if trusted {
		if ids := r.Header["X-Request-Id"]; len(ids) == 1 && wellFormedID(ids[0]) {
			return ids[0]
		}
	}
	return newRequestID()
}

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func wellFormedID(s string) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !alphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
