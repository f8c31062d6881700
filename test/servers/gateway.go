package servers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BuildGateway builds the binary under test into dir, with the race detector and
// without, and returns the path of the first. Root is the project's directory.
func BuildGateway(root, dir string) (string, error) {
	bin := filepath.Join(dir, "gatehouse")
	for _, args := range [][]string{{"-race", "-o", bin}, {"-o", command(bin)}} {
		cmd := exec.Command("go", append(append([]string{"build"}, args...), "./cmd/gatehouse")...)
		cmd.Dir = root
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return "", err
		}
	}
	return bin, nil
}

// command is the same binary without the race detector, for what ends at once:
// most of what the detector costs there is the start. The commands run under it
// in the tests of their own package.
func command(bin string) string { return filepath.Join(filepath.Dir(bin), "command", "gatehouse") }

// raceDetector makes a race end the program. By default the detector also
// waits a second at each exit.
const raceDetector = "GORACE=halt_on_error=1 atexit_sleep_ms=0"

// Gateway is a running gatehouse serve.
type Gateway struct {
	*Process
	Bin    string
	Plain  string // runs the commands; "": the one that was built beside Bin
	Dir    string // holds config.yaml and everything that its relative paths name
	Config string // path of config.yaml
	Addr   string
	Admin  string // where the config has {{admin}}
	URL    string
	Trust  *tls.Config // after ServeTLS: how a client trusts it
	Env    []string    // more environment, NAME=value
}

// NewGateway writes a config.yaml and starts nothing. In the text, {{addr}}
// stands for a free address to listen on and {{admin}} for another.
func NewGateway(t testing.TB, bin, text string) *Gateway {
	t.Helper()
	g := &Gateway{Bin: bin, Dir: t.TempDir(), Addr: FreeAddr(t), Admin: FreeAddr(t)}
	// A folder of tests is open to others to read; the gateway wants its own closed.
	if err := os.Chmod(g.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	g.URL = "http://" + g.Addr
	g.Config = filepath.Join(g.Dir, "config.yaml")
	g.WriteConfig(t, text)
	return g
}

// ServeTLS gives the gateway, before it starts, an https URL and a certificate
// of an authority of its own: cert.pem and key.pem, beside config.yaml, are for
// server.tls.
func (g *Gateway) ServeTLS(t testing.TB) {
	t.Helper()
	ca, _, _ := certificate(t, g.Dir)
	g.URL = "https://" + g.Addr
	g.Trust = trust(t, ca)
}

// WriteConfig replaces config.yaml in one step: a gateway that runs takes it.
func (g *Gateway) WriteConfig(t testing.TB, text string) {
	t.Helper()
	text = strings.NewReplacer("{{addr}}", g.Addr, "{{admin}}", g.Admin).Replace(text)
	next := g.Config + ".new"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, g.Config); err != nil {
		t.Fatal(err)
	}
}

// StartGateway writes a config.yaml, starts the gateway with it and waits
// until it answers.
func StartGateway(t testing.TB, bin, text string) *Gateway {
	t.Helper()
	g := NewGateway(t, bin, text)
	g.Start(t)
	return g
}

// Start starts the gateway and waits until it answers.
func (g *Gateway) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(g.Bin, "serve", "--config", g.Config)
	cmd.Env = append(append(os.Environ(), raceDetector), g.Env...)
	g.Process = StartProcess(t, cmd)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: g.Trust, DisableKeepAlives: true}}
	WaitFor(t, "the gateway to answer", func(ctx context.Context) bool {
		select {
		case <-g.Done():
			t.Fatalf("the gateway ended:\n%s", g.Output())
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/ping", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// Result is how a command ended.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs a command of the binary in the gateway's folder, with its config.
func (g *Gateway) Run(t testing.TB, stdin string, args ...string) Result {
	t.Helper()
	cmd := exec.Command(cmp.Or(g.Plain, command(g.Bin)), args...)
	cmd.Dir = g.Dir
	cmd.Stdin = io.Reader(strings.NewReader(stdin))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatalf("run gatehouse %s: %v", strings.Join(args, " "), err)
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}
