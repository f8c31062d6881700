package config

import (
	"crypto/x509"
	"net"
	"net/mail"
	"strings"
)

func (l *loader) validateMail(m Mail) {
	const at = "mail."
	if m.Address == "" {
		if m != (Mail{TLS: m.TLS}) {
			l.problem(at+"address", "is missing, and other keys of mail are set", "write host:port of your mail server, or remove the others")
		}
		return
	}
	name, port, err := net.SplitHostPort(m.Address)
	if err != nil || !isPort(port) || port == "0" || !isHost(strings.ToLower(name)) {
		// Not shown: a smtp:// URL has the password in it.
		l.problem(at+"address", "is not an address of a server", "write host:port, such as mail.example:587")
		return
	}
	if _, err := mail.ParseAddress(m.From); m.From == "" {
		l.problem(at+"from", "is missing, and mail.address is set", "write the sender of the mails, such as Gatehouse <gatehouse@example.com>")
	} else if err != nil {
		l.problem(at+"from", l.show(at+"from", m.From)+" is not an e-mail address", "write gatehouse@example.com, or Gatehouse <gatehouse@example.com>")
	}
	unread := l.places[at+"password"].bad || l.places[at+"password_file"].bad
	switch {
	case m.Username != "" && m.Password.IsZero() && !unread:
		l.problem(at+"username", "is set, and there is no password", "set password_file, or remove username")
	case m.Username == "" && !m.Password.IsZero():
		l.problem(at+"username", "is missing, and there is a password", "write the name that goes with it, or remove the password")
	}
	l.validateMailTLS(at, name, m)
}

func (l *loader) validateMailTLS(at, name string, m Mail) {
	if m.TLS == MailNone {
		if !isLoopback(name) && !m.InsecurePlaintext {
			l.problem(at+"tls", "none lets codes and links cross the network in clear: who reads one can sign in with it", "write starttls or tls, or set insecure_plaintext: true")
		}
		if m.CAFile != "" {
			l.problem(at+"ca_file", "is set, and mail.tls is none", "remove it, or write tls: starttls")
		}
		return
	}
	if m.InsecurePlaintext {
		l.problem(at+"insecure_plaintext", "is true, and mail.tls is "+m.TLS, "remove it: nothing is sent in clear")
	}
	if m.CAFile == "" {
		return
	}
	if pem, ok := l.readPEM(at+"ca_file", m.CAFile); ok && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		l.problem(at+"ca_file", "the file holds no certificate", "name a file of certificates in PEM")
	}
}
