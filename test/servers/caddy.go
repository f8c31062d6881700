package servers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StartCaddy starts a caddy with a Caddyfile whose site listens on addr. It
// keeps its files in a folder of the test, has no admin endpoint, and asks no
// authority for certificates.
func StartCaddy(t testing.TB, bin, addr, caddyfile string) *Process {
	t.Helper()
	dir := t.TempDir()
	options := "{\n\tadmin off\n\tauto_https off\n\tgrace_period 1s\n\tstorage file_system " + dir + "\n}\n"
	return StartFront(t, addr, "caddy", options+caddyfile, func(file string) *exec.Cmd {
		cmd := exec.Command(bin, "run", "--adapter", "caddyfile", "--config", file)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
		return cmd
	})
}

// BuildCaddy builds the newest Caddy from its module in dir and returns the
// path of the program. Two minutes the first time; the build cache keeps it.
func BuildCaddy(t testing.TB, dir string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "caddy")
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build caddy: %v\n%s", err, out)
	}
	return bin
}
