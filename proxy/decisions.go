package proxy

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// rememberedDecisions is how many refusals are remembered, and how many other
	// decisions: whoever makes many of these, which needs no session, must not
	// push out those, about which people ask.
	rememberedDecisions = 4096
	// rememberedText bounds, in bytes, what is kept of a path and of a host.
	rememberedText = 512
)

// Decisions remembers what was decided lately, so that an administrator who is
// told a request id can learn why. It outlives configurations, and ends with the
// process; what it keeps is what it was decided upon, which never changes. The
// zero value is ready.
type Decisions struct {
	mu             sync.Mutex
	refused, other latest
}

// latest are the newest of so many entries.
type latest struct {
	all  []decided
	next int
}

// decided is one decision, and all that it was made of.
type decided struct {
	id, method, host, path string
	original               original
	at                     time.Time
	route, asked           *admission // copies; nil: none
	further                *rule      // nil: none
	refusal                error      // why no rule was asked; nil: one was
	who                    asker
	verdict, reason        string
	status                 int
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

// note remembers what became of an exchange. Requests for Gatehouse itself, but
// for questions of other proxies, are no decisions.
func (d *Decisions) note(x *exchange, r *http.Request) {
	if d == nil || x.verdict == verdictOwn || x.verdict == "" {
		return
	}
	n := decided{
		id: x.id, original: x.original,
		method: brief(r.Method, len(r.Method)), host: brief(r.Host, len(r.Host)), path: brief(x.target.path, len(r.RequestURI)),
		at: x.start, further: x.inquiry.further, refusal: x.inquiry.refusal, who: by(x.person, x.peer),
		verdict: x.verdict, reason: x.reason, status: x.status,
	}
	switch {
	case x.inquiry.route != nil:
		n.route = x.inquiry.route.admissionOnly()
	case x.route != nil && !x.route.own:
		n.route = x.route.admissionOnly()
	}
	if x.inquiry.asked != nil {
		n.asked = x.inquiry.asked.admissionOnly()
	}
	if n.original != (original{}) { // parts of headers, which may be long
		for _, text := range []*string{&n.original.method, &n.original.host, &n.original.path} {
			*text = brief(*text, maxHeaderBytes)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if x.verdict == verdictForbidden && x.person != nil {
		d.refused.add(n)
	} else {
		d.other.add(n)
	}
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
	return n.judged(), true
}

func (n decided) judged() Judged {
	j := Judged{
		RequestID: n.id, Time: n.at.UTC(), Method: n.method, Host: n.host, Path: n.path,
		Status: n.status, Verdict: n.verdict, Reason: n.reason,
	}
	if n.original != (original{}) {
		j.About = &Asked{n.original.method, n.original.host, n.original.path}
	}
	if n.who.client.IsValid() {
		j.Client = n.who.client.String()
	}
	if p := n.who.person; p != nil {
		j.User, j.Connection, j.AMR, j.ACR = p.User, p.Connection, p.AMR, p.ACR
	}
	j.Decision = n.decision()
	if n.refusal != nil {
		j.Detail = n.refusal.Error()
	}
	return j
}

// decision is what the rules said; nil where none was asked.
func (n decided) decision() *Decision {
	switch n.verdict {
	case verdictStoreDown, verdictMalformed, verdictNotFound, verdictMethod, verdictInternal:
		return nil
	}
	if n.refusal != nil {
		return nil
	}
	d := Decision{Outcome: SignIn}
	if n.who.person != nil {
		d.Outcome = Admitted
	}
	if n.route != nil {
		d = n.route.decide(n.who)
	}
	add := func(r *rule) {
		if r == nil || n.who.person == nil {
			return
		}
		d.Rule = append(d.Rule, r.reasons(n.who)...)
		if !r.admits(n.who) {
			d.Outcome, d.StepUp = Refused, false
		}
	}
	if n.asked != nil {
		add(n.asked.access)
	}
	add(n.further)
	return &d
}

// admissionOnly is a copy that holds on to nothing of the route's configuration.
func (rt *route) admissionOnly() *admission {
	m := rt.admission
	return &m
}
