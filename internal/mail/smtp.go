package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Refused says that a server will never take this mail, whatever changes but
// the mail. A server that refuses everything is not meant: that is mended.
type Refused struct{ Err error }

func (r *Refused) Error() string { return "refused for good: " + r.Err.Error() }

func (r *Refused) Unwrap() error { return r.Err }

// Security of the connection to a server.
type Security int

// Values of Security.
const (
	StartTLS          Security = iota // begun on the plain connection; without it nothing is sent (RFC 3207)
	ImplicitTLS                       // from the first byte (RFC 8314, section 3.3)
	InsecurePlaintext                 // none
)

// Server is the server that mails are given to (RFC 6409). It implements
// Sender and is safe for concurrent use: each mail has a connection of its own.
type Server struct {
	Address  string // host:port
	Security Security
	TLS      *tls.Config // nil: the system's authorities are believed
	// Username and Password are sent where there is a name: in clear only over
	// TLS, otherwise by a method that does not show them.
	Username, Password string
	From               netmail.Address
	Hello              string // how this host calls itself; "": by its name (RFC 5321, section 4.1.1.1)
}

// Send implements Sender. It takes no longer than the context allows.
func (s *Server) Send(ctx context.Context, m Mail) error {
	msg, err := s.write(m)
	if err != nil {
		return &Refused{Err: err}
	}
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLS != nil {
		config = s.TLS.Clone()
	}
	config.ServerName = host
	d := &dialer{security: s.Security, config: config}
	// The client leaves a connection open when the greeting, TLS or the
	// password fails, and it begins its time anew at each step.
	defer d.close()
	defer context.AfterFunc(ctx, d.close)()
	options := []gomail.Option{
		gomail.WithPort(number), gomail.WithDialContextFunc(d.dial), gomail.WithTLSConfig(config),
		gomail.WithTLSPolicy(s.Security.policy()), gomail.WithoutNoop(),
	}
	if deadline, ok := ctx.Deadline(); ok {
		options = append(options, gomail.WithTimeout(max(time.Until(deadline), 1)))
	}
	if s.Hello != "" {
		options = append(options, gomail.WithHELO(s.Hello))
	}
	if s.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.Username), gomail.WithPassword(s.Password))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if msg.IsDelivered() {
		return nil // what went wrong since is not about the mail
	}
	return s.judge(err)
}

// write makes the message as it goes over the wire (RFC 5322), text first and
// HTML as what to show where it can be (RFC 2046, section 5.1.4).
func (s *Server) write(m Mail) (*gomail.Msg, error) {
	to, err := netmail.ParseAddress(m.To)
	if err != nil {
		return nil, fmt.Errorf("the recipient is no address: %w", err)
	}
	_, domain, _ := strings.Cut(s.From.Address, "@")
	msg := gomail.NewMsg()
	msg.FromMailAddress(&s.From)
	msg.ToMailAddress(&netmail.Address{Address: to.Address})
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Date)
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	// No machine may answer a machine (RFC 3834, section 5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}

// judge tells a refusal of this mail from what may pass: a server that takes
// nothing from this sender is a matter of settings.
func (s *Server) judge(err error) error {
	if err == nil {
		return nil
	}
	// Not the whole of it: the message goes with the client's error.
	text, _, _ := strings.Cut(err.Error(), ", affected ")
	if s.Password != "" {
		text = strings.ReplaceAll(text, s.Password, "[password]")
	}
	said := errors.New(text)
	failure, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return said
	}
	code := failure.ErrorCode()
	if failure.Reason == gomail.ErrSMTPDataClose {
		// By now the server has read the mail, and some quote what they refuse:
		// an address with its token, wrapped and encoded as it likes.
		said = fmt.Errorf("the server has read the mail and answered %d %s", code, failure.EnhancedStatusCode())
	}
	const wantsPassword = 530 // RFC 4954, section 6
	switch failure.Reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
		if code >= 500 && code < 600 && code != wantsPassword {
			return &Refused{Err: said}
		}
	}
	return said
}

func (s Security) policy() gomail.TLSPolicy {
	switch s {
	case StartTLS:
		return gomail.TLSMandatory
	case ImplicitTLS:
		return gomail.TLSOpportunistic // the dialer has begun it, and the client sees that
	}
	return gomail.NoTLS
}

// dialer opens one connection and closes it whatever happens.
type dialer struct {
	security Security
	config   *tls.Config

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	var err error
	if d.security == ImplicitTLS {
		conn, err = (&tls.Dialer{Config: d.config}).DialContext(ctx, network, address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	d.conn = conn
	return conn, nil
}

func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.conn != nil {
		_ = d.conn.Close()
	}
}
