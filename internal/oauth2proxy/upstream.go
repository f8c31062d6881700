package oauth2proxy

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// upstream is one application of oauth2-proxy.
type upstream struct {
	shown    origin // where it is set
	path     string // of requests; one that ends in a slash is what begins with it
	spelled  string // the path, with the variables that it has
	uri      string
	rewrite  string // then path is a pattern
	static   bool
	code     string // of a static answer
	insecure bool   // the certificate is not verified
	ownHost  bool   // the application gets its own name as Host
	timeout  string
}

// upstreams returns what the options say.
func (t *translation) upstreams() []upstream {
	if t.settings.injected.given {
		return t.settings.injected.upstreams
	}
	uris, shown := t.list("upstreams")
	passHost, _ := t.truth("pass_host_header")
	insecure, _ := t.truth("ssl_upstream_insecure_skip_verify")
	timeout, _ := t.text("upstream_timeout")
	var all []upstream
	for _, uri := range uris {
		u := upstream{shown: shown, uri: uri, path: "/", insecure: insecure, ownHost: !passHost, timeout: timeout}
		if parsed, err := url.Parse(uri); err == nil {
			switch parsed.Scheme {
			case "static":
				u.static, u.code = true, parsed.Host
			case "unix":
			case "file":
				u.path = parsed.Path
				if parsed.Fragment != "" {
					u.path = parsed.Fragment
				}
			default:
				u.path = parsed.Path
			}
		}
		if u.path == "" {
			u.path = "/"
		}
		u.spelled = u.path
		all = append(all, u)
	}
	return all
}

// target is the upstream of a route.
type target struct {
	to      string // as config.yaml names it
	rewrite string // what stands in place of the route's path; empty: it is forwarded as it is
	adjust  string // of the path: what differs and cannot be written
}

// target says what a route of an upstream is; why is not empty where there is
// no such route.
func (u upstream) target() (at string, to target, why string) {
	at = u.path
	if u.rewrite != "" {
		prefix, instead, ok := replacedPrefix(u.path, u.rewrite)
		if !ok {
			return "", target{}, fmt.Sprintf("the path is rewritten by the pattern %.80q; write a route for each path, with rewrite_path", u.spelled)
		}
		at, to.rewrite = prefix, instead
	}
	if !isPath(at) {
		return "", target{}, fmt.Sprintf("%.80q is a pattern of paths; write a route for each of them", u.spelled)
	}
	if u.static {
		if code, err := strconv.Atoi(u.code); err != nil || code < 200 || code > 599 {
			u.code = "200" // as oauth2-proxy takes it
		}
		return at, target{to: "static:" + u.code}, ""
	}
	parsed, err := url.Parse(u.uri)
	if err != nil {
		return "", target{}, "the address cannot be read" // it may hold a password
	}
	switch parsed.Scheme {
	case "http", "https":
		if parsed.Host == "" {
			return "", target{}, "the address names no host"
		}
		if parsed.User != nil {
			to.adjust = "the name and password in the address are not sent"
		}
		to.to = parsed.Scheme + "://" + parsed.Host
		return at, to, ""
	case "unix":
		to.to = "unix://" + parsed.Path
		return at, to, ""
	case "file":
		return u.file(at, parsed.Path, to)
	}
	return "", target{}, "the address is none of http, https, unix, file and static"
}

// file is an upstream of files. What /dev/null serves is nothing: it stands
// for "no application" where another proxy asks for verdicts.
func (u upstream) file(at, name string, to target) (string, target, string) {
	switch {
	case name == "/dev/null":
		return "/", target{to: "static:404"}, ""
	case strings.HasSuffix(at, "/"):
		to.to = "file:" + name
		if u.rewrite == "" && at != "/" {
			to.rewrite = "/"
		}
		return at, to, ""
	case path.Base(name) == at[1:]:
		to.to = "file:" + path.Dir(name)
		return at, to, ""
	}
	return "", target{}, "a single file is served under another name; put it into a folder of its own under that name, and write file: and the folder"
}

var replacing = regexp.MustCompile(`^\^(/[A-Za-z0-9._~/-]*/)\(\.\*\)\$?$`)

// replacedPrefix returns the beginning of a path that a rewriting replaces, and
// by what, where that is all it does: "^/app/(.*)$" by "/v2/$1".
func replacedPrefix(pattern, rewrite string) (prefix, instead string, ok bool) {
	m := replacing.FindStringSubmatch(pattern)
	instead, last := strings.CutSuffix(strings.Replace(rewrite, "${1}", "$1", 1), "$1")
	if m == nil || !last || !isPath(instead) || !strings.HasSuffix(instead, "/") || strings.Contains(instead, "$") {
		return "", "", false
	}
	return m[1], instead, true
}

// below is the same application for a path below that of u, or for it without
// its slash.
func (to target) below(base, path string) target {
	if to.rewrite == "" {
		return to
	}
	rest, isBelow := strings.CutPrefix(path, base)
	if !isBelow { // the path without its slash
		to.rewrite = "/" + strings.Trim(to.rewrite, "/")
		return to
	}
	to.rewrite += rest
	return to
}
