package test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestEmbeddedStore: one process has the file, others are told so; nobody but
// its owner can read it; and it outlives the process, however that ends.
func TestEmbeddedStore(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	text := configText(app.URL, []string{connectionText("acme", idp.URL())}, "local: {enabled: true}")
	// The usual umask lets others read what does not say otherwise.
	g := servers.StartGateway(t, binary, text)
	logs(t, g, "only one process can use it")
	addUser(t, g, "alice") // through the socket of the server, which has the file
	v := newVisitor(t, "")
	v.start(g, "acme", "/").wants(t, http.StatusOK)
	before := fmt.Sprintf("%+v", accounts(t, g))

	for name, want := range map[string]fs.FileMode{"data": 0o700, "data/gatehouse.db": 0o600, "data/gatehouse.sock": 0o600} {
		info, err := os.Lstat(filepath.Join(g.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s is %v, want %v", name, info.Mode().Perm(), want)
		}
	}

	second := servers.NewGateway(t, binary, strings.Replace(text, "routes:",
		fmt.Sprintf("store: {embedded: {path: %q}}\nroutes:", filepath.Join(g.Dir, "data", "gatehouse.db")), 1))
	refusesToStart(t, second, "only one can", "gatehouse.db")
	v.signedIn(g) // the first one has noticed nothing

	// A command with another socket in its config finds the file taken, and
	// nobody who would do it for it.
	if r := second.Run(t, "", "user", "list", "--config", second.Config); r.Code != 1 || !strings.Contains(r.Stderr, "another process holds") {
		t.Errorf("user list ended with %d and says:\n%s", r.Code, r.Stderr)
	}

	for name, end := range map[string]func(){"in order": g.Stop, "killed": g.Kill} {
		end()
		if now := fmt.Sprintf("%+v", accounts(t, g)); now != before { // without a server
			t.Errorf("%s: accounts were\n%s\nand are\n%s", name, before, now)
		}
		g.Start(t)
		v.signedIn(g)
		v.look(g.URL+"/").wants(t, http.StatusOK)
		if now := fmt.Sprintf("%+v", accounts(t, g)); now != before {
			t.Errorf("%s: accounts were\n%s\nand are\n%s", name, before, now)
		}
	}
}

// TestDrain: who is in the middle of a request when the gateway is told to end
// gets the answer; nobody else comes in; the gateway ends with 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := servers.StartHandler(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		fmt.Fprint(w, "at last")
	})
	g := servers.StartGateway(t, binary, strings.Replace(configText(upstream, nil, "local: {enabled: true}"),
		"path: /,", "path: /, access: public,", 1))
	type result struct {
		reply reply
		err   error
	}
	answered := make(chan result)
	go func() {
		resp, err := http.Get(g.URL + "/")
		if err != nil {
			answered <- result{err: err}
			return
		}
		answered <- result{reply: read(t, resp)}
	}()
	<-arrived
	g.Signal(syscall.SIGTERM)
	logs(t, g, "the gateway is ending")
	servers.WaitFor(t, "the door to close", func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/ready", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return true
		}
		resp.Body.Close()
		return false
	})
	select {
	case <-g.Done():
		t.Fatalf("it has not waited:\n%s", g.Output())
	default:
	}
	close(release)
	if got := <-answered; got.err != nil || got.reply.StatusCode != http.StatusOK || got.reply.Text != "at last" {
		t.Errorf("the last request got %v, %q", got.err, got.reply.Text)
	}
	<-g.Done()
	if code := g.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("ended with %d:\n%s", code, g.Output())
	}
}
