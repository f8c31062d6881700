package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Codes of warnings.
const (
	WarnMFAJITOff       = "mfa-all-jit-off"       // mfa.enforce: all, and a connection whose people have no account
	WarnGroupsAllowed   = "groups-allowed-absent" // a connection may supply a group that a rule names
	WarnEmailShared     = "email-domain-shared"   // two connections may assert the same e-mail address
	WarnEmailTrusted    = "email-always-trusted"  // trust_email: always
	WarnUserCollision   = "user-collision"        // pass-through users could equal somebody else's user
	WarnSubtreeLaxer    = "route-subtree-laxer"   // what is below an exact path falls under a laxer rule
	WarnMethodLaxer     = "route-method-laxer"    // another method of a route falls under a laxer rule
	WarnKeysGenerated   = "redis-keys-generated"  // Redis holds the keys to what it holds
	WarnInsecureHTTP    = "issuer-insecure-http"  // an issuer over http
	WarnPublicHTTP      = "public-url-http"       // cookies cross the network in clear
	WarnPublicTLS       = "public-url-tls"        // TLS is configured and public_url is http
	WarnTrustedEveryone = "trusted-proxies-all"   // everybody may forge X-Forwarded-*
	WarnPprofOpen       = "pprof-exposed"         // profiles are served beyond this machine
	WarnCacheLong       = "cache-ttl-long"        // a removed right acts for long
	WarnReturnWide      = "return-domain-wide"    // a sign-in may return to a whole top-level domain
	WarnGroupDropped    = "group-not-allowed"     // group_mapping or a constant gives a group that groups_allowed leaves out
	WarnGroupRenamed    = "group-allowed-renamed" // groups_allowed names a group that group_mapping calls otherwise
	WarnProtected       = "protected-supplied"    // a connection is to give what no provider can
	WarnPolicyUnused    = "attribute-mode-unused" // mode or on_absent of an attribute that never is stored
	WarnSourceUnused    = "attribute-source-idle" // attribute_sources names who never supplies the attribute
	WarnMailPlaintext   = "mail-plaintext"        // codes and links cross the network in clear
	WarnMFAUnusable     = "mfa-method-unusable"   // a method is named that lacks what it needs
	WarnMFAEmailOnly    = "mfa-email-only"        // the only factor goes to where links to choose a password go
	WarnUpstreamAnyone  = "upstream-unverified"   // whoever answers is taken for the application
	WarnNobodyExempt    = "inactive-exempts-none" // the rule for unused accounts spares no administrator
)

// warn says what works in a valid file and is probably not meant.
func (l *loader) warn(c *Config) {
	l.warnServer(c)
	for i := range c.Connections {
		if c.Connections[i].Disabled {
			continue // nobody comes in by it
		}
		at := index("connections", i)
		l.warnConnection(at, &c.Connections[i], c)
		l.warnSharedEmail(i, c)
		l.warnSupplied(at, &c.Connections[i], c.JITProvisioning)
		l.warnPolicies(at, &c.Connections[i], c.JITProvisioning)
	}
	l.warnGroups(c)
	l.warnMFA(c)
	l.warnProvisioning(c)
	l.warnRoutes(c.Routes)
	for i, r := range c.Routes {
		if r.UpstreamTLS.InsecureSkipVerify {
			l.warning(index("routes", i)+".upstream_tls.insecure_skip_verify", WarnUpstreamAnyone, "whoever answers at that address is taken for the application, and is told who people are; name its authority in ca_file")
		}
	}
}

// warnMFA: whoever reads a mailbox chooses the password by a link that was
// mailed, and would have the second factor too. So the code is not taken after
// such a link, and people whom nothing else is open to cannot come in. A
// configuration without resets has set-up links all the same.
func (l *loader) warnMFA(c *Config) {
	if c.Local.Enabled && c.MFA.OnlyEmailCodes() && (c.Local.Password.Reset || c.MFA.Enforce != EnforceOff) {
		l.warning("mfa.methods", WarnMFAEmailOnly, "codes by mail are the only factor that people can enrol, and after a password was chosen by a mailed link (a reset, or a set-up link) a code to that address is refused: who has no recovery code, as whoever was invited by mail, must ask an administrator; allow totp or passkey as well")
	}
}

// OnlyEmailCodes reports whether codes by mail are the only factor that people
// can enrol.
func (m MFA) OnlyEmailCodes() bool {
	others := func(method string) bool { return method != MethodEmailCode && method != MethodRecovery }
	return slices.Contains(m.Methods, MethodEmailCode) && !slices.ContainsFunc(m.Methods, others)
}

func (l *loader) warnServer(c *Config) {
	http := strings.HasPrefix(c.Server.PublicURL, "http:")
	if name := host(c.Server.PublicURL); http && !isLoopback(name) && !isUnder(name, "localhost") {
		l.warning("server.public_url", WarnPublicHTTP, "is http, and not on this machine: whoever is on the way can take over sessions; use https")
	}
	if http && c.Server.TLS.CertFile != "" {
		l.warning("server.public_url", WarnPublicTLS, "is http, and server.tls has a certificate: browsers would be sent to the wrong scheme; use https")
	}
	for i, peer := range c.Server.TrustedProxies {
		if prefix, err := netip.ParsePrefix(peer); err == nil && prefix.Bits() == 0 {
			l.warning(index("server.trusted_proxies", i), WarnTrustedEveryone, "takes in every address: anybody can claim to be anywhere with X-Forwarded-*; list the proxies in front of Gatehouse")
		}
	}
	if name, _, _ := net.SplitHostPort(c.Server.AdminListen); c.Server.Pprof && !isLoopback(name) {
		l.warning("server.pprof", WarnPprofOpen, "is on, and server.admin_listen is not on this machine alone: whoever reaches it can slow the gateway down and see what it is doing; switch it off when you have looked, or listen on 127.0.0.1")
	}
	if c.Store.Redis != nil && len(c.Secrets.Keys) == 0 {
		l.warning("store.redis", WarnKeysGenerated, "there are no secrets.keys, so the keys are made and kept in Redis: who reads it can open what is sealed in it; set secrets.keys_file")
	}
	if name, _, _ := net.SplitHostPort(c.Mail.Address); c.Mail.TLS == MailNone && c.Mail.Address != "" && !isLoopback(name) {
		l.warning("mail.insecure_plaintext", WarnMailPlaintext, "mails cross the network in clear: who reads one can sign in with what is in it; use tls: starttls")
	}
	if c.Session.CacheTTL > time.Minute {
		l.warning("session.cache_ttl", WarnCacheLong, fmt.Sprintf("a right that was taken away may be used for another %s on other replicas; 5s is usual", short(c.Session.CacheTTL)))
	}
	for i, domain := range c.Session.ReturnDomains {
		domain, _, _ = strings.Cut(domain, ":")
		wide, ok := strings.CutPrefix(strings.TrimPrefix(domain, "*"), ".")
		if ok && wide != "localhost" && !strings.Contains(wide, ".") {
			l.warning(index("session.return_domains", i), WarnReturnWide, "a sign-in may return to every host of a top-level domain: a link could lead people to a stranger's page; name your own domain")
		}
	}
}

func (l *loader) warnConnection(at string, c *Connection, all *Config) {
	if strings.HasPrefix(c.Issuer, "http:") && !isLoopback(host(c.Issuer)) {
		l.warning(at+".insecure_http", WarnInsecureHTTP, fmt.Sprintf("connection %s: the issuer is reached over http: whoever is on the way can sign in as anybody; use https", c.ID))
	}
	if c.TrustEmail == TrustAlways && c.maps(AttrEmail) {
		l.warning(at+".trust_email", WarnEmailTrusted, fmt.Sprintf("connection %s: every e-mail address counts as verified, so whoever can type an address there can be its owner here; use claim where the provider sends email_verified", c.ID))
	}
	if c.JIT.Enabled {
		return
	}
	if all.MFA.Enforce == EnforceAll {
		l.warning(at+".jit.enabled", WarnMFAJITOff, fmt.Sprintf("connection %s has jit.enabled: false, so its people have no account that could hold a second factor (%s), which mfa.enforce: all asks of everybody: they cannot sign in; set jit.enabled: true here, or mfa.enforce: local", c.ID, strings.Join(all.MFA.Methods, ", ")))
	}
	l.warnUser(at, c, all)
}

// warnUser looks for others whose user header a pass-through person could
// have. A username never has a colon, and a connection's id and a colon first
// keep two connections apart. The accounts of a connection that is disabled
// are still there.
func (l *loader) warnUser(at string, c *Connection, all *Config) {
	if strings.HasPrefix(c.User, "{connection}:") || strings.HasPrefix(c.User, c.ID+":") {
		return
	}
	accounts := !strings.Contains(c.User, ":") && (all.Local.Enabled || slices.ContainsFunc(all.Connections, func(o Connection) bool { return o.JIT.Enabled }))
	others := slices.ContainsFunc(all.Connections, func(o Connection) bool { return o.ID != c.ID && !o.JIT.Enabled && !o.Disabled })
	var whose string
	switch {
	case accounts:
		whose = "the username of an account"
	case others:
		whose = "a user of another connection"
	default:
		return
	}
	l.warning(at+".user", WarnUserCollision, fmt.Sprintf("connection %s: a person may get the same user header as %s; begin it with {connection}:", c.ID, whose))
}

// warnSharedEmail looks for an earlier connection that may assert an e-mail
// address which this one may assert as well: each could then be the owner of
// an account that the other one made.
func (l *loader) warnSharedEmail(i int, c *Config) {
	this := &c.Connections[i]
	for j := range i {
		other := &c.Connections[j]
		if shared, ok := sharedDomain(this, other); ok && !other.Disabled {
			l.warning(index("connections", i)+".email_domains", WarnEmailShared,
				fmt.Sprintf("connections %s and %s may both assert an e-mail address of %s; give each the email_domains that it alone answers for", other.ID, this.ID, shared))
			return
		}
	}
}

func sharedDomain(a, b *Connection) (string, bool) {
	for _, c := range [...]*Connection{a, b} {
		if c.TrustEmail == TrustNever || !c.maps(AttrEmail) {
			return "", false
		}
	}
	switch {
	case len(a.EmailDomains) == 0 && len(b.EmailDomains) == 0:
		return "every domain", true
	case len(a.EmailDomains) == 0:
		return b.EmailDomains[0], true
	}
	for _, domain := range a.EmailDomains {
		if len(b.EmailDomains) == 0 || slices.Contains(b.EmailDomains, domain) {
			return domain, true
		}
	}
	return "", false
}
