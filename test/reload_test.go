package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// statusOf is what the gateway answers to a program that nobody has signed in.
func statusOf(t testing.TB, g *servers.Gateway, path string) int {
	t.Helper()
	return newVisitor(t, "").look(g.URL+path, api...).StatusCode
}

// answersWith waits until the gateway answers with a status.
func answersWith(t testing.TB, g *servers.Gateway, path string, status int) {
	t.Helper()
	servers.WaitFor(t, fmt.Sprintf("%s to answer %d", path, status), func(context.Context) bool { return statusOf(t, g, path) == status })
}

// reloadState is what the admin listener says of the last reload.
type reloadState struct {
	Ready  bool `json:"ready"`
	Reload struct {
		OK       bool     `json:"ok"`
		At       string   `json:"at"`
		Problems []string `json:"problems"`
	} `json:"reload"`
}

func reloadStateOf(t testing.TB, g *servers.Gateway) (s reloadState) {
	t.Helper()
	r := newVisitor(t, "").look("http://"+g.Admin+"/ready").wants(t, http.StatusOK)
	if err := json.Unmarshal([]byte(r.Text), &s); err != nil || s.Reload.At == "" {
		t.Fatalf("/ready of the admin listener: %v: %s", err, r.Text)
	}
	return s
}

// reloadRefused waits until the gateway has refused its file for these reasons, and
// that is all that has become of it: it goes on, and says so where it is asked.
func reloadRefused(t testing.TB, g *servers.Gateway, want ...string) {
	t.Helper()
	var s reloadState
	servers.WaitFor(t, "the file to be refused", func(context.Context) bool {
		s = reloadStateOf(t, g)
		return len(s.Reload.Problems) == len(want) && strings.Contains(s.Reload.Problems[0], want[0])
	})
	if !s.Ready || s.Reload.OK {
		t.Errorf("ready %v and reload ok %v, want true and false", s.Ready, s.Reload.OK)
	}
	for i, part := range want {
		if !strings.Contains(s.Reload.Problems[i], part) {
			t.Errorf("problem %d is %q, want one of %q", i, s.Reload.Problems[i], part)
		}
	}
	public := newVisitor(t, "").look(g.URL+"/ready").wants(t, http.StatusOK)
	if public.Text != "ready\n" {
		t.Errorf("strangers are told %q", public.Text)
	}
	if scrape(t, g)["config_last_reload_successful"] != 0 {
		t.Error("the metrics do not tell")
	}
	r := g.Run(t, "", "reload", "--config", g.Config)
	if d := cmp.Diff(strings.Join(s.Reload.Problems, "\n")+"\n", r.Stdout); d != "" || r.Code != 1 {
		t.Errorf("gatehouse reload ended with %d and other problems than /ready:\n%s", r.Code, d)
	}
}

// TestReload: the configuration is taken when its files change, at SIGHUP and when
// it is asked for; whatever is wrong with it changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	idp := badidp.Start(t)
	one := []string{`path: /one, access: public, upstream: "static:201"`, `path: /, upstream: "static:202"`}
	two := append([]string{`path: /two, access: public, upstream: "static:203"`}, one...)
	acme := "connections:\n" + strings.Replace(connectionText("acme", idp.URL(), "jit: {enabled: false}"), "client_secret: "+badidp.ClientSecret, "client_secret_file: acme.secret", 1)
	g := servers.NewGateway(t, binary, proxyText("", one, acme))
	secret := filepath.Join(g.Dir, "acme.secret")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret, "not the one\n")
	g.Start(t)
	pat := newLocal(t, g, "pat")
	answersWith(t, g, "/two", http.StatusUnauthorized)

	g.WriteConfig(t, proxyText("", two, acme))
	answersWith(t, g, "/two", 203)
	waitForLog(t, g, "configuration reloaded", "the files have changed")
	if s := reloadStateOf(t, g); !s.Ready || !s.Reload.OK || s.Reload.Problems != nil {
		t.Errorf("after a reload: %+v", s)
	}
	now := scrape(t, g)
	at, err := time.Parse(time.RFC3339Nano, reloadStateOf(t, g).Reload.At)
	if err != nil || now["config_last_reload_successful"] != 1 || now[`config_reloads_total{result="applied"}`] != 1 || now[`config_reloads_total{result="refused"}`] != 0 ||
		math.Abs(now["config_last_reload_success_timestamp_seconds"]-float64(at.UnixMilli())/1e3) > 0.01 {
		t.Errorf("the metrics of a reload at %s: %v", at, now)
	}

	// All or nothing: the first route of the file would be fine.
	g.WriteConfig(t, strings.Replace(proxyText("", one, acme, "colour: blue", "session: {lifetime: long}"), `static:201"`, `static:299"`, 1))
	checked := g.Run(t, "", "check", "--config", g.Config)
	reloadRefused(t, g, "colour: there is no such key", "session.lifetime: ")
	if s := reloadStateOf(t, g); strings.Join(s.Reload.Problems, "\n")+"\n" != checked.Stdout {
		t.Errorf("gatehouse check finds something else:\n%s", checked.Stdout)
	}
	refusal := waitForLog(t, g, "configuration not reloaded", "the files have changed")
	for _, line := range strings.Split(strings.TrimSpace(checked.Stdout), "\n") {
		if part := line[strings.Index(line, "config.yaml:"):]; !strings.Contains(refusal, part[:30]) {
			t.Errorf("the log does not say %q:\n%s", part, refusal)
		}
	}
	if one, two := statusOf(t, g, "/one"), statusOf(t, g, "/two"); one != 201 || two != 203 {
		t.Errorf("something of a broken file was taken: %d and %d", one, two)
	}
	pat.signedIn(g)
	g.Signal(syscall.SIGHUP)
	waitForLog(t, g, "configuration not reloaded", "SIGHUP")

	// Away for a moment, as when it is replaced by hand.
	if err := os.Remove(g.Config); err != nil {
		t.Fatal(err)
	}
	servers.WaitFor(t, "the gateway to miss its file", func(context.Context) bool {
		s := reloadStateOf(t, g)
		return len(s.Reload.Problems) == 1 && strings.Contains(s.Reload.Problems[0], "no such file")
	})
	write(g.Config, "")
	reloadRefused(t, g, "the file is empty")
	g.WriteConfig(t, proxyText("", two, acme))
	servers.WaitFor(t, "the file to be taken again", func(context.Context) bool { return reloadStateOf(t, g).Reload.OK })
	g.Signal(syscall.SIGHUP)
	waitForLog(t, g, "configuration reloaded", "SIGHUP")

	// The command returns when the new configuration is in use.
	g.WriteConfig(t, proxyText("", one, acme))
	if r := g.Run(t, "", "reload", "--config", g.Config); r.Code != 0 || r.Stdout != "" || !strings.Contains(r.Stderr, "Reloaded "+g.Config) {
		t.Errorf("gatehouse reload: %+v", r)
	}
	if got := statusOf(t, g, "/two"); got != http.StatusUnauthorized {
		t.Errorf("/two answers %d right after gatehouse reload", got)
	}

	// What only another process can follow is named, and nothing else is taken.
	cert, key := servers.Certificate(t)
	g.WriteConfig(t, strings.Replace(proxyText(fmt.Sprintf("tls: {cert_file: %q, key_file: %q}", cert, key), two, acme, "store: {embedded: {path: other.db}}"), "{{addr}}", servers.FreeAddr(t), 1))
	reloadRefused(t, g, "server.listen, server.tls, store.embedded: a running gateway cannot change that; restart it")
	if got := statusOf(t, g, "/two"); got != http.StatusUnauthorized {
		t.Errorf("half of a file was taken: /two answers %d", got)
	}

	// A secret that is rotated, as a mounted one is.
	g.WriteConfig(t, proxyText("", two, acme))
	answersWith(t, g, "/two", 203)
	ann := newVisitor(t, "")
	if r := ann.start(g, "acme", "/"); r.StatusCode == 202 {
		t.Fatal("a sign-in with the wrong client secret")
	}
	write(secret, badidp.ClientSecret+"\n")
	servers.WaitFor(t, "the secret to be taken", func(context.Context) bool { return newVisitor(t, "").start(g, "acme", "/").StatusCode == 202 })

	// A ConfigMap: kubelet switches one link, and removes what it led to.
	text, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	show := func(version, text string) {
		t.Helper()
		dir := filepath.Join(g.Dir, version)
		link := filepath.Join(g.Dir, "..data")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(dir, "config.yaml"), text)
		if err := os.Symlink(version, link+"_tmp"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+"_tmp", link); err != nil {
			t.Fatal(err)
		}
	}
	show("..1", string(text))
	if err := os.Symlink("..data/config.yaml", g.Config+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(g.Config+".new", g.Config); err != nil {
		t.Fatal(err)
	}
	for i, status := range []int{204, 205} {
		show(fmt.Sprint("..", i+2), strings.Replace(string(text), "static:203", fmt.Sprint("static:", status), 1))
		if err := os.RemoveAll(filepath.Join(g.Dir, fmt.Sprint("..", i+1))); err != nil {
			t.Fatal(err)
		}
		answersWith(t, g, "/two", status)
	}
	pat.signedIn(g)

	// Each bad state was told once, however long it lasted.
	told := map[string]int{}
	for line := range strings.SplitSeq(g.Output(), "\n") {
		if _, problems, ok := strings.Cut(line, `"because":"the files have changed","problems":`); ok {
			told[problems]++
		}
	}
	for problems, n := range told {
		if n > 1 {
			t.Errorf("told %d times: %s", n, problems)
		}
	}
	if strings.Contains(g.Output(), badidp.ClientSecret) {
		t.Error("a secret is in the log")
	}
}

// TestReloadAndWhatIsOpen: sessions, sign-ins under way, connections, requests and
// streams live on; what is open is from then on judged by the new rules.
func TestReloadAndWhatIsOpen(t *testing.T) {
	t.Parallel()
	app, open, idp := servers.StartStreamApp(t, nil), servers.StartStreamApp(t, nil), badidp.Start(t)
	to := ", upstream: " + app.URL
	acme := "connections:\n" + connectionText("acme", idp.URL(), "jit: {enabled: false}")
	routes := func(group, sink string) []string {
		return []string{"path: /, access: {groups: [" + group + "]}" + to, "path: /any/, strip_prefix: true" + to, "path: /open/, strip_prefix: true, access: public, upstream: " + open.URL, "path: /sink, access: public, upstream: " + sink}
	}
	g := servers.StartGateway(t, binary, proxyText("", routes("staff", app.URL), acme))
	reload := func(text string) {
		t.Helper()
		g.WriteConfig(t, text)
		run(t, g, "reload")
	}
	// kept reports whether the connection of the request before was used again.
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	kept := func() (reused bool) {
		t.Helper()
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/ping", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return reused
	}
	kept()
	pat := newLocal(t, g, "pat", "--group", "staff")
	socket := pat.openSocket(g, "/ws")
	ann := newVisitor(t, "")
	ann.start(g, "acme", "/any/x").wants(t, http.StatusOK)
	ann.openEvents(g, app, "/any/events")
	newVisitor(t, "").openEvents(g, open, "/open/events")

	// Begun before, finished after.
	bob := newVisitor(t, "")
	idpPage := bob.look(g.URL + "/oauth2/start?connection=acme&rd=/any/x").to(t)
	body, half := io.Pipe()
	upload := make(chan string, 1)
	go func() {
		resp, err := http.Post(g.URL+"/sink", "application/octet-stream", body)
		if err != nil {
			upload <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		upload <- fmt.Sprint(resp.StatusCode, " ", string(text))
	}()
	if _, err := half.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	reload(proxyText("", routes("staff", `"static:204"`), acme, "log: {level: debug}"))
	if got := statusOf(t, g, "/sink"); got != 204 {
		t.Fatalf("not reloaded: %d", got)
	}
	if _, err := half.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	half.Close()
	if got := <-upload; got != "200 8" {
		t.Errorf("the request in flight ended with %q, want 200 and 8 bytes", got)
	}
	bob.get(idpPage.String()).wants(t, http.StatusOK)
	bob.signedIn(g)
	pat.signedIn(g)
	if !kept() {
		t.Error("an idle connection was closed")
	}
	if err := socket.Write(t.Context(), websocket.MessageText, []byte("still there?")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := socket.Read(t.Context()); err != nil || string(got) != "still there?" {
		t.Errorf("the WebSocket: %q, %v", got, err)
	}

	// Another rule, and a connection that is gone: what they no longer let in ends.
	reload(proxyText("", routes("ops", `"static:204"`), acme))
	ended(t, app, 1)
	if _, _, err := socket.Read(t.Context()); err == nil {
		t.Error("a WebSocket of whom the route admits no more")
	}
	pat.signedIn(g)
	pat.openSocket(g, "/any/ws")
	reload(proxyText("", routes("ops", `"static:204"`)))
	ended(t, app, 1)
	ann.signedOut(g)
	pat.signedIn(g)
	reload(strings.Replace(proxyText("", routes("ops", `"static:204"`), acme), "local: {enabled: true}", "local: {enabled: false}", 1))
	ended(t, app, 1)
	pat.signedOut(g)

	// Nobody's stream, on a route that is no longer everybody's.
	reload(proxyText("", []string{"path: /, upstream: " + open.URL}, acme))
	ended(t, open, 1)
}

// TestReloadAndTheMail: what waits to be sent goes by the server of now, and links
// are mailed as soon as there is one.
func TestReloadAndTheMail(t *testing.T) {
	t.Parallel()
	away, s := servers.NewSMTP(t, false), servers.StartSMTP(t, false)
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(app.URL, mailTo(away, "")))
	addUser(t, g, "ada", "--email", "ada@corp.example")
	servers.WaitFor(t, "the mail to fail", func(context.Context) bool { all := queued(t, g); return len(all) == 1 && all[0].Attempts > 0 })
	reload := func(more ...string) {
		t.Helper()
		g.WriteConfig(t, localOnly(app.URL, more...))
		run(t, g, "reload")
	}
	reload(mailTo(s, ""))
	s.Wait(t, 1)
	reload()
	if r := g.Run(t, "", "mail", "list", "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stderr, "no mail is sent") {
		t.Errorf("mail list without a server of mails: %+v", r)
	}
	reload(mailTo(s, ""))
	newVisitor(t, "").post(g.URL+"/oauth2/reset", url.Values{"username": {"ada"}}).wants(t, http.StatusOK)
	if m := s.Wait(t, 2)[1]; !linkInMail.MatchString(m.Text) {
		t.Errorf("not a link:\n%s", m.Text)
	}
}
