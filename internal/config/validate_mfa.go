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
	named, all := l.isSet("mfa.methods"), methods()
	var methods, left []string // left: out, and why
	refused := false
	for i, method := range m.Methods {
		path := index("mfa.methods", i)
		method = strings.ToLower(method)
		unusable := l.unusable(method, c)
		switch {
		case !slices.Contains(all, method):
			l.problem(path, l.show(path, method)+" is not a method", "write "+strings.Join(all, ", "))
			refused = true
		case slices.Contains(methods, method):
			l.problem(path, l.show(path, method)+" is there twice", "remove one of them")
			refused = true
		case unusable == "":
			methods = append(methods, method)
		case named:
			left = append(left, method+" "+unusable)
			// No problem: a file that lists every method is right as soon as what
			// the method needs is there.
			l.warning(path, WarnMFAUnusable, l.show(path, method)+" "+unusable+"; nobody is offered it")
		}
	}
	if m.Methods = methods; methods == nil {
		m.Methods = []string{}
	}
	if !m.CanEnrol() && !refused && m.Enforce != EnforceOff {
		what := "is empty"
		switch {
		case len(methods) > 0:
			what = "has nothing that works here but codes for who has lost a factor"
		case len(left) > 0:
			what = "has nothing that works here"
		}
		if len(left) > 0 {
			what += " (" + strings.Join(left, "; ") + ")"
		}
		l.problem("mfa.methods", fmt.Sprintf("%s, and mfa.enforce: %s asks for a factor", what, m.Enforce), "write [totp], or set mfa.enforce: off")
	}
	if issuer := m.TOTP.Issuer; issuer == "" || strings.Contains(issuer, ":") {
		l.problem("mfa.totp.issuer", "is empty or has a colon, which separates issuer and account in an authenticator app", "write the name of your site, such as Gatehouse")
	}
}

// CanEnrol reports whether there is a factor that people can enrol; recovery
// codes are none.
func (m MFA) CanEnrol() bool {
	return slices.ContainsFunc(m.Methods, func(method string) bool { return method != MethodRecovery })
}

// unusable says why a method cannot be used; "": it can.
func (l *loader) unusable(method string, c *Config) string {
	switch {
	case method == MethodEmailCode && c.Mail.Address == "":
		return "needs a mail server, and mail.address names none"
	case method == MethodPasskey && !hasPasskeys(c.Server.PublicURL) && !l.places["server.public_url"].bad:
		return "does not work at " + l.show("server.public_url", c.Server.PublicURL) + ": there are passkeys at names with a dot over https alone, and at localhost"
	}
	return ""
}

// methods are all kinds of factors, in the order in which they are offered.
func methods() []string {
	return []string{MethodTOTP, MethodPasskey, MethodEmailCode, MethodRecovery}
}

// hasPasskeys reports whether browsers have passkeys at an origin: in secure
// contexts whose host is a name (WebAuthn Level 3, sections 5.1.3 and 13.4.9);
// a name without a dot is none to the library that checks them.
func hasPasskeys(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	name := strings.ToLower(u.Hostname())
	_, notIP := netip.ParseAddr(name)
	local := isUnder(name, "localhost")
	return notIP != nil && (u.Scheme == "https" && strings.Contains(name, ".") || local && (u.Scheme == "https" || u.Scheme == "http"))
}
