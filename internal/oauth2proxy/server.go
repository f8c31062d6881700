package oauth2proxy

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
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
		n.set("admin_listen", quoted(strings.TrimPrefix(address, "http://")), shown)
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
		tls.set("cert_file", quoted(cert), certShown)
		tls.set("key_file", quoted(key), keyShown)
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
	n.set("listen", quoted(address), shown)
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
	if header, headerShown := t.text("real_client_ip_header"); !strings.EqualFold(header, "X-Forwarded-For") {
		if headerShown == "" {
			headerShown = "real_client_ip_header = " + header
		}
		n.note("%s: the client's address is read from X-Forwarded-For or Forwarded; let the proxy in front send one of them", headerShown)
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
		n.set("trusted_proxies", "[]", strings.TrimSuffix(shown+", "+proxiesShown, ", "))
		return
	}
	n.set("trusted_proxies", flow(named), shown+", "+proxiesShown)
}

// longest is the longest time that a browser keeps a cookie.
const longest = 400 * 24 * time.Hour

func (t *translation) session() {
	n := t.root.in("session")
	if name, shown := t.text("cookie_name"); shown != "" {
		bare := strings.TrimPrefix(strings.TrimPrefix(name, "__Host-"), "__Secure-")
		n.set("cookie_name", quoted(bare), shown)
		if bare != name {
			n.note("%s: __Host- is put before it where that is possible", shown)
		}
	}
	t.cookieDomain(n)
	if site, shown := t.text("cookie_samesite"); site != "" {
		n.set("same_site", quoted(site), shown)
	}
	t.lifetime(n)
	if domains, shown := t.list("whitelist_domains"); len(domains) > 0 {
		n.set("return_domains", flow(domains), shown)
	}
}

func (t *translation) cookieDomain(n *node) {
	domains, shown := t.list("cookie_domains")
	if len(domains) == 0 {
		return
	}
	host := t.publicHost()
	var chosen string
	for _, d := range domains {
		d = strings.ToLower(strings.TrimPrefix(d, "."))
		if (host == "" && chosen == "") || (host == d || strings.HasSuffix(host, "."+d)) && len(d) > len(chosen) {
			chosen = d
		}
	}
	if _, err := netip.ParseAddr(chosen); err == nil || !strings.Contains(chosen, ".") {
		n.note("%s: no cookie can be set for it here; the cookie is that of public_url's host", shown)
		return
	}
	n.set("cookie_domain", quoted(chosen), shown)
	if len(domains) > 1 {
		n.note("%s: one session has one domain, that of public_url; for the others, %q, run a Gatehouse of their own", shown,
			slices.DeleteFunc(slices.Clone(domains), func(d string) bool { return strings.TrimPrefix(strings.ToLower(d), ".") == chosen }))
	}
}

// lifetime keeps the promise of cookie_refresh: that the provider is asked
// again after that time. A session that has ended asks it too.
func (t *translation) lifetime(n *node) {
	lifetime, shown := t.span("cookie_expire")
	refresh, refreshShown := t.span("cookie_refresh")
	if shown == "" {
		shown = "the usual cookie_expire"
	}
	if lifetime <= 0 {
		n.note("%s: a session ends after some time in any case, also where the browser keeps its cookie", shown)
		lifetime = 24 * time.Hour
	}
	if lifetime > longest {
		n.note("%s: no browser keeps a cookie for so long", shown)
		lifetime = longest
	}
	if refresh > 0 {
		n.note("%s: a session is not refreshed; it ends, and the provider is asked again, which people who are signed in there do not notice. Longer is possible: whom the provider has locked out comes in until the session ends, or is ended by its logout token or by gatehouse session end.", refreshShown)
		lifetime, shown = min(lifetime, max(refresh, time.Hour)), refreshShown
	}
	n.set("lifetime", written(lifetime), shown)
	n.set("idle_timeout", written(lifetime), shown)
}

// written is a duration without the parts that are zero.
func written(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (t *translation) store() {
	n := t.root.in("store")
	kind, shown := t.text("session_store_type")
	if kind != "redis" {
		n.note("oauth2-proxy kept sessions in cookies. Here a cookie is only a name, and what it names is in this file, which one process can use; for several replicas write redis in its place (docs/configuration.md).")
		n.in("embedded").set("path", "data/gatehouse.db", shown)
		return
	}
	n.note("%s: everything is there, accounts too, so it must not evict (docs/configuration.md)", shown)
	t.redis(n.in("redis"))
	keys := t.root.in("secrets")
	keys.note("What seals the secrets in the store: openssl rand -base64 32, the same on each replica.")
	keys.set("keys", `["`+t.needs("GATEHOUSE_SECRET_KEY")+`"]`, "")
}

func (t *translation) redis(n *node) {
	mode, urls := "standalone", "redis_connection_url"
	master, masterShown := t.text("redis_sentinel_master_name")
	sentinel, sentinelShown := t.truth("redis_use_sentinel")
	cluster, clusterShown := t.truth("redis_use_cluster")
	switch {
	case sentinel:
		mode, urls = "sentinel", "redis_sentinel_connection_urls"
		n.set("mode", mode, sentinelShown)
		n.set("master_name", quoted(master), masterShown)
	case cluster:
		mode, urls = "cluster", "redis_cluster_connection_urls"
		n.set("mode", mode, clusterShown)
	}
	given, shown := t.list(urls)
	var addresses []string
	var username, db string
	var secured, password bool
	for _, one := range given {
		u, err := url.Parse(one)
		if err != nil {
			n.note("%s: an address cannot be read", shown) // it may hold a password
			continue
		}
		if u.User != nil {
			_, has := u.User.Password()
			username, password = u.User.Username(), password || has
		}
		if u.Scheme == "unix" {
			addresses, db = append(addresses, "unix://"+u.Path), u.Query().Get("db")
			continue
		}
		secured = secured || u.Scheme == "rediss"
		port := u.Port()
		if port == "" {
			port = "6379"
		}
		addresses, db = append(addresses, net.JoinHostPort(u.Hostname(), port)), strings.Trim(u.Path, "/")
	}
	n.set("addresses", flow(addresses), shown)
	if number, err := strconv.Atoi(db); err == nil && number > 0 && !cluster {
		n.set("db", strconv.Itoa(number), shown)
	}
	from := shown
	if name, nameShown := t.text("redis_username"); name != "" {
		username, from = name, nameShown
	}
	if username != "" {
		n.set("username", quoted(username), from)
	}
	if _, passwordShown := t.text("redis_password"); passwordShown != "" {
		password, shown = true, passwordShown
	}
	if password {
		n.note("the password that stood in %s: put it into the variable, or write password_file", shown)
		n.set("password", t.needs("OAUTH2_PROXY_REDIS_PASSWORD"), shown)
	}
	ca, caShown := t.text("redis_ca_path")
	if secured || ca != "" {
		tls := n.in("tls")
		tls.set("enabled", "true", "")
		if ca != "" {
			tls.set("ca_file", quoted(ca), caShown)
		}
	}
}
