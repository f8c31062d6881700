package config

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// validateRewrite judges what stands in place of a route's own path.
func (l *loader) validateRewrite(at string, r *Route) {
	subtree := strings.HasSuffix(r.Path, "/")
	if r.StripPrefix && !subtree {
		l.problem(at+".strip_prefix", "there is nothing left of a path that is exactly "+quote(r.Path), "end the path in /, or remove strip_prefix")
	}
	if r.RewritePath == "" {
		return
	}
	at += ".rewrite_path"
	switch {
	case r.StripPrefix:
		l.problem(at, "and strip_prefix are both set", "remove strip_prefix: it is the same as rewrite_path: /")
	case subtree && !strings.HasSuffix(r.RewritePath, "/"):
		l.problem(at, fmt.Sprintf("%s does not end in /, and the path of the route takes in what is below it", l.show(at, r.RewritePath)), "end it in /")
	default:
		l.validatePath(at, r.RewritePath)
	}
}

// validateUpstreamTLS reads the files, so that a wrong one shows now and not
// at the first request.
func (l *loader) validateUpstreamTLS(at string, r *Route) {
	t := r.UpstreamTLS
	if t == (UpstreamTLS{}) {
		return
	}
	if kind := r.kind(); kind != "https" {
		l.problem(at, "is set, and the upstream is not https", "write https:// in upstream, or remove upstream_tls")
		return
	}
	l.validateKeyPair(at, t.CertFile, t.KeyFile)
	if t.CAFile != "" {
		if pem, ok := l.readPEM(at+".ca_file", t.CAFile); ok && !x509.NewCertPool().AppendCertsFromPEM(pem) {
			l.problem(at+".ca_file", "the file holds no certificate", "name a file of certificates in PEM")
		}
	}
	if t.ServerName != "" && !isHost(strings.ToLower(t.ServerName)) {
		l.problem(at+".server_name", l.show(at+".server_name", t.ServerName)+" is not a host", "write a name such as app.internal, without scheme, port and wildcards")
	}
	if t.InsecureSkipVerify && t.CAFile != "" {
		l.problem(at+".insecure_skip_verify", "is true, and ca_file says whom to believe", "remove one of them")
	}
}

// validateTimeouts holds the times of a route to their bounds.
func (l *loader) validateTimeouts(at string, r *Route) {
	l.validateDuration(at+".timeout", r.Timeout, time.Millisecond, 24*time.Hour)
	if set := l.isSet(at + ".connect_timeout"); set {
		l.validateDuration(at+".connect_timeout", r.ConnectTimeout, time.Millisecond, time.Hour)
		if r.ConnectTimeout > r.Timeout {
			l.problem(at+".connect_timeout", fmt.Sprintf("%s is longer than timeout, %s, which begins with it", short(r.ConnectTimeout), short(r.Timeout)), "write a shorter time, or a longer timeout")
		}
	}
	r.ConnectTimeout = min(r.ConnectTimeout, r.Timeout)
	if r.IdleTimeout != 0 {
		l.validateDuration(at+".idle_timeout", r.IdleTimeout, time.Second, 30*day)
	}
}

// kind is the scheme of the upstream.
func (r *Route) kind() string {
	kind, _, _ := strings.Cut(r.Upstream, ":")
	return kind
}

// refuseUnused reports the keys that mean nothing where Gatehouse itself
// answers: who sets one relies on what does not happen.
func (l *loader) refuseUnused(at string, r *Route) {
	kind := r.kind()
	if kind != "static" && kind != "file" {
		return
	}
	unused := []string{"timeout", "connect_timeout", "idle_timeout", "host_header", "headers.request"}
	if kind == "static" {
		unused = append(unused, "strip_prefix", "rewrite_path")
	}
	for _, key := range unused {
		if l.isSet(at + "." + key) {
			l.problem(at+"."+key, "is for an application, and here Gatehouse itself answers", "remove it")
		}
	}
}
