package servers

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// envoyFilter is what of Envoy's HTTP filters is replayed. A key that is not
// here is an error: the file of deploy/ would say something that no test has
// seen.
type envoyFilter struct {
	Type string `yaml:"@type"`

	Mutations struct {
		Request []struct {
			RemoveOnMatch struct {
				KeyMatcher envoyMatcher `yaml:"key_matcher"`
			} `yaml:"remove_on_match"`
		} `yaml:"request_mutations"`
	}

	FailureModeAllow bool `yaml:"failure_mode_allow"`
	StatusOnError    struct {
		Code string
	} `yaml:"status_on_error"`
	AllowedHeaders envoyMatchers `yaml:"allowed_headers"`
	HTTPService    struct {
		ServerURI             struct{ URI, Cluster, Timeout string } `yaml:"server_uri"`
		AuthorizationResponse struct {
			AllowedUpstreamHeaders envoyMatchers `yaml:"allowed_upstream_headers"`
		} `yaml:"authorization_response"`
	} `yaml:"http_service"`
}

type envoyMatchers struct{ Patterns []envoyMatcher }

func (m envoyMatchers) matches(name string) bool {
	for _, p := range m.Patterns {
		if p.matches(name) {
			return true
		}
	}
	return false
}

// envoyMatcher is a StringMatcher of Envoy.
type envoyMatcher struct {
	Exact, Prefix string
	SafeRegex     struct{ Regex string } `yaml:"safe_regex"`
}

// matches sees a name as Envoy has it, in lower case.
func (m envoyMatcher) matches(name string) bool {
	name = strings.ToLower(name)
	switch {
	case m.Exact != "":
		return name == m.Exact
	case m.Prefix != "":
		return strings.HasPrefix(name, m.Prefix)
	}
	return regexp.MustCompile("^(?:" + m.SafeRegex.Regex + ")$").MatchString(name)
}

// envoyFilters finds the filters of the only listener.
func envoyFilters(t testing.TB, config string) (filters []envoyFilter) {
	t.Helper()
	type node = map[string]yaml.Node
	var file struct {
		StaticResources struct {
			Listeners []struct {
				FilterChains []struct {
					Filters []struct {
						TypedConfig struct {
							HTTPFilters []struct {
								Name        string
								TypedConfig yaml.Node `yaml:"typed_config"`
							} `yaml:"http_filters"`
							Rest node `yaml:",inline"`
						} `yaml:"typed_config"`
					}
				} `yaml:"filter_chains"`
			}
		} `yaml:"static_resources"`
	}
	if err := yaml.Unmarshal([]byte(config), &file); err != nil {
		t.Fatalf("read Envoy's configuration: %v", err)
	}
	for _, f := range file.StaticResources.Listeners[0].FilterChains[0].Filters[0].TypedConfig.HTTPFilters {
		text, err := yaml.Marshal(&f.TypedConfig)
		if err != nil {
			t.Fatal(err)
		}
		var filter envoyFilter
		d := yaml.NewDecoder(strings.NewReader(string(text)))
		d.KnownFields(true)
		if err := d.Decode(&filter); err != nil {
			t.Fatalf("read Envoy's filter %s: %v", f.Name, err)
		}
		filters = append(filters, filter)
	}
	return filters
}

// StartEnvoyReplay stands in for Envoy, which is in no package that can be had:
// it sends the requests of the HTTP ext_authz filter, and does with the answers
// what that does. From its source, of API v1.40:
// source/extensions/filters/common/ext_authz/ext_authz_http_impl.cc (only 200
// is a yes, 5xx an error, anything else goes to the client as it is; method,
// path, host and authorization are asked with, and what allowed_headers names;
// an allowed header of the answer replaces the request's). What is no part of
// that is Envoy's connection manager with use_remote_address.
func StartEnvoyReplay(t testing.TB, addr, config, app string) {
	t.Helper()
	h := forwardTo(t, app)
	var gatehouse http.Handler
	filters := envoyFilters(t, config)
	for i := len(filters) - 1; i >= 0; i-- {
		f, next := filters[i], h
		switch f.Type[strings.LastIndexByte(f.Type, '.')+1:] {
		case "HeaderMutation":
			h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, m := range f.Mutations.Request {
					maps.DeleteFunc(r.Header, func(name string, _ []string) bool { return m.RemoveOnMatch.KeyMatcher.matches(name) })
				}
				next.ServeHTTP(w, r)
			})
		case "ExtAuthz":
			gatehouse = forwardTo(t, f.HTTPService.ServerURI.URI)
			h = f.authorize(t, next)
		case "Router":
		default:
			t.Fatalf("no such filter of Envoy: %s", f.Type)
		}
	}
	replay(t, addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, line := range r.Header["Connection"] {
			for name := range strings.SplitSeq(line, ",") {
				r.Header.Del(strings.TrimSpace(name))
			}
		}
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		r.Header.Set("X-Forwarded-For", strings.TrimPrefix(strings.Join(append(r.Header["X-Forwarded-For"], client), ","), ","))
		r.Header.Set("X-Forwarded-Proto", "http")
		if strings.HasPrefix(r.URL.EscapedPath(), "/oauth2/") {
			gatehouse.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	}))
}

// authorize is the ext_authz filter.
func (f envoyFilter) authorize(t testing.TB, next http.Handler) http.Handler {
	client := questions(t)
	to, err := url.Parse(f.HTTPService.ServerURI.URI)
	if err != nil {
		t.Fatal(err)
	}
	onError := http.StatusForbidden
	if f.StatusOnError.Code == "ServiceUnavailable" {
		onError = http.StatusServiceUnavailable
	}
	if f.FailureModeAllow {
		t.Fatal("failure_mode_allow lets everybody in")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := question(r.Context(), t, r.Method, to.String())
		q.URL, q.Host = asItCame(to, r), r.Host
		for name, values := range r.Header {
			if name == "Authorization" || f.AllowedHeaders.matches(name) {
				q.Header[name] = []string{strings.Join(values, ",")}
			}
		}
		resp, err := client.Do(q)
		if err != nil || resp.StatusCode >= 500 {
			if err == nil {
				resp.Body.Close()
			}
			w.WriteHeader(onError)
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			maps.Copy(w.Header(), resp.Header)
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body)
			return
		}
		for name, values := range resp.Header {
			if f.HTTPService.AuthorizationResponse.AllowedUpstreamHeaders.matches(name) {
				r.Header[name] = values
			}
		}
		next.ServeHTTP(w, r)
	})
}
