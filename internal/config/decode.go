package config

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// config reads a whole file. Every default of the file is in the decode
// files, next to its key.
func (l *loader) config(root *yaml.Node) *Config {
	o := l.object(root, "")
	c := &Config{
		Server:      server(o.object("server")),
		Store:       l.store(o.object("store")),
		Secrets:     secrets(o.object("secrets")),
		Session:     session(o.object("session")),
		Connections: connections(o),
		Local:       local(o.object("local")),
		Admin:       admin(o.object("admin")),
		MFA:         mfa(o.object("mfa")),
		Mail:        mailing(o.object("mail")),
		Routes:      routes(o),
		APIPaths:    o.texts("api_paths"),
		Contact:     o.text("contact", ""),
		Log:         logging(o.object("log")),
	}
	c.JITProvisioning = jitProvisioning(o.object("jit_provisioning"))
	c.resolveAttributeSync()
	c.IdentityHeaders = identityHeaders(o.object("identity_headers"))
	o.done()
	return c
}

func server(o *object) Server {
	defer o.done()
	s := Server{
		Listen:         o.text("listen", "127.0.0.1:4180"),
		PublicURL:      o.text("public_url", "http://localhost:4180"),
		Prefix:         o.text("prefix", "/oauth2"),
		TrustedProxies: o.texts("trusted_proxies"),
		AdminListen:    o.text("admin_listen", "127.0.0.1:4181"),
		Pprof:          o.flag("pprof", false),
		AdminSocket:    o.file("admin_socket", "data/gatehouse.sock"),
	}
	s.AdminListenSet = o.l.isSet("server.admin_listen")
	s.AdminSocketSet = o.l.isSet("server.admin_socket")
	tls := o.object("tls")
	defer tls.done()
	s.TLS = TLSFiles{CertFile: tls.file("cert_file", ""), KeyFile: tls.file("key_file", "")}
	return s
}

// store takes Redis where the file names it, so that `redis: {}` is a Redis
// at its usual place and no store section at all is the embedded one.
func (l *loader) store(o *object) Store {
	defer o.done()
	embedded := o.object("embedded")
	s := Store{Embedded: Embedded{Path: embedded.file("path", "data/gatehouse.db")}}
	embedded.done()
	r := redis(o.object("redis"))
	if l.isSet("store.redis") {
		s.Redis = &r
	}
	return s
}

func redis(o *object) Redis {
	defer o.done()
	r := Redis{
		Mode:       o.choice("mode", RedisStandalone, RedisStandalone, RedisSentinel, RedisCluster),
		Addresses:  o.texts("addresses", "127.0.0.1:6379"),
		MasterName: o.text("master_name", ""),
		Username:   o.text("username", ""),
		Password:   o.secret("password"),
		DB:         o.number("db", 0),
		KeyPrefix:  o.text("key_prefix", "gatehouse:"),
		Timeout:    o.duration("timeout", time.Second),
	}
	tls := o.object("tls")
	defer tls.done()
	r.TLS = RedisTLS{
		Enabled:  tls.flag("enabled", false),
		CAFile:   tls.file("ca_file", ""),
		CertFile: tls.file("cert_file", ""),
		KeyFile:  tls.file("key_file", ""),
	}
	return r
}

func secrets(o *object) Secrets {
	defer o.done()
	return Secrets{Keys: o.secrets("keys")}
}

func session(o *object) Session {
	defer o.done()
	return Session{
		CookieName:    o.text("cookie_name", "_gatehouse"),
		CookieDomain:  o.text("cookie_domain", ""),
		SameSite:      o.choice("same_site", "lax", "lax", "strict", "none"),
		IdleTimeout:   o.duration("idle_timeout", 8*time.Hour),
		Lifetime:      o.duration("lifetime", 24*time.Hour),
		CacheTTL:      o.duration("cache_ttl", 5*time.Second),
		ReturnDomains: o.texts("return_domains"),
	}
}

func local(o *object) Local {
	defer o.done()
	l := Local{Enabled: o.flag("enabled", true)}
	password := o.object("password")
	defer password.done()
	l.Password.MinLength = password.number("min_length", 12)
	l.Password.MinStrength = password.number("min_strength", 3)
	l.Password.Reset = password.flag("reset", true)
	return l
}

func admin(o *object) Admin {
	defer o.done()
	return Admin{Groups: o.texts("groups"), AllowFederated: o.flag("allow_federated", false)}
}

func mailing(o *object) Mail {
	defer o.done()
	return Mail{
		Address:           o.text("address", ""),
		From:              o.text("from", ""),
		Username:          o.text("username", ""),
		Password:          o.secret("password"),
		TLS:               o.choice("tls", MailStartTLS, MailStartTLS, MailTLS, MailNone),
		CAFile:            o.file("ca_file", ""),
		InsecurePlaintext: o.flag("insecure_plaintext", false),
	}
}

func mfa(o *object) MFA {
	defer o.done()
	m := MFA{
		Enforce: o.choice("enforce", EnforceLocal, EnforceLocal, EnforceAll, EnforceOff),
		Methods: o.texts("methods", methods()...),
	}
	totp := o.object("totp")
	defer totp.done()
	m.TOTP.Issuer = totp.text("issuer", "Gatehouse")
	return m
}

func identityHeaders(o *object) IdentityHeaders {
	defer o.done()
	h := IdentityHeaders{
		User:              o.text("user", "X-Forwarded-User"),
		Email:             o.text("email", "X-Forwarded-Email"),
		Groups:            o.text("groups", "X-Forwarded-Groups"),
		PreferredUsername: o.text("preferred_username", "X-Forwarded-Preferred-Username"),
	}
	o.unbuilt("access_token", "")
	o.unbuilt("assertion", "")
	if n := o.nodes["attributes"]; n == nil || n.Kind != yaml.MappingNode {
		h.Attributes = o.text("attributes", "X-Forwarded-Attr-")
		return h
	}
	h.AttributeNames = map[string]string{}
	for _, e := range o.entries("attributes") {
		h.AttributeNames[e.name] = o.l.text(e.node, e.path, "")
	}
	return h
}

func logging(o *object) Log {
	defer o.done()
	return Log{
		Level:  o.choice("level", "info", "debug", "info", "warn", "error"),
		Format: o.choice("format", "json", "json", "text"),
	}
}
