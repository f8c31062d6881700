package proxy

import (
	"net/http"
	"strings"
)

// methodOverrides tell many frameworks to take a request for one of another
// method, so that a POST deletes.
var methodOverrides = newNameSet([]string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"}, nil)

// maxOverrides bounds the methods that one request may name: each costs as
// much as the request itself.
const maxOverrides = 4

// judgeOverrides is for a request that falls under rt. Who may POST and not
// DELETE would otherwise send a POST that the upstream takes for a DELETE. So
// the method that a header names is a reading like those of the path: under
// another rule the request is malformed.
func (t *table) judgeOverrides(rt *route, host, path string, h http.Header) error {
	if !t.byMethod {
		return nil
	}
	for name, lines := range h {
		if !methodOverrides.has(name) {
			continue
		}
		// Upstreams take the first line, or the last, or one of a list.
		methods := strings.SplitN(strings.Join(lines, ","), ",", maxOverrides+1)
		if len(methods) > maxOverrides {
			return errAmbiguous
		}
		for _, method := range methods {
			if method = strings.ToUpper(strings.TrimSpace(method)); method == "" {
				continue
			}
			other, err := t.judge(host, method, path)
			if err != nil {
				return err
			}
			if !same(rt, other) {
				return errAmbiguous
			}
		}
	}
	return nil
}
