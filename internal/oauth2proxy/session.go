package oauth2proxy

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

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
		n.note("%s: what keeps this cookie from applications beside nginx and Caddy (docs/forward-auth.md) names _gatehouse: write this name there", shown)
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
