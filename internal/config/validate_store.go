package config

import (
	"crypto/x509"
	"net"
	"strings"
	"time"
)

func (l *loader) validateStore(c *Config) {
	if c.Store.Embedded.Path == "" {
		l.problem("store.embedded.path", "is empty", "write the name of a file, such as data/gatehouse.db")
	}
	if l.isSet("store.embedded") && l.isSet("store.redis") {
		l.problem("store", "has both embedded and redis", "keep one of them")
	}
	if p, ok := l.places["store.redis"]; ok && !p.set {
		l.problem("store.redis", "has no value, and without it everything would be stored in a file", "write {} for a Redis at 127.0.0.1:6379, or remove the key")
	}
	if c.Store.Redis != nil {
		l.validateRedis(c.Store.Redis)
	}
}

func (l *loader) validateRedis(r *Redis) {
	const at = "store.redis."
	if len(r.Addresses) == 0 {
		l.problem(at+"addresses", "is empty", "write one or more host:port")
	}
	for i, address := range r.Addresses {
		l.validateRedisAddress(index(at+"addresses", i), address, r)
	}
	if r.Mode == RedisStandalone && len(r.Addresses) > 1 {
		l.problem(at+"addresses", "has several addresses, and mode is standalone", "keep one, or set mode: sentinel or cluster")
	}
	if r.Mode == RedisSentinel && r.MasterName == "" {
		l.problem(at+"master_name", "is missing, and mode is sentinel", "write the name under which the sentinels watch the master")
	}
	if r.Mode != RedisSentinel && r.MasterName != "" {
		l.problem(at+"master_name", "is set, and mode is "+r.Mode, "remove it, or set mode: sentinel")
	}
	switch {
	case r.DB < 0:
		l.problem(at+"db", "is negative", "write 0, or the number of a database")
	case r.DB > 0 && r.Mode == RedisCluster:
		l.problem(at+"db", "a Redis Cluster has only database 0", "remove it")
	}
	if r.Username != "" && r.Password.IsZero() && !l.places[at+"password"].bad && !l.places[at+"password_file"].bad {
		l.problem(at+"username", "is set, and there is no password", "set password_file, or remove username")
	}
	if strings.ContainsFunc(r.KeyPrefix, func(c rune) bool {
		return c > '~' || !isAlphanumeric(byte(c)) && !strings.ContainsRune("-._:/", c)
	}) {
		// Braces would put every key on one node of a cluster; * ? [ ] are
		// patterns to SCAN.
		l.problem(at+"key_prefix", l.show(at+"key_prefix", r.KeyPrefix)+" has other characters than letters, digits and - . _ : /", "write a prefix such as gatehouse:")
	}
	l.validateDuration(at+"timeout", r.Timeout, time.Millisecond, time.Minute)
	l.validateRedisTLS(at+"tls", r.TLS)
}

func (l *loader) validateRedisAddress(path, address string, r *Redis) {
	if socket, ok := strings.CutPrefix(address, "unix://"); ok {
		l.validateSocket(path, socket)
		if r.Mode != RedisStandalone {
			l.problem(path, "a socket is on this host only, and mode is "+r.Mode, "write host:port")
		} else if r.TLS.Enabled {
			l.problem(path, "a socket has no TLS, and store.redis.tls.enabled is true", "write host:port, or remove tls")
		}
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !isPort(port) || port == "0" || !isHost(strings.ToLower(host)) {
		// Not shown: a redis:// URL has the password in it.
		l.problem(path, "is not an address of a server", "write host:port, such as redis.example:6379, or unix:///path/of/socket")
	}
}

func (l *loader) validateRedisTLS(path string, t RedisTLS) {
	if !t.Enabled {
		if t != (RedisTLS{}) {
			l.problem(path, "names files, and enabled is false", "set enabled: true, or remove the files")
		}
		return
	}
	l.validateKeyPair(path, t.CertFile, t.KeyFile)
	if t.CAFile == "" {
		return
	}
	if pem, ok := l.readPEM(path+".ca_file", t.CAFile); ok && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		l.problem(path+".ca_file", "the file holds no certificate", "name a file of certificates in PEM")
	}
}
