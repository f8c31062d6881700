package oauth2proxy

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

func (t *translation) server() {
	n := t.root.in("server")
	t.listen(n)
	t.publicURL(n)
	if prefix, shown := t.text("proxy_prefix"); shown != "" {
		n.set("prefix", quoted("/"+strings.Trim(prefix, "/")), shown)
	}
	t.trustedProxies(n)
	if address, shown := t.text("metrics_address"); address != "" && address != "-" {
		n.set("admin_listen", t.quoted(strings.TrimPrefix(address, "http://"), shown), shown)
	}
}

func (t *translation) listen(n *node) {
	address, shown := t.text("http_address")
	cert, certShown := t.text("tls_cert_file")
	key, keyShown := t.text("tls_key_file")
	if cert != "" || key != "" {
		if shown != "" {
			n.note("%s: one address is listened on, and with a certificate it speaks TLS", shown)
		}
		address, shown = t.text("https_address")
		if shown == "" {
			shown = "the usual https_address"
		}
		tls := n.in("tls")
		tls.set("cert_file", t.quoted(cert, certShown), certShown)
		tls.set("key_file", t.quoted(key, keyShown), keyShown)
	}
	lower := strings.ToLower(address)
	switch {
	case address == "" || address == "-":
		return
	case strings.HasPrefix(lower, "fd:"):
		n.note("%s: a socket that systemd has opened cannot be taken over; listen on an address, or on unix:///path", shown)
		return
	case strings.HasPrefix(lower, "unix:"):
		path, mode, _ := strings.Cut(strings.TrimPrefix(address[len("unix:"):], "//"), ",")
		if mode != "" {
			n.note("%s: the mode of the socket is not set here; give its folder the mode", shown)
		}
		if !filepath.IsAbs(path) {
			n.note("%s: the path of a socket is absolute here; write it from the root", shown)
		}
		address = "unix://" + path
	default:
		for _, scheme := range []string{"http://", "https://"} {
			address = strings.TrimPrefix(address, scheme)
		}
	}
	n.set("listen", t.quoted(address, shown), shown)
}

// publicURL writes what browsers see. oauth2-proxy may take it from the Host
// of each request; here no request decides where a sign-in leads.
func (t *translation) publicURL(n *node) {
	redirect, shown := t.text("redirect_url")
	prefix, _ := t.text("proxy_prefix")
	callback := strings.TrimSuffix(prefix, "/") + "/callback"
	u, err := url.Parse(redirect)
	switch {
	case t.src.PublicURL != "":
		n.set("public_url", quoted(t.src.PublicURL), "--public-url")
		if shown != "" {
			n.note("%s: the redirect URI is public_url and %s; register that at the provider", shown, callback)
		}
	case err == nil && u.Host != "" && u.User == nil:
		n.set("public_url", quoted(u.Scheme+"://"+u.Host), shown)
		if u.Path != "" && u.Path != callback {
			n.note("%s: the redirect URI ends in %s here; register that at the provider too", shown, callback)
		}
	default:
		n.note("oauth2-proxy took its address from each request. Here it is written down: what browsers see, such as https://apps.example.com. Register it and %s as redirect URI at the provider.", callback)
		if shown != "" {
			n.note("%s names no host", shown)
		}
		n.set("public_url", t.needs("GATEHOUSE_PUBLIC_URL"), "")
	}
}

// publicHost is the host of public_url; empty where it is not known.
func (t *translation) publicHost() string {
	redirect, _ := t.text("redirect_url")
	for _, candidate := range []string{t.src.PublicURL, redirect} {
		if u, err := url.Parse(candidate); err == nil && u.Host != "" {
			return strings.ToLower(u.Hostname())
		}
	}
	return ""
}

// chained reports whether the proxy in front is known to write the header from
// which the client's address is read here too.
func (t *translation) chained() bool {
	header, _ := t.text("real_client_ip_header")
	return strings.EqualFold(header, "X-Forwarded-For")
}

// trustedProxies never takes over that everybody is believed, which is what
// oauth2-proxy does where no proxy is named.
func (t *translation) trustedProxies(n *node) {
	behind, shown := t.truth("reverse_proxy")
	proxies, proxiesShown := t.list("trusted_proxy_ips")
	if !behind {
		if proxiesShown != "" {
			n.note("%s had no effect without reverse_proxy", proxiesShown)
		}
		return
	}
	var named, everybody, unread []string
	for _, p := range proxies {
		prefix, err := netip.ParsePrefix(p)
		if addr, notOne := netip.ParseAddr(p); notOne == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			unread = append(unread, p)
		case prefix.Bits() == 0:
			everybody = append(everybody, p)
		default:
			named = append(named, p)
		}
	}
	if header, headerShown := t.text("real_client_ip_header"); !t.chained() {
		if headerShown == "" {
			headerShown = origin("real_client_ip_header = " + header)
		}
		n.note("%s: the client's address is read from X-Forwarded-For or Forwarded; let the proxy in front write one of them, and pass on neither from a client", headerShown)
	}
	if len(unread) > 0 {
		n.note("%s: %q is no address and no range of them", proxiesShown, unread)
	}
	t.proxies = named
	prefix, _ := t.text("proxy_prefix")
	everyone := ""
	if len(everybody) > 0 {
		everyone = " (" + strings.Join(everybody, ", ") + ")"
	}
	if len(named) > 0 && everyone != "" {
		n.note("%s:%s takes in everybody, and is left out", proxiesShown, everyone)
	}
	if len(named) == 0 {
		n.note("%s believed X-Forwarded-* of everybody who connects%s. Here nobody's are believed until the addresses of the proxies in front are listed, such as 10.0.0.0/8 (or unix, for peers of a socket). Where another proxy asks %s, list it.",
			shown, everyone, prefix+"/auth for verdicts")
		n.set("trusted_proxies", "[]", joined(shown, proxiesShown))
		return
	}
	n.set("trusted_proxies", flow(named), joined(shown, proxiesShown))
}
