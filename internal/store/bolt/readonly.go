package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var errReadOnly = errors.New("bolt: open for reading only")

// OpenReadOnly opens a file that is there, and changes no byte of it. Every
// write errors. Errors: fs.ErrNotExist where no store was ever begun, ErrLocked
// while another process writes.
func OpenReadOnly(o Options) (*Store, error) {
	s, err := openReadOnly(o)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Path, err)
	}
	return s, nil
}

func openReadOnly(o Options) (*Store, error) {
	if info, err := os.Stat(o.Path); err != nil {
		return nil, err
	} else if info.Mode().IsRegular() && info.Size() == 0 {
		// bbolt would begin it. Whoever made it has died, or is about to.
		return nil, fs.ErrNotExist
	}
	db, err := bbolt.Open(o.Path, fileMode, &bbolt.Options{
		ReadOnly:     true,
		Timeout:      lockTimeout,
		OpenFile:     openExisting,
		NoStatistics: true,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	if err := db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(records) == nil {
			return fs.ErrNotExist
		}
		return nil
	}); err != nil {
		_ = db.Close()
		return nil, err
	}
	s := &Store{db: db, now: o.Now, close: db.Close}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

// openExisting opens the file for bbolt, and neither makes it nor changes its
// mode.
func openExisting(path string, _ int, mode fs.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY, mode)
	return checked(file, err, func(file *os.File) error {
		info, err := file.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("it is not a regular file")
		}
		return err
	})
}
