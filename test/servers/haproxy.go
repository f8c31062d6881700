package servers

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StartHAProxy starts Debian's haproxy with a whole configuration, which
// listens on addr.
func StartHAProxy(t testing.TB, addr, config string) *Process {
	t.Helper()
	bin, err := exec.LookPath("haproxy")
	if err != nil {
		bin = "/usr/sbin/haproxy" // not in the PATH of ordinary users
	}
	return StartFront(t, addr, "haproxy", config, func(file string) *exec.Cmd {
		return exec.Command(bin, "-db", "-f", file)
	})
}

// StartFront writes a configuration file, starts a program with it, and waits
// until something listens on addr.
func StartFront(t testing.TB, addr, name, config string, command func(file string) *exec.Cmd) *Process {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := StartProcess(t, command(file))
	WaitFor(t, name+" to listen", func(ctx context.Context) bool {
		select {
		case <-p.Done():
			t.Fatalf("%s ended:\n%s", name, p.Output())
		default:
		}
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return p
}
