package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// validateMFA judges who owes a factor and which there are. Without being
// named, a method that cannot work here is left out.
func (l *loader) validateMFA(c *Config) {
	m := &c.MFA
	named := l.isSet("mfa.methods")
	var methods []string
	refused := false
	for i, method := range m.Methods {
		path := index("mfa.methods", i)
		method = strings.ToLower(method)
		what, do := l.unusable(method, c)
		if slices.Contains(methods, method) {
			what, do = "is there twice", "remove one of them"
		}
		switch {
		case what == "":
			methods = append(methods, method)
		case named:
			l.problem(path, l.show(path, method)+" "+what, do)
			refused = true
		}
	}
	if m.Methods = methods; methods == nil {
		m.Methods = []string{}
	}
	enrolled := slices.ContainsFunc(methods, func(method string) bool { return method != MethodRecovery })
	if !enrolled && !refused && m.Enforce != EnforceOff {
		what := "is empty"
		if len(methods) > 0 {
			what = "has only codes for who has lost a factor"
		}
		l.problem("mfa.methods", fmt.Sprintf("%s, and mfa.enforce: %s asks for a factor", what, m.Enforce), "write [totp], or set mfa.enforce: off")
	}
	if issuer := m.TOTP.Issuer; issuer == "" || strings.Contains(issuer, ":") {
		l.problem("mfa.totp.issuer", "is empty or has a colon, which separates issuer and account in an authenticator app", "write the name of your site, such as Gatehouse")
	}
}

// unusable says why a method cannot be used; "": it can.
func (l *loader) unusable(method string, c *Config) (what, do string) {
	switch method {
	case MethodTOTP, MethodRecovery:
		return "", ""
	case MethodEmailCode:
		if c.Mail.Address == "" {
			return "needs a mail server, and mail.address names none", "set mail.address, or remove it"
		}
		return "", ""
	case MethodPasskey:
		if !hasPasskeys(c.Server.PublicURL) && !l.places["server.public_url"].bad {
			return "does not work at " + l.show("server.public_url", c.Server.PublicURL) + ": browsers have passkeys at names over https alone, and at localhost", "set server.public_url to such a one, or remove it"
		}
		return "", ""
	}
	return "is not a method", "write " + strings.Join(methods(), ", ")
}

// methods are all kinds of factors, in the order in which they are offered.
func methods() []string {
	return []string{MethodTOTP, MethodPasskey, MethodEmailCode, MethodRecovery}
}

// hasPasskeys reports whether browsers have passkeys at an origin: in secure
// contexts whose host is a name (WebAuthn Level 3, sections 5.1.3 and 13.4.9).
func hasPasskeys(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	name := strings.ToLower(u.Hostname())
	_, notIP := netip.ParseAddr(name)
	return name != "" && notIP != nil && (u.Scheme == "https" || u.Scheme == "http" && isUnder(name, "localhost"))
}
