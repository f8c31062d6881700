package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

const (
	// rememberedDecisions is how many refusals are remembered, and how many other
	// decisions: whoever makes many of these, which needs no session, must not
	// push out those, about which people ask.
	rememberedDecisions = 4096
	// rememberedText bounds, in bytes, what is kept of a path and of a host.
	rememberedText = 512
	// rememberedValues is how many of the values of a list are kept that a request
	// or a provider has made.
	rememberedValues = 16
)

// Decisions remembers what was decided lately, so that an administrator who is
// told a request id can learn why. It outlives configurations, ends with the
// process, and holds on to neither people nor routes. The zero value is ready.
type Decisions struct {
	mu             sync.Mutex
	refused, other latest
}

// latest are the newest of so many entries.
type latest struct {
	all  []decided
	next int
}

// decided is one decision.
type decided struct {
	id, method, host, path string
	original               original
	at                     time.Time
	client                 netip.Addr
	user, connection, acr  string
	amr                    []string
	verdict, reason        string
	detail                 string
	status                 int
	judged                 bool // a rule was asked
	decision               Decision
}

// Judged is what was decided about a request.
type Judged struct {
	RequestID string    `json:"request_id"`
	Time      time.Time `json:"time"` // when the request came
	Client    string    `json:"client,omitempty"`
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Path      string    `json:"path"`
	// About is the request that another proxy asked about.
	About      *Asked   `json:"about,omitempty"`
	Status     int      `json:"status"`
	Verdict    string   `json:"verdict"` // as in the access log
	Reason     string   `json:"reason,omitempty"`
	User       string   `json:"user,omitempty"`
	Connection string   `json:"connection,omitempty"`
	AMR        []string `json:"amr,omitempty"`
	ACR        string   `json:"acr,omitempty"`
	// Detail is why no rule was asked, of a question that cannot be judged.
	Detail string `json:"detail,omitempty"`
	// Decision is that of the rules; nil where none was asked.
	Decision *Decision `json:"decision,omitempty"`
}

// Asked is a request as another proxy describes it; what it does not tell is
// empty.
type Asked struct {
	Method string `json:"method,omitempty"`
	Host   string `json:"host,omitempty"`
	Path   string `json:"path,omitempty"`
}

// note remembers what became of an exchange. Requests for Gatehouse itself are no
// decisions, but for questions of other proxies and the page that tells why they
// were answered so.
func (d *Decisions) note(x *exchange, r *http.Request) {
	if d == nil || x.verdict == "" || x.verdict == verdictOwn && (x.told == nil || x.status != http.StatusForbidden) {
		return
	}
	n := decided{
		id: x.id, original: x.original, at: x.start,
		method: brief(r.Method, len(r.Method)), host: brief(r.Host, len(r.Host)), path: brief(x.target.path, len(r.RequestURI)),
		verdict: x.verdict, reason: x.reason, status: x.status,
	}
	if x.told != nil {
		n.verdict, n.reason = verdictForbidden, web.Code(auth.ErrForbidden)
	}
	if n.original != (original{}) { // parts of headers, which may be long
		for _, text := range []*string{&n.original.method, &n.original.host, &n.original.path} {
			*text = brief(*text, maxHeaderBytes)
		}
	}
	if x.inquiry.refusal != nil {
		n.detail = x.inquiry.refusal.Error()
	}
	who := by(x.person, x.peer)
	n.client = who.client
	if p := x.person; p != nil {
		n.user, n.connection, n.acr = brief(p.User, len(p.User)), p.Connection, brief(p.ACR, len(p.ACR))
		n.amr = few(p.AMR)
	}
	n.decision, n.judged = x.decision(who)
	d.mu.Lock()
	defer d.mu.Unlock()
	if x.person != nil && n.verdict == verdictForbidden {
		d.refused.add(n)
	} else {
		d.other.add(n)
	}
}

// decision is what the rules said of an exchange that is over, and whether any
// was asked.
func (x *exchange) decision(who asker) (d Decision, asked bool) {
	switch x.verdict {
	case verdictStoreDown, verdictMalformed, verdictNotFound, verdictMethod, verdictInternal:
		return Decision{}, false
	}
	q := x.inquiry
	if q.refusal != nil {
		return Decision{}, false
	}
	route := q.route
	if x.told != nil {
		route = x.told
	}
	if route == nil && x.route != nil && !x.route.own {
		route = x.route
	}
	switch {
	case route != nil:
		d = route.decide(who)
	case who.person != nil: // a question about the session alone
		d.Outcome = Admitted
	default:
		d.Outcome = SignIn
	}
	if who.person == nil {
		return d, true
	}
	var beside *rule
	if q.asked != nil {
		beside = q.asked.access
	}
	for _, r := range []*rule{q.further, beside} {
		if r == nil {
			continue
		}
		reasons := r.reasons(who)
		if r == q.further {
			for i := range reasons { // parts of the query
				reasons[i].Values = few(reasons[i].Values)
			}
		}
		d.Rule = append(d.Rule, reasons...)
		if !r.admits(who) {
			d.Outcome, d.StepUp = Refused, false
		}
	}
	return d, true
}

// few are the first of a list of texts that are parts of longer ones.
func few(list []string) (kept []string) {
	for _, s := range list[:min(len(list), rememberedValues)] {
		kept = append(kept, brief(s, maxHeaderBytes))
	}
	return kept
}

// brief is a text, of a longer one of which it may be a part, that holds on to
// little of a request.
func brief(s string, whole int) string {
	if whole <= 2*rememberedText && len(s) <= rememberedText {
		return s
	}
	return strings.Clone(s[:min(len(s), rememberedText)])
}

func (l *latest) add(n decided) {
	if len(l.all) < rememberedDecisions {
		l.all = append(l.all, n)
		return
	}
	l.all[l.next] = n
	l.next = (l.next + 1) % rememberedDecisions
}

// find returns the newest entry with that id: a trusted proxy may use an id for
// a question and for the request itself.
func (l *latest) find(id string) (n decided, found bool) {
	for _, each := range l.all {
		if each.id == id && (!found || !each.at.Before(n.at)) {
			n, found = each, true
		}
	}
	return n, found
}

// Find returns what was decided about a request, and whether it is remembered.
func (d *Decisions) Find(id string) (Judged, bool) {
	d.mu.Lock()
	n, found := d.refused.find(id)
	if !found {
		n, found = d.other.find(id)
	}
	d.mu.Unlock()
	if !found {
		return Judged{}, false
	}
	j := Judged{
		RequestID: n.id, Time: n.at.UTC(), Method: n.method, Host: n.host, Path: n.path,
		Status: n.status, Verdict: n.verdict, Reason: n.reason, Detail: n.detail,
		User: n.user, Connection: n.connection, AMR: n.amr, ACR: n.acr,
	}
	if n.original != (original{}) {
		j.About = &Asked{n.original.method, n.original.host, n.original.path}
	}
	if n.client.IsValid() {
		j.Client = n.client.String()
	}
	if n.judged {
		j.Decision = &n.decision
	}
	return j, true
}
