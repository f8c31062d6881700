package servers

import (
	"cmp"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// traefik is what of its configuration is replayed. A key that is not here is
// an error: the files of deploy/ would say something that no test has seen.
type traefik struct {
	EntryPoints map[string]struct {
		Address string
		HTTP    struct {
			AliasHeadersStrategy string   `yaml:"aliasHeadersStrategy"`
			TLS                  struct{} `yaml:"tls"`
		} `yaml:"http"`
	} `yaml:"entryPoints"`
	Providers struct{ File struct{ Filename string } }

	HTTP struct {
		Routers map[string]struct {
			Rule, Service string
			Middlewares   []string
		}
		Middlewares map[string]struct {
			Headers *struct {
				CustomRequestHeaders map[string]string `yaml:"customRequestHeaders"`
			}
			ForwardAuth *traefikForwardAuth `yaml:"forwardAuth"`
		}
		Services map[string]struct {
			LoadBalancer struct{ Servers []struct{ URL string } } `yaml:"loadBalancer"`
		}
	} `yaml:"http"`
}

type traefikForwardAuth struct {
	Address                  string
	TrustForwardHeader       bool   `yaml:"trustForwardHeader"`
	AuthResponseHeadersRegex string `yaml:"authResponseHeadersRegex"`
	MaxResponseBodySize      int64  `yaml:"maxResponseBodySize"`
}

// managed are the headers of a client that Traefik's entry point takes out,
// when it trusts none.
var managed = []string{
	"X-Forwarded-Proto", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Uri", "X-Forwarded-Method",
	"X-Forwarded-Prefix", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Real-Ip",
}

// StartTraefikReplay stands in for Traefik, which is in no package that can be
// had: with its configuration (the static part, the dynamic part) it sends the
// requests of Traefik 3.7.13, and does with the answers what that does. From
// its source: pkg/server/server_entrypoint_tcp.go (removeAliasingHeaders,
// sanitizePath), pkg/middlewares/forwardedheaders/forwarded_header.go,
// pkg/middlewares/headers/header.go and pkg/middlewares/auth/forward.go
// (writeHeader).
func StartTraefikReplay(t testing.TB, addr, static, dynamic string) {
	t.Helper()
	var c traefik
	for _, text := range []string{static, dynamic} {
		d := yaml.NewDecoder(strings.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&c); err != nil {
			t.Fatalf("read Traefik's configuration: %v", err)
		}
	}
	routers := slices.SortedFunc(maps.Keys(c.HTTP.Routers), func(a, b string) int {
		return cmp.Compare(len(c.HTTP.Routers[b].Rule), len(c.HTTP.Routers[a].Rule)) // the longest rule first
	})
	prefix := regexp.MustCompile("PathPrefix\\(`([^`]*)`\\)")
	handlers := map[string]http.Handler{}
	for _, name := range routers {
		router := c.HTTP.Routers[name]
		h := forwardTo(t, c.HTTP.Services[router.Service].LoadBalancer.Servers[0].URL)
		for _, m := range slices.Backward(router.Middlewares) {
			next, middleware := h, c.HTTP.Middlewares[m]
			switch {
			case middleware.Headers != nil:
				h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					for header, value := range middleware.Headers.CustomRequestHeaders {
						if r.Header.Del(header); value != "" {
							r.Header.Set(header, value)
						}
					}
					next.ServeHTTP(w, r)
				})
			case middleware.ForwardAuth != nil:
				h = middleware.ForwardAuth.handler(t, next)
			default:
				t.Fatalf("no such middleware of Traefik: %s", m)
			}
		}
		handlers[name] = h
	}
	var deletes bool
	for _, e := range c.EntryPoints {
		deletes = e.HTTP.AliasHeadersStrategy == "delete"
	}
	replay(t, addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if deletes && strings.ContainsFunc(name, func(c rune) bool {
				return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
			}) {
				delete(r.Header, name)
			}
		}
		r.URL = r.URL.JoinPath()
		for _, name := range managed {
			r.Header.Del(name)
		}
		proto := "http"
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			proto = "ws"
		}
		for _, line := range r.Header["Connection"] {
			for name := range strings.SplitSeq(line, ",") {
				if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); !slices.Contains(managed, name) {
					delete(r.Header, name)
				}
			}
		}
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, port, _ := net.SplitHostPort(r.Host)
		for name, value := range map[string]string{"X-Real-Ip": client, "X-Forwarded-Proto": proto, "X-Forwarded-Port": port, "X-Forwarded-Host": r.Host, "X-Forwarded-Server": "traefik"} {
			r.Header.Set(name, value)
		}
		for _, name := range routers {
			if p := prefix.FindStringSubmatch(c.HTTP.Routers[name].Rule); p == nil || strings.HasPrefix(r.URL.Path, p[1]) {
				handlers[name].ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	}))
}

// handler is Traefik's forwardAuth middleware.
func (f *traefikForwardAuth) handler(t testing.TB, next http.Handler) http.Handler {
	copied := regexp.MustCompile(f.AuthResponseHeadersRegex)
	client := questions(t)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := question(r.Context(), t, http.MethodGet, f.Address)
		q.Header = r.Header.Clone()
		for name := range hop {
			q.Header.Del(name)
		}
		for _, name := range managed {
			if !f.TrustForwardHeader {
				q.Header.Del(name)
			}
		}
		peer, _, _ := net.SplitHostPort(r.RemoteAddr)
		for name, value := range map[string]string{
			"X-Forwarded-For": peer, "X-Forwarded-Method": r.Method, "X-Forwarded-Proto": "http", "X-Forwarded-Port": r.Header.Get("X-Forwarded-Port"),
			"X-Forwarded-Host": r.Host, "X-Forwarded-Uri": r.URL.RequestURI(),
		} {
			if q.Header[name] == nil {
				q.Header.Set(name, value)
			}
		}
		if r.Header["User-Agent"] == nil {
			q.Header.Set("User-Agent", "")
		}
		resp, err := client.Do(q)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, f.MaxResponseBodySize+1))
		switch {
		case err != nil:
			w.WriteHeader(http.StatusInternalServerError)
			return
		case int64(len(body)) > f.MaxResponseBodySize:
			w.WriteHeader(http.StatusUnauthorized)
			return
		case resp.StatusCode < 200 || resp.StatusCode > 299:
			maps.Copy(w.Header(), resp.Header)
			for name := range hop {
				w.Header().Del(name)
			}
			// A path is completed with the address of the question, which no browser
			// can reach.
			if at, err := url.Parse(resp.Header.Get("Location")); err == nil && at.String() != "" {
				w.Header().Set("Location", q.URL.ResolveReference(at).String())
			}
			w.WriteHeader(resp.StatusCode)
			_, _ = w.Write(body)
			return
		}
		maps.DeleteFunc(r.Header, func(name string, _ []string) bool { return copied.MatchString(name) })
		for name, values := range resp.Header {
			if copied.MatchString(name) {
				r.Header[name] = values
			}
		}
		next.ServeHTTP(w, r)
	})
}
