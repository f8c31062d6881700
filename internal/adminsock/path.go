package adminsock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxAddress is what fits into the kernel's socket address, with room for its
// final NUL (unix(7)).
const maxAddress = 100

// checkDirectory refuses a directory in which somebody else could put a socket
// of his own in place of ours. The sticky bit does not help: whoever comes
// first in /tmp owns the name.
func checkDirectory(dir string) (owner uint32, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	if !info.IsDir() {
		return 0, fmt.Errorf("%s is not a directory", dir)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return 0, fmt.Errorf("others may write in the directory %s (mode %04o): "+
			"they could put a socket of their own there; choose a directory of its own, with mode 0700", dir, mode)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.New("the owner of the directory is not known")
	}
	return stat.Uid, nil
}

// makeDirectory makes the socket's directory, closed to others, before there
// is a socket in it.
func makeDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	owner, err := checkDirectory(dir)
	if err != nil {
		return err
	}
	if uid := uint32(os.Geteuid()); owner != uid && owner != 0 {
		return fmt.Errorf("the directory %s belongs to another user (uid %d)", dir, owner)
	}
	return nil
}

// lockDirectory keeps other servers from looking for a stale socket at the
// same time: both would find it, and the slower one would then remove the
// socket of the faster.
func lockDirectory(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

// address returns what the kernel is given for a path: a long one is reached
// through an open descriptor of its directory. Done is called once the address
// was used.
func address(path string) (name string, done func(), err error) {
	if len(path) <= maxAddress {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	name = filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path))
	return name, func() { dir.Close() }, nil
}
