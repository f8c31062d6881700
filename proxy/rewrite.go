package proxy

import (
	"fmt"
	"net/url"
	"strings"

	"gatehouse/auth"
)

// rewrite is what stands in place of a route's own path in what is forwarded.
type rewrite struct {
	on     bool
	base   string // without the slash of a subtree; empty: the route's own path goes
	target string // base as it is sent
}

// newRewrite takes the path of the file, as its readers write it.
func newRewrite(path string, subtree bool) rewrite {
	if subtree {
		path = strings.TrimSuffix(path, "/")
	}
	return rewrite{on: true, base: spelled(path), target: (&url.URL{Path: path}).EscapedPath()}
}

// rewritten returns the path that the upstream is asked for. Below a subtree,
// what follows the route's own path stays byte for byte.
//
// The rules judged the whole path, and the upstream gets another: in no
// reading may that lie outside of what stands in place. Attack: the route /
// becomes /public/, and the upstream reads /../admin. Where the rest begins
// the path, an upstream could take two slashes, in any spelling, for another
// host, or send the browser there. Errors wrap auth.ErrMalformed.
func (rt *route) rewritten(path string) (string, error) {
	if !rt.rewrite.on {
		return path, nil
	}
	if !rt.subtree {
		return rt.rewrite.target, nil
	}
	to := rt.rewrite.target + path[rt.prefixLength(path):]
	if to == "" {
		to = "/"
	}
	if err := rt.rewrite.inside(to); err != nil {
		return "", err
	}
	return to, readings(to, rt.rewrite.inside)
}

// prefixLength returns how many bytes of a path, as it was sent, are the
// route's own.
func (rt *route) prefixLength(path string) int {
	i := 0
	for n := len(rt.path); n > 0 && i < len(path); n-- {
		if c, ok := unescape(path[i:]); ok && spelled(path[i:i+3]) == string([]byte{c}) {
			i += 2
		}
		i++
	}
	return i
}

func (rw rewrite) inside(reading string) error {
	if rw.base == "" {
		if strings.HasPrefix(reading, "//") {
			return fmt.Errorf("rewrite the path: it begins with two slashes: %w", auth.ErrMalformed)
		}
		return nil
	}
	if rest, ok := strings.CutPrefix(spelled(reading), rw.base); !ok || rest != "" && rest[0] != '/' {
		return fmt.Errorf("rewrite the path: it leaves %s: %w", rw.base, auth.ErrMalformed)
	}
	return nil
}
