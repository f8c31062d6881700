package web

import (
	"net/http"
	"strconv"
	"strings"
)

// WantsPage reports whether the request comes from a person looking at a
// browser window and not from a script or another program: text/html is
// accepted, X-Requested-With is absent and Sec-Fetch-Mode, where it is sent,
// is navigate. The method is not looked at: a form that is posted wants a
// page too. Who redirects to the sign-in page must also see GET or HEAD.
func WantsPage(r *http.Request) bool {
	if len(r.Header.Values("X-Requested-With")) > 0 {
		return false
	}
	for _, mode := range r.Header.Values("Sec-Fetch-Mode") {
		if mode != "navigate" {
			return false
		}
	}
	return acceptsHTML(r.Header.Values("Accept"))
}

// acceptsHTML reports whether Accept names text/html itself, with a weight
// that is not zero (RFC 9110, section 12.5.1). A wildcard is not enough: it
// is what programs send.
func acceptsHTML(accept []string) bool {
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			mediaType, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(mediaType), "text/html") && !weightZero(params) {
				return true
			}
		}
	}
	return false
}

func weightZero(params string) bool {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		return err == nil && q == 0
	}
	return false
}
