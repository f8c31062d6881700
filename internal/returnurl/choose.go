package returnurl

import (
	"net/http"
	"strings"
)

// Choose returns where to go after a sign-in that r began: the first valid of
// rd, X-Auth-Request-Redirect, X-Forwarded-{Proto,Host,Uri}, the request's own
// URI, and "/". rd is the parameter of Gatehouse's own endpoints; for a
// request to the application pass "", because its parameters are its own.
// trusted says whether the direct peer is in trusted_proxies: from anybody
// else X-Forwarded-* say nothing.
//
// A path is meant on the host of the request where that is another host of the
// site, and the answer is then absolute; an answer that is a path is meant on
// public_url.
func (s *Site) Choose(r *http.Request, rd string, trusted bool) string {
	candidates := []string{rd, single(r, "X-Auth-Request-Redirect")}
	host, proto := r.Host, ""
	if trusted {
		if h := single(r, "X-Forwarded-Host"); h != "" {
			host = h
		}
		proto = single(r, "X-Forwarded-Proto")
		candidates = append(candidates, s.at(proto, host, single(r, "X-Forwarded-Uri"))...)
	}
	candidates = append(candidates, s.at(proto, host, requestURI(r))...)
	for _, raw := range append(candidates, "/") {
		to, ok := s.Judge(raw)
		if !ok {
			continue
		}
		// A path is meant on the host on which it was said.
		if to[0] == '/' && !s.Public(host) {
			for _, there := range s.at(proto, host, to) {
				if to, ok := s.Judge(there); ok {
					return to
				}
			}
		}
		return to
	}
	return "/"
}

// at lists the spellings of uri on a host. On the host of public_url the path
// alone is enough. On another host of the site it is absolute; where the host
// is none of the site (a proxy in front put in its own), what browsers see is
// public_url, and the path there is the best guess.
func (s *Site) at(proto, host, uri string) []string {
	if !strings.HasPrefix(uri, "/") {
		return nil
	}
	if s.Public(host) {
		return []string{uri}
	}
	if proto = strings.ToLower(proto); proto != "http" && proto != "https" {
		proto = s.public.scheme
	}
	return []string{proto + "://" + host + uri, uri}
}

// requestURI is the request target in origin form, as it was sent.
func requestURI(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// single returns a header that was sent once, else "".
func single(r *http.Request, name string) string {
	if values := r.Header.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}
