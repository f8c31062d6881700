package web

import (
	"errors"
	"net/http"
	"time"

	"gatehouse/auth"
)

// TryAt wraps an error of a sign-in with the URL at which it can be begun
// again, return URL included, so that the person still arrives where they
// wanted to go: the sign-in page, and the start of the same way in where
// there are others to choose from, else "". The caller has judged the URLs. Of
// several who tell it the first knows best.
func TryAt(err error, signIn, same string) error {
	if _, told := errors.AsType[*tryAt](err); err == nil || told {
		return err
	}
	return &tryAt{err, signIn, same}
}

type tryAt struct {
	error
	signIn, same string
}

func (t *tryAt) Unwrap() error { return t.error }

// failurePage is what the error template sees.
type failurePage struct {
	Status              int
	Title, Text, Advice string
	Missing             []string // what a rule asks for, and the person has not
	Decision            string
	Wait                time.Duration
	Links               []link
}

type link struct{ Text, URL string }

func (p *Pages) failurePage(r *http.Request, err error, f failure) failurePage {
	page := failurePage{Status: f.status, Title: f.title, Text: f.text, Advice: f.advice, Decision: Decision(err)}
	contact := ""
	if page.Missing, contact = missing(err); contact != "" {
		page.Advice = "If you need it, ask " + contact + ", or use another account."
	}
	if _, ok := errors.AsType[*auth.Throttled](err); ok {
		page.Wait = f.retry
	}
	signInURL := p.endpoint(r, "/sign_in")
	retry, told := errors.AsType[*tryAt](err)
	if told {
		signInURL = retry.signIn
	}
	switch f.action {
	case again:
		// An empty reference is the page's own address (RFC 3986, section
		// 4.4). It is not spelled out, because //evil.example as a request
		// target would then be a link that leaves the site. The callback is
		// never repeated: its state is spent.
		again := link{Text: "Try again"}
		if told || r.URL.Path == p.Prefix+"/callback" {
			again.URL = signInURL
		}
		page.Links = []link{again}
	case signIn:
		text := "Try again"
		switch f.status {
		case http.StatusUnauthorized:
			text = "Sign in"
		case http.StatusForbidden:
			text = "Sign in another way"
		}
		page.Links = []link{{text, signInURL}}
	case sameWay:
		if told && retry.same != "" {
			page.Links = []link{{"Try again", retry.same}, {"Sign in another way", signInURL}}
			break
		}
		// With one way in, the sign-in page leads straight into it.
		page.Links = []link{{"Try again", signInURL}}
	case otherAccount:
		page.Links = []link{{"Use another account", p.endpoint(r, "/sign_out") + query(wanted(r))}}
		if more := p.stepUpURL(r, err); more != "" {
			page.Links = append([]link{{"Prove more", more}}, page.Links...)
		}
	case home:
		page.Links = []link{{"Go to the start page", "/"}}
	}
	return page
}

// wanted is the page that was asked for, to come back to as somebody else; ""
// where opening its address is not what was asked. It is not judged: sign_out
// judges every rd.
func wanted(r *http.Request) string {
	if original, ok := r.Context().Value(originalKey{}).(originalRequest); ok {
		return original.url
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return ""
	}
	return r.URL.RequestURI()
}

// endpoint is the address of one of Gatehouse's own.
func (p *Pages) endpoint(r *http.Request, path string) string {
	original, _ := r.Context().Value(originalKey{}).(originalRequest)
	return original.origin + p.Prefix + path
}
