package test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/test/servers"
)

var (
	mailedCode = regexp.MustCompile(`(?m)^ {4}(\d{8})\r?$`)
	linkInMail = regexp.MustCompile(`https?://\S+/oauth2/password\?token=[A-Za-z0-9_-]{43}`) // to choose a password
	paperCode  = regexp.MustCompile(`<li><code>([0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4})</code></li>`)
)

// step opens the page of the second factor.
func (v *visitor) step(g *servers.Gateway) reply {
	v.t.Helper()
	return v.look(g.URL + "/oauth2/mfa")
}

// answers types a code of a kind into the page of the second factor.
func (v *visitor) answers(g *servers.Gateway, kind, code string) reply {
	v.t.Helper()
	return v.post(g.URL+"/oauth2/mfa", url.Values{"method": {kind}, "code": {code}})
}

// atOnce types one code n times at each visitor, all at once and at the gateways
// in turn, and returns how often it began a session. Each visitor is at the step
// of the second factor at a gateway, the first of them at the first.
func atOnce(t *testing.T, visitors []*visitor, n int, kind, code string, gateways ...*servers.Gateway) int {
	t.Helper()
	form := url.Values{"method": {kind}, "code": {code}}.Encode()
	begin := make(chan struct{})
	var wg sync.WaitGroup
	var passed atomic.Int64
	for i, v := range visitors {
		// Without the jar: an answer to one would end the step of the others.
		cookie := "_gatehouse_mfa=" + v.cookie(gateways[i%len(gateways)].URL, "_gatehouse_mfa")
		for j := range n {
			wg.Go(func() {
				<-begin
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateways[j%len(gateways)].URL+"/oauth2/mfa", strings.NewReader(form))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Set("Cookie", cookie)
				resp, err := v.Transport.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if slices.ContainsFunc(resp.Cookies(), func(c *http.Cookie) bool { return c.Name == "_gatehouse" && c.Value != "" }) {
					passed.Add(1)
				}
			})
		}
	}
	close(begin)
	wg.Wait()
	return int(passed.Load())
}

// takes takes another way on that page: field is challenge, or enrol for who
// has nothing yet.
func (v *visitor) takes(g *servers.Gateway, field, kind string) reply {
	v.t.Helper()
	return v.post(g.URL+"/oauth2/mfa", url.Values{field: {kind}})
}

// hasMailed has a code mailed, as takes does, as soon as another may be.
func (v *visitor) hasMailed(g *servers.Gateway, field string) {
	v.t.Helper()
	var last reply
	pause := func() int {
		last = v.takes(g, field, "email_code")
		seconds, _ := strconv.Atoi(last.Header.Get("Retry-After"))
		return seconds
	}
	// The pause between two mails is as long as a test waits for anything.
	servers.WaitFor(v.t, "half of the pause between two mails", func(context.Context) bool { return pause() <= 15 })
	if last.StatusCode == http.StatusTooManyRequests {
		servers.WaitFor(v.t, "the end of the pause between two mails", func(context.Context) bool { return pause() == 0 })
	}
	last.wants(v.t, http.StatusSeeOther).leads(v.t, "/oauth2/mfa")
}

// codesTo are the codes that were mailed to an address, the newest last.
func codesTo(s *servers.SMTP, address string) (codes []string) {
	for _, m := range s.Mails() {
		if code := mailedCode.FindStringSubmatch(m.Text); code != nil && m.To == address {
			codes = append(codes, code[1])
		}
	}
	return codes
}

// codeTo waits for the n-th code that is mailed to an address, which must not
// be followed by another.
func codeTo(t testing.TB, s *servers.SMTP, address string, n int) string {
	t.Helper()
	servers.WaitFor(t, "a code by mail", func(context.Context) bool { return len(codesTo(s, address)) >= n })
	codes := codesTo(s, address)
	if len(codes) != n {
		t.Fatalf("%d codes were mailed to %s, want %d", len(codes), address, n)
	}
	return codes[n-1]
}

// mailedLink waits for a link that is mailed to an address.
func mailedLink(t testing.TB, s *servers.SMTP, address string) (link string) {
	t.Helper()
	servers.WaitFor(t, "a link by mail", func(context.Context) bool {
		for _, m := range s.Mails() {
			if m.To == address && linkInMail.MatchString(m.Text) {
				link = linkInMail.FindString(m.Text)
			}
		}
		return link != ""
	})
	return link
}

// wrongMailed is a code that is none of these.
func wrongMailed(codes ...string) string {
	for n := 10000000; ; n++ {
		if code := strconv.Itoa(n); !slices.Contains(codes, code) {
			return code
		}
	}
}

// paperCodes are the recovery codes that a page shows.
func paperCodes(page reply) (codes []string) {
	for _, m := range paperCode.FindAllStringSubmatch(page.Text, -1) {
		codes = append(codes, m[1])
	}
	return codes
}

// enrolMailed signs a local account in for the first time with codes by mail, of
// which n come to be sent to the address then, and returns its recovery codes.
func (v *visitor) enrolMailed(g *servers.Gateway, s *servers.SMTP, name, address string, n int) []string {
	v.t.Helper()
	v.challenged(g, name, "/")
	v.takes(g, "enrol", "email_code").wants(v.t, http.StatusSeeOther)
	page := v.step(g).wants(v.t, http.StatusOK)
	v.answers(g, "email_code", codeTo(v.t, s, address, n)).wants(v.t, http.StatusSeeOther)
	v.signedIn(g)
	return paperCodes(page)
}

// authenticators are what an account proves itself with.
type authenticators struct {
	Factors []struct {
		ID, Kind, Name string
		Left           *int
		Barred         bool
	}
	Demanded bool `json:"enrolment_demanded"`
}

func authenticatorsOf(t testing.TB, g *servers.Gateway, name string) (a authenticators) {
	t.Helper()
	decode(t, run(t, g, "user", "factors", name, "--json"), &a)
	return a
}

// kinds are the kinds of an account's authenticators, in their order.
func (a authenticators) kinds() (kinds []string) {
	for _, f := range a.Factors {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

// left is how many recovery codes there are, -1 for none that were made.
func (a authenticators) left() int {
	for _, f := range a.Factors {
		if f.Left != nil {
			return *f.Left
		}
	}
	return -1
}
