package oauth2proxy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// spelled is a setting as a comment shows it.
func (s setting) spelled() string {
	const most = 60
	if s.option.secret {
		return s.shown
	}
	values := s.values
	if s.raw != nil {
		values = s.raw
	}
	shown := make([]string, len(values))
	for i, value := range values {
		if s.option.isURL() {
			shown[i] = address(value)
		} else {
			shown[i] = inText.ReplaceAllStringFunc(value, address)
		}
	}
	value := strings.Join(shown, ",")
	if len(value) > most {
		value = value[:most] + "..."
	}
	if s.option.kind == text || s.option.kind == list {
		value = fmt.Sprintf("%q", value)
	}
	return s.shown + " = " + value
}

// isURL reports whether the option has a URL, or several.
func (o option) isURL() bool {
	return strings.HasSuffix(o.name, "_url") || strings.HasSuffix(o.name, "_urls") ||
		slices.Contains([]string{"custom_sign_in_logo", "extra_jwt_issuers", "resource", "upstreams"}, o.name)
}

var (
	inText      = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]*`)
	plainScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)
	plainHost   = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$`)
	plainFile   = regexp.MustCompile(`^(-|/?[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)$`)
)

// address is a URL as a comment may show it: by its scheme and host. Attack on
// the person who shows the file to somebody: the name and password before a host,
// or a token in the path or query behind it.
func address(s string) string {
	const rest = "..."
	scheme, authority, absolute := strings.Cut(s, "://")
	if !absolute {
		if plainFile.MatchString(s) {
			return s
		}
		return rest
	}
	beyond := ""
	if i := strings.IndexAny(authority, "/?#="); i >= 0 {
		authority, beyond = authority[:i], authority[i:]
	}
	host := authority[strings.IndexByte(authority, '@')+1:]
	// A password may have a slash in it, and then nobody knows where it ends.
	if strings.Contains(beyond, "@") || !plainHost.MatchString(host) || !plainScheme.MatchString(scheme) {
		return rest
	}
	if beyond = strings.TrimPrefix(beyond, "/"); beyond != "" {
		host += "/" + rest
	}
	return scheme + "://" + host
}
