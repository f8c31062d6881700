package test

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"gatehouse/test/servers"
)

// demo is a running demonstration, and what it printed.
type demo struct {
	*servers.Gateway
	password string
	tmp      string // the only folder that it may write to
}

var (
	demoURL      = regexp.MustCompile(`(?m)^  Open +(\S+)$`)
	demoPassword = regexp.MustCompile(`(?m)^ +password +(\S+)$`)
	demoItems    = regexp.MustCompile(`(?m)^  (\d+)\. `)
	anyURL       = regexp.MustCompile(`https?://[^/\s]+`)
)

// startDemo starts the demonstration on a free port.
func startDemo(t *testing.T) *demo {
	t.Helper()
	d := &demo{Gateway: &servers.Gateway{Bin: binary}, tmp: t.TempDir()}
	cmd := exec.Command(binary, "demo", "--listen", "127.0.0.1:0")
	cmd.Dir = d.tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+d.tmp, "GORACE=halt_on_error=1")
	d.Process = servers.StartProcess(t, cmd)
	servers.WaitFor(t, "the demonstration to say what to try", func(context.Context) bool {
		select {
		case <-d.Done():
			t.Fatalf("the demonstration ended:\n%s", d.Output())
		default:
		}
		return strings.Contains(d.Output(), "Stop with Ctrl-C.")
	})
	out := d.Output()
	address, password := demoURL.FindStringSubmatch(out), demoPassword.FindStringSubmatch(out)
	if address == nil || password == nil {
		t.Fatalf("the demonstration does not say where it is or how to sign in:\n%s", out)
	}
	d.URL, d.password = address[1], password[1]
	for _, other := range anyURL.FindAllString(out, -1) {
		if other != d.URL {
			t.Errorf("it prints another URL, %s:\n%s", other, out)
		}
	}
	return d
}

// end ends it by a signal and fails the test unless that leaves nothing.
func (d *demo) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if entries, err := os.ReadDir(d.tmp); err != nil || len(entries) != 1 {
		t.Errorf("while it runs there are %v, %v and not one folder of its own", entries, err)
	}
	d.Signal(signal)
	servers.WaitFor(t, "the demonstration to end", func(context.Context) bool {
		select {
		case <-d.Done():
			return true
		default:
			return false
		}
	})
	if code := d.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("ended by %v: exit code %d\n%s", signal, code, d.Output())
	}
	if left, err := filepath.Glob(filepath.Join(d.tmp, "*")); err != nil || len(left) > 0 {
		t.Errorf("ended by %v, it leaves %q", signal, left)
	}
}

var pickForm = regexp.MustCompile(`name="request" value="([^"]*)"`)

// as signs somebody in through a provider of the demonstration, from the
// gateway's sign-in page on, and returns the page where that ends.
func (d *demo) as(t *testing.T, v *visitor, provider, person string) reply {
	t.Helper()
	page := v.get(d.URL+"/").wants(t, http.StatusOK)
	button := regexp.MustCompile(`href="(/oauth2/start\?connection=` + provider + `[^"]*)"`).FindStringSubmatch(page.Text)
	if button == nil {
		t.Fatalf("no button for %s at %s:\n%s", provider, page.Request.URL, page.Text)
	}
	pick := v.get(d.URL+html.UnescapeString(button[1])).wants(t, http.StatusOK)
	request := pickForm.FindStringSubmatch(pick.Text)
	card := regexp.MustCompile(`value="([^"]+)">\s*<span[^>]*>[^<]*</span>\s*<span class="who"><strong>` + regexp.QuoteMeta(html.EscapeString(person))).FindStringSubmatch(pick.Text)
	if request == nil || card == nil {
		t.Fatalf("nobody called %s can be picked at %s:\n%s", person, pick.Request.URL, pick.Text)
	}
	return v.send(true, http.MethodPost, pick.Request.URL.ResolveReference(&url.URL{Path: "/authorize"}).String(),
		url.Values{"request": {html.UnescapeString(request[1])}, "person": {card[1]}})
}

// signOut presses the button of the demonstration's application.
func (d *demo) signOut(t *testing.T, v *visitor) {
	t.Helper()
	v.get(d.URL+"/").tells(t, `href="/oauth2/sign_out"`)
	v.get(d.URL+"/oauth2/sign_out", "Sec-Fetch-Site", "same-origin").wants(t, http.StatusOK).tells(t, "You are signed out")
	v.signedOut(d.Gateway)
}

// tells fails the test unless the application's page says all of that.
func (r reply) tells(t *testing.T, what ...string) {
	t.Helper()
	r.wants(t, http.StatusOK)
	for _, text := range what {
		if !strings.Contains(r.Text, text) {
			t.Errorf("%s does not say %q:\n%s", r.Request.URL, text, r.Text)
		}
	}
}

// headerRow is how the application shows a header that it received.
func headerRow(name, value string) string {
	return `<code>` + name + `</code></th><td><code>` + html.EscapeString(value) + `</code>`
}

// TestDemo follows what the demonstration says is worth trying.
func TestDemo(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	if items := demoItems.FindAllString(d.Output(), -1); len(items) != 7 {
		t.Errorf("%d things are worth trying, and this story tries 7", len(items))
	}
	v := newVisitor(t, "")
	page := v.get(d.URL + "/")
	for _, want := range []string{"This is a demonstration.", "Continue with Acme", "Continue with Partner", `name="password"`} {
		if !strings.Contains(page.Text, want) {
			t.Errorf("the sign-in page lacks %q:\n%s", want, page.Text)
		}
	}

	// 1. An account, its attributes and where they come from.
	d.as(t, v, "acme", "Employee").tells(t,
		"This is a demonstration.", "This person has an account", `<th scope="row">department</th><td>Verkauf, Zürich</td><td><span class="source">acme</span>`,
		headerRow("X-Forwarded-User", "employee"), headerRow("X-Forwarded-Email", "employee@acme.example"), headerRow("X-Forwarded-Groups", "staff"),
		headerRow("X-Forwarded-Attr-Department", "Verkauf%2C Z%C3%BCrich"), "acme, subject acme-0002")
	// 4. The same person may not see what the administrator sees.
	v.get(d.URL+"/admin/").wants(t, http.StatusForbidden)
	d.signOut(t, v)
	// 2. The same headers, and no account.
	d.as(t, v, "partner", "Employee").tells(t,
		"No account.", headerRow("X-Forwarded-User", "partner:partner-0002"), headerRow("X-Forwarded-Email", "employee@partner.example"),
		headerRow("X-Forwarded-Groups", "partners"), headerRow("X-Forwarded-Attr-Department", "Logistics"))
	d.signOut(t, v)
	d.as(t, v, "partner", "Administrator").tells(t, headerRow("X-Forwarded-Groups", "partners"))
	v.get(d.URL+"/admin/").wants(t, http.StatusForbidden)
	d.signOut(t, v)
	// 4. The administrator of Acme.
	d.as(t, v, "acme", "Administrator").tells(t, headerRow("X-Forwarded-Groups", "admins,staff"))
	v.get(d.URL+"/admin/").tells(t, "Only members of the group admins")
	d.signOut(t, v)
	// An e-mail address that is not verified stays here.
	d.as(t, v, "acme", "Contractor").tells(t, "contractor@acme.example (not verified)",
		`<code>X-Forwarded-Email</code></th><td><span class="none">empty</span>`)
	d.signOut(t, v)
	// 5. Before 3 the holder of the local account's address becomes it.
	d.as(t, v, "acme", "Holder of the local account").tells(t, headerRow("X-Forwarded-User", "local"), "acme, subject acme-0004")
	d.signOut(t, v)
	d.as(t, v, "partner", "Holder of the local account").tells(t, headerRow("X-Forwarded-User", "partner:partner-0004"), "No account.")
	d.signOut(t, v)
	// Everybody may see the public page.
	v.get(d.URL+"/public/").tells(t, "Nobody is signed in,")

	// 7. A program.
	program := v.look(d.URL+"/", "Accept", "*/*").wants(t, http.StatusUnauthorized)
	if !strings.Contains(program.Text, `"error":"unauthenticated"`) || !strings.HasPrefix(program.Header.Get("Content-Type"), "application/json") {
		t.Errorf("a program is told %s", program.Text)
	}

	d.staysHere(t)
	d.end(t, syscall.SIGINT)
}

// TestDemoLocalAccount is the third thing that is worth trying, in a browser,
// and the fifth after it.
func TestDemoLocalAccount(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	b := browse(t)
	b.Go(t, d.URL)
	heading(t, b, "Sign in")
	b.Do(t, chromedp.SendKeys(chromedp.CSS("#username"), "local"), chromedp.SendKeys(chromedp.CSS("#password"), d.password+"\n"))
	heading(t, b, "Set up your authenticator app")
	key := strings.Join(strings.Fields(servers.Ask(t, b, chromedp.TextContent(chromedp.CSS(".key")))), "")
	b.Go(t, d.URL+"/public/authenticator")
	b.Do(t, chromedp.SendKeys(chromedp.CSS("#key"), key+"\n"))
	code := servers.Ask(t, b, chromedp.Text(chromedp.CSS(".big-code code")))
	b.Go(t, d.URL+"/oauth2/mfa")
	b.Do(t, chromedp.SendKeys(chromedp.CSS("#code"), code+"\n"))
	heading(t, b, "Hello, local")

	// 6. The mail about it.
	servers.WaitFor(t, "a mail", func(context.Context) bool {
		return strings.Contains(newVisitor(t, "").get(d.URL+"/public/outbox").Text, "A second factor was added")
	})
	b.Go(t, d.URL+"/public/outbox")
	press(t, b, "A second factor was added at Gatehouse")
	if text := servers.Ask(t, b, chromedp.Text(chromedp.CSS("pre.letter"))); !strings.Contains(text, "Authenticator app") || !strings.Contains(text, "127.0.0.1") || !strings.Contains(text, "Chrome on Linux") {
		t.Errorf("the mail:\n%s", text)
	}
	b.Go(t, d.URL+"/")
	press(t, b, "Sign out and try somebody else")
	heading(t, b, "You are signed out") // at once: the demonstration's own page asked

	// 5. The account has a second factor now: the word of Acme is not enough.
	v := newVisitor(t, "")
	d.as(t, v, "acme", "Holder of the local account").shows(t, http.StatusOK, confirmHeading)
	v.signedOut(d.Gateway)
	v.proveBy(d.Gateway, "password", d.password).leads(t, "/oauth2/mfa")
	phone := &authenticator{secret: key, last: time.Now().Unix() / totpStep}
	v.code(d.Gateway, phone.code(t)).leads(t, "/")
	v.get(d.URL+"/").tells(t, headerRow("X-Forwarded-User", "local"), "acme, subject acme-0004")
	d.signOut(t, v)
	d.as(t, v, "acme", "Holder of the local account").tells(t, headerRow("X-Forwarded-User", "local")) // asked once
	d.end(t, syscall.SIGTERM)
}

// TestDemoRefusesTheNetwork: a demonstration lets everybody be anybody, so
// nobody else may reach it.
func TestDemoRefusesTheNetwork(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:4180", "unix:///tmp/demo.sock", "4180"} {
		cmd := exec.Command(binary, "demo", "--listen", listen)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "listen on") {
			t.Errorf("--listen %s: %v\n%s", listen, err, out)
		}
	}
}

// TestDemoPortTaken: who meets Gatehouse for the first time is told what to do
// where something else has the port.
func TestDemoPortTaken(t *testing.T) {
	t.Parallel()
	taken := servers.StartApp(t)
	g := &servers.Gateway{Bin: binary, Dir: t.TempDir()}
	r := g.Run(t, "", "demo", "--listen", taken.Addr)
	if r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "--listen 127.0.0.1:0") {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", r.Code, r.Stdout, r.Stderr)
	}
}

// staysHere fails the test unless everything that listens does so on loopback
// and answers to no name but its own. Attack: DNS rebinding. A page at
// evil.example lets its own name point to 127.0.0.1, is then of one origin
// with these servers, and reads what it likes.
func (d *demo) staysHere(t *testing.T) {
	t.Helper()
	listening := listeners(t, d.Cmd.Process.Pid)
	if len(listening) < 5 { // the gateway, two providers, the application, the postbox
		t.Fatalf("only %v listen", listening)
	}
	for _, addr := range listening {
		if !addr.Addr().IsLoopback() {
			t.Errorf("%s can be reached from elsewhere", addr)
		}
		for _, path := range []string{
			"/", "/public/", "/admin/", "/ping", "/ready", "/oauth2/sign_in", "/oauth2/sign_in?rd=/", "/oauth2/userinfo", "/oauth2/auth",
			"/oauth2/start?connection=acme", "/oauth2/sign_out", "/.well-known/openid-configuration", "/authorize?client_id=x", "/jwks", "/metrics",
		} {
			for _, host := range []string{"evil.example", "evil.example:" + strconv.Itoa(int(addr.Port())), "localhost.evil.example", "192.0.2.1"} {
				v := newVisitor(t, "")
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr.String()+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = host
				resp, err := v.Transport.RoundTrip(req)
				if err != nil && greetsAsMail(t, addr) {
					continue // the postbox: a page reads nothing of what is no HTTP
				}
				if err != nil {
					t.Fatal(err)
				}
				if r := read(t, resp); r.StatusCode < 400 || len(resp.Cookies()) > 0 {
					t.Errorf("%s%s answers %s to host %s", addr, path, r.Status, host)
				}
			}
		}
	}
}

// greetsAsMail reports whether a server of mails listens there: it is the one
// that speaks first (RFC 5321, section 3.1).
func greetsAsMail(t *testing.T, addr netip.AddrPort) bool {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr.String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	greeting := make([]byte, 4)
	_, err = io.ReadFull(c, greeting)
	return err == nil && string(greeting) == "220 "
}

// listeners are the addresses on which a process listens (proc(5)).
func listeners(t *testing.T, pid int) []netip.AddrPort {
	t.Helper()
	var sockets []string
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				sockets = append(sockets, strings.TrimSuffix(inode, "]"))
			}
		}
	}
	var found []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open("/proc/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			const listen = "0A"
			column := strings.Fields(lines.Text())
			if len(column) < 10 || column[3] != listen || !slices.Contains(sockets, column[9]) {
				continue
			}
			found = append(found, kernelAddr(t, column[1]))
		}
	}
	return found
}

// kernelAddr reads an address as the kernel prints it: words in the order of
// this machine's bytes, which is little-endian.
func kernelAddr(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	addr, ok := netip.AddrFromSlice(net.IP(raw))
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil || !ok {
		t.Fatalf("%s is no address", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number))
}
