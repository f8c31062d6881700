package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

func (l *loader) validateServer(s *Server) {
	if socket, ok := strings.CutPrefix(s.Listen, "unix://"); ok {
		l.validateSocket("server.listen", socket)
	} else {
		l.validateListen("server.listen", s.Listen)
	}
	l.validateListen("server.admin_listen", s.AdminListen)
	if s.Listen == s.AdminListen && !strings.HasSuffix(s.Listen, ":0") {
		l.problem("server.admin_listen", "is the same as server.listen", "give it a port of its own: what is for those who run the gateway must not be public")
	}
	if l.isSet("server.admin_socket") {
		l.validateSocket("server.admin_socket", s.AdminSocket)
	}
	s.PublicURL = l.validatePublicURL("server.public_url", s.PublicURL)
	s.Prefix = l.validatePrefix("server.prefix", s.Prefix)
	for i, peer := range s.TrustedProxies {
		s.TrustedProxies[i] = l.validatePeer(index("server.trusted_proxies", i), peer)
	}
	l.validateKeyPair("server.tls", s.TLS.CertFile, s.TLS.KeyFile)
}

func (l *loader) validateListen(path, value string) {
	host, port, err := net.SplitHostPort(value)
	if err != nil || !isPort(port) || host != "" && !isHost(strings.ToLower(host)) {
		l.problem(path, l.show(path, value)+" is not an address to listen on", "write host:port, such as 127.0.0.1:4180, or :4180 for every interface")
	}
}

// maxSocket is the length of the longest path of a Unix socket, in bytes
// (unix(7): sun_path, less its final NUL).
const maxSocket = 107

func (l *loader) validateSocket(path, socket string) {
	switch {
	case !filepath.IsAbs(socket):
		l.problem(path, "is not the absolute path of a socket", "write it from the root, such as unix:///run/gatehouse/gatehouse.sock")
	case len(socket) > maxSocket:
		l.problem(path, fmt.Sprintf("is longer than %d bytes, more than a socket's path can be", maxSocket), "choose a shorter path")
	}
}

// validatePublicURL returns the URL as browsers write an origin: lower case,
// no default port, no slash at the end.
func (l *loader) validatePublicURL(path, value string) string {
	const do = "write what browsers see, without a path, such as https://apps.example.com"
	u, wrong := plainURL(value, "https", "http")
	if wrong == "" && u.Path != "" && u.Path != "/" {
		wrong = "has a path"
	}
	if wrong != "" {
		l.problem(path, wrong, do)
		return value
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}

// host returns the host name of a URL that was judged before.
func host(value string) string {
	u, err := url.Parse(value)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (l *loader) validatePrefix(path, value string) string {
	prefix := strings.TrimSuffix(value, "/")
	const do = "write a path such as /oauth2"
	if prefix == "" || prefix[0] != '/' {
		l.problem(path, l.show(path, value)+" is not a path below the root", do)
		return value
	}
	for segment := range strings.SplitSeq(prefix[1:], "/") {
		if segment == "" || strings.Trim(segment, ".") == "" || strings.ContainsFunc(segment, func(c rune) bool {
			return c > '~' || !isAlphanumeric(byte(c)) && !strings.ContainsRune("-._~", c)
		}) {
			l.problem(path, l.show(path, value)+" has an empty segment or other characters than letters, digits and - . _ ~", do)
			return value
		}
	}
	if own := ownPath(prefix, ""); own != "" {
		l.problem(path, l.show(path, value)+" takes the place of "+own, do)
	}
	return prefix
}

// validatePeer returns a CIDR as the addresses of peers are compared: masked,
// IPv4-mapped ones unmapped.
func (l *loader) validatePeer(path, value string) string {
	if strings.EqualFold(value, "unix") {
		return "unix"
	}
	return l.addressRange(path, value, "write a CIDR such as 10.0.0.0/8, or unix")
}

// validateRange is validatePeer for clients.
func (l *loader) validateRange(path, value string) string {
	return l.addressRange(path, value, "write a CIDR such as 10.0.0.0/8")
}

func (l *loader) addressRange(path, value, do string) string {
	if addr, err := netip.ParseAddr(value); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()).String()
	}
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		l.problem(path, l.show(path, value)+" is not a range of addresses", do)
		return value
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked().String()
}

// validateKeyPair loads a certificate and its key, so that a wrong file shows
// now and not at the first handshake.
func (l *loader) validateKeyPair(path, cert, key string) {
	switch {
	case cert == "" && key == "":
	case cert == "":
		l.problem(path+".cert_file", "is missing, and key_file is set", "set both, or none")
	case key == "":
		l.problem(path+".key_file", "is missing, and cert_file is set", "set both, or none")
	default:
		certPEM, okCert := l.readPEM(path+".cert_file", cert)
		keyPEM, okKey := l.readPEM(path+".key_file", key)
		if !okCert || !okKey {
			return
		}
		if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil {
			l.problem(path+".cert_file", fmt.Sprintf("the certificate and its key cannot be used: %v", err), "name two files in PEM that belong together")
		}
	}
}

func (l *loader) readPEM(path, file string) ([]byte, bool) {
	pem, err := l.read(file, maxFile)
	if err != nil {
		l.unreadable(path, file, err)
	}
	return pem, err == nil
}

// unreadable reports a file that cannot be read.
func (l *loader) unreadable(path, file string, err error) {
	l.problem(path, fmt.Sprintf("the file %s cannot be read: %v", l.show(path, file), cause(err)), "correct the name, or let the user that runs Gatehouse read it")
}
