package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Nobody else reads the file: it holds password hashes and, where none are
// configured, the sealing keys.
const (
	fileMode fs.FileMode = 0o600
	dirMode  fs.FileMode = 0o700
)

// makeDir makes the directories above path that are missing.
func makeDir(path string) error {
	return makeDirs(filepath.Dir(path))
}

func makeDirs(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDirs(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	} else if err != nil {
		return err
	}
	made, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = made.Close() }()
	return giveToOwnerOf(parent, made)
}

// openFile opens the file of the store for bbolt.
//
// A new one is made exclusively: a link that somebody planted under its name
// is not followed, so a command run as root cannot be led to make a file
// elsewhere. An old one is closed to group and others, as a copy from a
// backup may not be.
func openFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	flag &^= os.O_CREATE
	file, err := os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(path, flag, mode)
		return checked(file, err, closeToOthers)
	}
	return checked(file, err, func(file *os.File) error {
		return giveToOwnerOf(filepath.Dir(path), file)
	})
}

func checked(file *os.File, err error, check func(*os.File) error) (*os.File, error) {
	if err != nil {
		return nil, err
	}
	if err := check(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func closeToOthers(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return file.Chmod(fileMode)
}

// giveToOwnerOf gives what root has just made to the owner of the directory
// that it lies in: an administrator's command must not make a store that the
// server's own user cannot open. Others could give nothing away.
func giveToOwnerOf(dir string, made *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	return made.Chown(int(owner.Uid), int(owner.Gid))
}
