package demo

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const aMail = "From: =?utf-8?q?Acm=C3=A9?= <gate@acme.example>\r\nTo: <ann@acme.example>\r\nSubject: Your =?utf-8?q?c=C3=B6de?=\r\n" +
	"Content-Type: multipart/alternative; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n31415926 caf=C3=A9\r\n..\r\n" +
	"--b\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>314<a href=3D\"http://localhost/\">x</a><script>alert(1)</script></p>\r\n--b--\r\n.\r\n"

// post talks to the postbox and returns the codes of its answers.
func post(t *testing.T, p *postbox, lines ...string) (codes []int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := p.serve(l); err != nil {
			t.Error(err)
		}
	})
	defer serving.Wait()
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := textproto.NewConn(conn)
	for _, line := range append([]string{""}, lines...) {
		if line != "" {
			if _, err := io.WriteString(conn, line); err != nil {
				t.Fatal(err)
			}
		}
		code, _, err := in.ReadResponse(0)
		if code == 0 {
			t.Fatalf("after %q: %v", line, err)
		}
		codes = append(codes, code)
	}
	return codes
}

func TestPostbox(t *testing.T) {
	p := &postbox{}
	got := post(t, p, "EHLO x\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\n", aMail,
		"DATA\r\n", "no mail at all\r\n.\r\n", "RSET\r\n", "QUIT\r\n")
	if diff := cmp.Diff([]int{220, 250, 250, 250, 354, 250, 354, 554, 250, 221}, got); diff != "" {
		t.Error(diff)
	}
	d, ok := p.find(1)
	want := delivered{
		Number: 1, At: d.At, From: "Acmé <gate@acme.example>", To: "<ann@acme.example>", Subject: "Your cöde",
		Text: "31415926 café\n.", HTML: "<p>314<a href=\"http://localhost/\">x</a><script>alert(1)</script></p>",
	}
	if diff := cmp.Diff(want, d); diff != "" || !ok {
		t.Error(diff)
	}
}

// A page on the Internet can have a browser post a form to any port: its lines
// would be commands.
func TestPostboxHangsUpOnBrowsers(t *testing.T) {
	p := &postbox{}
	got := post(t, p, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"+aMail)
	if diff := cmp.Diff([]int{220, 502}, got); diff != "" {
		t.Error(diff)
	}
	if all := p.all(); len(all) > 0 {
		t.Errorf("took %+v", all)
	}
}

func TestPostboxForgetsTheOldest(t *testing.T) {
	p := &postbox{}
	written := []byte(strings.TrimSuffix(aMail, ".\r\n"))
	for range keptMails + 3 {
		if err := p.take(written); err != nil {
			t.Fatal(err)
		}
	}
	all := p.all()
	if len(all) != keptMails || all[0].Number != keptMails+3 || all[len(all)-1].Number != 4 {
		t.Errorf("%d mails, from %d to %d", len(all), all[0].Number, all[len(all)-1].Number)
	}
}

// A mail is shown in a frame without rights: what is in it is not of this site.
func TestOutbox(t *testing.T) {
	a := testApp(t, nil)
	if page := get(a, outboxPath, nil).Body.String(); !strings.Contains(page, "None yet") {
		t.Error(page)
	}
	post(t, a.post, "DATA\r\n", aMail)
	for path, want := range map[string]string{
		outboxPath: "Your cöde", outboxPath + "/1": "31415926 café", outboxPath + "/1/html": `<a target="_blank" href="http://localhost/">`,
	} {
		if w := get(a, path, nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	policy := get(a, outboxPath+"/1/html", nil).Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "sandbox ") || strings.Contains(policy, "script") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %s", policy)
	}
	for _, path := range []string{"/2", "/x", "/2/html", "/-1"} {
		if w := get(a, outboxPath+path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if strings.Contains(fmt.Sprint(get(a, outboxPath+"/1", nil).Body), "<script") {
		t.Error("the page has what is in the mail")
	}
}
