package demo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of the postbox. It is on loopback, and what reaches it is made up.
const (
	keptMails   = 50
	maxMail     = 256 << 10 // bytes
	mailTimeout = 30 * time.Second
	maxCallers  = 16
)

// postbox is the mail server of the demonstration: it takes what the gateway
// sends (RFC 5321, as much as that needs) and keeps the last of it to be
// looked at.
type postbox struct {
	mu    sync.Mutex
	mails []delivered // the oldest first
	taken int         // ever
}

// delivered is a mail that came in.
type delivered struct {
	Number            int
	At                time.Time
	From, To, Subject string
	Text, HTML        string
}

// serve takes mails until the listener is closed, and returns when the last
// caller has gone.
func (p *postbox) serve(l net.Listener) error {
	var callers sync.WaitGroup
	defer callers.Wait()
	places := make(chan struct{}, maxCallers)
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		places <- struct{}{}
		callers.Go(func() {
			defer func() { <-places }()
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(mailTimeout))
			_ = p.talk(conn)
		})
	}
}

// talk is the conversation with one caller.
func (p *postbox) talk(conn net.Conn) error {
	limited := &io.LimitedReader{R: conn, N: 2 * maxMail}
	in := textproto.NewReader(bufio.NewReader(limited))
	say := func(line string) error {
		_, err := io.WriteString(conn, line+"\r\n")
		return err
	}
	if err := say("220 localhost the postbox of the demonstration"); err != nil {
		return err
	}
	for {
		line, err := in.ReadLine()
		if err != nil {
			return err
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		answer := ""
		switch verb {
		default:
			// A page on the Internet can make a browser send its form here, as
			// "POST / HTTP/1.1" and so on; what follows must not become mail.
			return say("502 not here")
		case "EHLO", "HELO", "MAIL", "RCPT", "RSET", "NOOP":
			answer = "250 localhost"
		case "DATA":
			if err := say("354 go on"); err != nil {
				return err
			}
			written, err := in.ReadDotBytes()
			if err != nil {
				return err
			}
			answer = "250 taken"
			if err := p.take(written); err != nil {
				answer = "554 " + strings.Map(printable, err.Error())
			}
		case "QUIT":
			return say("221 goodbye")
		}
		if err := say(answer); err != nil {
			return err
		}
	}
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// take keeps a mail, and drops the oldest where there are too many.
func (p *postbox) take(written []byte) error {
	d, err := read(written)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken++
	d.Number, d.At = p.taken, time.Now()
	p.mails = append(p.mails, d)
	if len(p.mails) > keptMails {
		p.mails = slices.Delete(p.mails, 0, len(p.mails)-keptMails)
	}
	return nil
}

// all returns the mails, the newest first.
func (p *postbox) all() []delivered {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(p.mails)
	slices.Reverse(all)
	return all
}

func (p *postbox) find(number int) (delivered, bool) {
	for _, d := range p.all() {
		if d.Number == number {
			return d, true
		}
	}
	return delivered{}, false
}

// read takes a mail apart (RFC 5322, RFC 2045) as far as the gateway writes it.
func read(written []byte) (delivered, error) {
	m, err := mail.ReadMessage(bytes.NewReader(written))
	if err != nil {
		return delivered{}, fmt.Errorf("read mail: %w", err)
	}
	var d delivered
	for name, into := range map[string]*string{"From": &d.From, "To": &d.To, "Subject": &d.Subject} {
		if *into, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get(name)); err != nil {
			*into = m.Header.Get(name)
		}
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return delivered{}, fmt.Errorf("read mail: %w", err)
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return delivered{}, fmt.Errorf("read mail: %w", err)
		}
		var body io.Reader = part
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return delivered{}, fmt.Errorf("read mail: %w", err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			d.HTML = string(text)
		} else {
			d.Text = string(text)
		}
	}
}
