package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

// startReplicas starts gateways of one config, made by configText, behind a
// balancer whose URL is their public one.
func startReplicas(t testing.TB, n int, text string) (front string, all []*servers.Gateway) {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		g := servers.NewGateway(t, binary, "")
		all, addrs[i] = append(all, g), g.Addr
	}
	front = servers.StartBalancer(t, addrs...)
	text = strings.Replace(text, `public_url: "http://{{addr}}"`, `public_url: "`+front+`"`, 1)
	for _, g := range all {
		g.WriteConfig(t, text)
		g.Start(t)
	}
	return front, all
}

// launch starts a gateway and does not wait until it answers: it may not be
// able to.
func launch(t testing.TB, g *servers.Gateway) {
	t.Helper()
	cmd := exec.Command(g.Bin, "serve", "--config", g.Config)
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	g.Process = servers.StartProcess(t, cmd)
}

// refusesToStart launches a gateway that must end with 1 and say why. It never
// listens.
func refusesToStart(t testing.TB, g *servers.Gateway, why ...string) {
	t.Helper()
	launch(t, g)
	servers.WaitFor(t, "the gateway to end", func(context.Context) bool {
		select {
		case <-g.Done():
			return true
		default:
			return false
		}
	})
	if code := g.Cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("ended with %d, want 1", code)
	}
	for _, part := range why {
		if !strings.Contains(g.Output(), part) {
			t.Errorf("does not say %q:\n%s", part, g.Output())
		}
	}
}

// logs waits until the gateway has printed a text.
func logs(t testing.TB, g *servers.Gateway, text string) {
	t.Helper()
	servers.WaitFor(t, "the log to say "+text, func(context.Context) bool { return strings.Contains(g.Output(), text) })
}

// secretFile writes a secret into a file of its own.
func secretFile(t testing.TB, secret string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
