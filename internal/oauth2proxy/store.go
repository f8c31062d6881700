package oauth2proxy

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

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
