package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	netmail "net/mail"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/store/memory"
	"gatehouse/test/servers"
)

// to returns a Server that gives mails to that one.
func to(t *testing.T, s *servers.SMTP, security Security) *Server {
	t.Helper()
	server := &Server{
		Address: s.Addr, Security: security, From: netmail.Address{Name: "Acmé", Address: "gate@acme.example"},
		Username: s.Username, Password: s.Password, Hello: "gate.acme.example",
	}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		server.TLS.RootCAs.AppendCertsFromPEM(pem)
	}
	return server
}

func example(t *testing.T, name string) Mail {
	t.Helper()
	return newOutbox(t, memory.New(), &postman{}, nil).compose("1abc", examples()[name])
}

func TestSend(t *testing.T) {
	for _, c := range []struct {
		name     string
		secure   bool
		implicit bool
		security Security
		username string
	}{
		{name: "in clear", security: InsecurePlaintext},
		{name: "STARTTLS", secure: true, security: StartTLS},
		{name: "STARTTLS and a password", secure: true, security: StartTLS, username: "gate"},
		{name: "TLS", secure: true, implicit: true, security: ImplicitTLS},
		{name: "TLS and a password", secure: true, implicit: true, security: ImplicitTLS, username: "gate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := servers.NewSMTP(t, c.secure)
			s.ImplicitTLS, s.Username, s.Password = c.implicit, c.username, "hunter2"
			s.Start(t)
			want := example(t, "reset")
			if err := to(t, s, c.security).Send(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			mails := s.Mails()
			if len(mails) != 1 {
				t.Fatalf("%d mails", len(mails))
			}
			got := mails[0]
			if got.From != "gate@acme.example" || got.To != "ann@acme.example" || got.Secure != c.secure || got.User != c.username {
				t.Errorf("envelope %+v", got)
			}
			if got.Text != want.Text || got.HTML != want.HTML {
				t.Errorf("text:\n%s\nHTML:\n%s", cmp.Diff(want.Text, got.Text), cmp.Diff(want.HTML, got.HTML))
			}
			for name, want := range map[string]string{
				"Subject": "Reset your password at Acme", "To": "<ann@acme.example>", "From": `=?utf-8?q?Acm=C3=A9?= <gate@acme.example>`,
				"Message-Id": "<1abc@acme.example>", "Date": "Fri, 27 Nov 2026 16:02:03 +0000", "Auto-Submitted": "auto-generated",
			} {
				if got := got.Header.Get(name); !strings.EqualFold(got, want) {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
		})
	}
}

// Whoever is on the way can take STARTTLS out of the server's answer; nothing
// may then be sent in clear, the password least of all.
func TestNothingIsSentInClear(t *testing.T) {
	s := servers.NewSMTP(t, false)
	s.Username, s.Password = "gate", "hunter2"
	s.Start(t)
	for name, security := range map[string]Security{"STARTTLS": StartTLS, "TLS": ImplicitTLS, "a password without TLS": InsecurePlaintext} {
		if err := to(t, s, security).Send(t.Context(), example(t, "code")); err == nil {
			t.Errorf("%s: sent", name)
		}
	}
	if got := s.Mails(); len(got) > 0 {
		t.Errorf("got %d mails", len(got))
	}
}

// A certificate that nobody vouches for may be anybody's.
func TestAForeignCertificate(t *testing.T) {
	s := servers.StartSMTP(t, true)
	for name, config := range map[string]*tls.Config{"the system's": nil, "another": {RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}} {
		server := to(t, s, StartTLS)
		server.TLS = config
		if err := server.Send(t.Context(), example(t, "code")); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s authorities: %v", name, err)
		}
	}
}

func TestJudgement(t *testing.T) {
	s := servers.StartSMTP(t, false)
	server := to(t, s, InsecurePlaintext)
	for _, c := range []struct {
		name    string
		code    int
		refused bool
	}{
		{"no such user", 550, true},
		{"greylisted", 451, false},
		{"wants a password", 530, false},
	} {
		s.Refuse(c.code, c.name)
		err := server.Send(t.Context(), example(t, "code"))
		if _, refused := err.(*Refused); err == nil || refused != c.refused || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%d %s: %v", c.code, c.name, err)
		}
	}
	s.Refuse(0, "")
	bad := example(t, "code")
	bad.To = "no address"
	if err, refused := server.Send(t.Context(), bad).(*Refused); !refused {
		t.Errorf("no address: %v", err)
	}
	s.Stop()
	if err := server.Send(t.Context(), example(t, "code")); err == nil {
		t.Error("sent to the dead")
	} else if _, refused := err.(*Refused); refused {
		t.Errorf("a dead server refuses nothing: %v", err)
	}
}

// A wrong password is mended in the configuration; it must not end what waits,
// and not be shown.
func TestAWrongPassword(t *testing.T) {
	s := servers.NewSMTP(t, true)
	s.Username, s.Password = "gate", "hunter2"
	s.Start(t)
	server := to(t, s, StartTLS)
	server.Password = "hunter3"
	err := server.Send(t.Context(), example(t, "code"))
	if _, refused := err.(*Refused); err == nil || refused || strings.Contains(err.Error(), "hunter3") {
		t.Errorf("got %v", err)
	}
}

// A server that takes the connection and says nothing must not hold a worker,
// nor a connection, for longer than an attempt may take.
func TestAServerThatHangs(t *testing.T) {
	s := servers.StartSMTP(t, false)
	s.Hang(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := to(t, s, InsecurePlaintext).Send(ctx, example(t, "code")); err == nil {
		t.Error("sent")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// What a filter quotes of a mail is wrapped and encoded in any way: a token in
// two lines is found by nobody who looks for it in one.
func TestWhatIsQuotedIsNotTold(t *testing.T) {
	s := servers.StartSMTP(t, false)
	s.Quote()
	log := &bytes.Buffer{}
	o := newOutbox(t, memory.New(), &postman{}, log)
	o.Sender = to(t, s, InsecurePlaintext)
	m := examples()["reset"]
	if err := o.Link(t.Context(), m.To, m.Kind, m.URL, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	o.pass(t.Context())
	entries := list(t, o)
	if len(entries) != 1 || !entries[0].Failed || !strings.Contains(entries[0].Error, "550 5.7.1") {
		t.Fatalf("got %+v", entries)
	}
	said := log.String() + entries[0].Error
	for _, part := range []string{"Zm9v", "token", "spam"} {
		if strings.Contains(said, part) {
			t.Errorf("%s is shown: %s", part, said)
		}
	}
}
