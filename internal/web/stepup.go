package web

import (
	"net/http"
	"net/url"

	"gatehouse/auth"
)

// StepUp is the page for who has not proved enough, and cannot by signing in
// further. Without a Text it is that of any refusal.
type StepUp struct {
	Refused     *auth.Forbidden
	Text        string // why it cannot be done
	Try, TryURL string // what may help all the same; "" for nothing
	ReturnTo    string // what they wanted to see; it was judged
}

// StepUp shows the page.
func (p *Pages) StepUp(w http.ResponseWriter, r *http.Request, d StepUp) {
	f := lookUp(d.Refused)
	page := p.failurePage(r, d.Refused, f)
	page.Links = []link{{"Use another account", p.Prefix + "/sign_out?" + url.Values{"rd": {d.ReturnTo}}.Encode()}}
	if d.Text != "" {
		page.Title, page.Text = "More proof is needed here", d.Text
	}
	if d.Try != "" {
		page.Links = append([]link{{d.Try, d.TryURL}}, page.Links...)
	}
	p.show(w, r, f.status, "error", page)
}
