package servers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The range lies below the one from which the kernel takes the ports of
// outgoing connections and of listeners on port 0 (ip_local_port_range), so
// that nothing else comes by a port between its choice and its use.
const (
	firstPort = 12000
	lastPort  = 29999
)

// FreeAddr returns a loopback address that nothing listens on and that no
// other test gets, in this process or in another, while this one runs.
func FreeAddr(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("gatehouse-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		lock, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(port)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatalf("find a free port: %v", err)
		}
		// The kernel gives the lock back when the process ends, however it ends.
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			lock.Close()
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
		if !listens(addr) {
			lock.Close()
			continue
		}
		t.Cleanup(func() { lock.Close() })
		return addr
	}
	t.Fatal("find a free port: a thousand were taken")
	return ""
}

// listens tries whether one can listen at addr. No process is forked meanwhile: a
// child has the listener too until it executes its program, and holds the address
// after it is closed here.
func listens(addr string) bool {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	return true
}
