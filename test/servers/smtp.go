package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// SMTP is a server that takes mails and keeps them, or does as badly as a test
// wants. It is dead until Start.
type SMTP struct {
	Addr string
	CA   string // PEM of the authority of its certificate, where it has one

	ImplicitTLS        bool // TLS from the first byte; otherwise STARTTLS where there is a CA
	Username, Password string

	certificate *tls.Config
	server      *smtp.Server

	mu     sync.Mutex
	mails  []Mail
	refuse error              // to each recipient
	reject func(m Mail) error // to each mail, when it has been read
	hang   chan struct{}      // while it is not nil, nobody is greeted
	asked  int
}

// Mail is a mail as it came in.
type Mail struct {
	From    string // of the envelope
	To      string // of the envelope
	Secure  bool   // it came over TLS
	User    string // who had signed in
	Header  mail.Header
	Text    string
	HTML    string
	Written []byte
}

// NewSMTP returns a server that is dead, with a certificate of an authority of
// its own when secure.
func NewSMTP(t testing.TB, secure bool) *SMTP {
	t.Helper()
	s := &SMTP{Addr: FreeAddr(t)}
	if secure {
		ca, certFile, keyFile := certificate(t, t.TempDir())
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		s.CA = ca
		s.certificate = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	t.Cleanup(s.Stop)
	return s
}

// StartSMTP returns a server that runs.
func StartSMTP(t testing.TB, secure bool) *SMTP {
	t.Helper()
	s := NewSMTP(t, secure)
	s.Start(t)
	return s
}

// Start makes it answer, after Stop too.
func (s *SMTP) Start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s.server = smtp.NewServer(s)
	s.server.Domain = "localhost"
	s.server.ReadTimeout, s.server.WriteTimeout = 30*time.Second, 30*time.Second
	s.server.MaxRecipients = 1
	s.server.ErrorLog = quiet{}
	if s.ImplicitTLS {
		l = tls.NewListener(l, s.certificate)
	} else {
		s.server.TLSConfig = s.certificate
	}
	go s.server.Serve(l)
}

// Stop lets it die: it does not answer any more.
func (s *SMTP) Stop() {
	s.Hang(false)
	if s.server != nil {
		_ = s.server.Close()
		s.server = nil
	}
}

// Hang makes it take connections and say nothing, or ends that.
func (s *SMTP) Hang(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang != nil {
		close(s.hang)
		s.hang = nil
	}
	if on {
		s.hang = make(chan struct{})
	}
}

// Refuse makes it answer each recipient with a code and a text; 0 ends that.
func (s *SMTP) Refuse(code int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = nil
	if code != 0 {
		s.refuse = &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
	}
}

// Quote makes it refuse each mail that it has read, and tell all of it.
func (s *SMTP) Quote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reject = func(m Mail) error {
		text := strings.NewReplacer("\r", " ", "\n", " ").Replace(string(m.Written))
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "spam: " + text[:min(len(text), 1500)]}
	}
}

// Mails are those that it has taken.
func (s *SMTP) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Asked is how many connections it has seen that got as far as a greeting.
func (s *SMTP) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Wait waits for n mails and returns them.
func (s *SMTP) Wait(t testing.TB, n int) []Mail {
	t.Helper()
	WaitFor(t, "mails", func(context.Context) bool { return len(s.Mails()) >= n })
	return s.Mails()
}

// NewSession implements smtp.Backend.
func (s *SMTP) NewSession(c *smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	s.asked++
	hang := s.hang
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	_, secure := c.TLSConnectionState()
	return &smtpSession{server: s, mail: Mail{Secure: secure}}, nil
}

type smtpSession struct {
	server *SMTP
	mail   Mail
}

func (s *smtpSession) AuthMechanisms() []string {
	if s.server.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *smtpSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != s.server.Username || password != s.server.Password {
			return errors.New("no such user")
		}
		s.mail.User = username
		return nil
	}), nil
}

func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.Username != "" && s.mail.User == "" {
		return smtp.ErrAuthRequired
	}
	s.mail.From = from
	return nil
}

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.mail.To = to
	return s.server.refuse
}

func (s *smtpSession) Data(r io.Reader) error {
	written, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := s.mail
	m.Written = written
	if err := m.parse(); err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.reject != nil {
		return s.server.reject(m)
	}
	s.server.mails = append(s.server.mails, m)
	return nil
}

func (s *smtpSession) Reset() {}

func (s *smtpSession) Logout() error { return nil }

// parse reads the two forms of a mail.
func (m *Mail) parse() error {
	read, err := mail.ReadMessage(bytes.NewReader(m.Written))
	if err != nil {
		return err
	}
	m.Header = read.Header
	_, params, err := mime.ParseMediaType(read.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	for parts := multipart.NewReader(read.Body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var body io.Reader = part
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			return err
		}
		form := &m.Text
		if kind == "text/html" {
			form = &m.HTML
		}
		*form = strings.ReplaceAll(string(text), "\r\n", "\n")
	}
}

// quiet is a log of nobody.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (quiet) Println(...any) {}
