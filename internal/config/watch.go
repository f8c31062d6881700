package config

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"syscall"
)

// Watch reads a configuration again and again, and tells when it is time to.
//
// It looks at what is in the files, rather than listen to the file system. An
// event says of one name in one directory that something has happened to it:
// configurations are replaced by renaming over them, by switching the link
// through which Kubernetes shows a ConfigMap or a Secret, and on file systems
// that know no events; what they name lies in many directories, some of which
// do not exist yet. What was read last and what is there now are compared, so
// nothing is missed whatever happened between, and what was changed and changed
// back is no change. The files are few and small: a look costs microseconds.
//
// It is not safe for concurrent use.
type Watch struct {
	Path string
	Env  func(string) (string, bool) // as for Load; asked each time

	read   files // by the last Load
	moving files // found by the last look, where it differs from read
	looks  int   // since it does, and each found something else
}

// files are names, and fingerprints of what is in them.
type files map[string]fingerprint

// fingerprint is the SHA-256 of a file's content; zero when it cannot be read.
type fingerprint [sha256.Size]byte

// directory is the fingerprint of each directory.
var directory = fingerprint{1}

// mostLooks is how many looks a change may go on before it is read all the
// same: one who writes without end must not keep it from being taken.
const mostLooks = 10

// Load is the function Load, and remembers what it read. From the second time on
// there are more errors: what was a pipe has been read to its end, and a file
// that is empty is about to be written. As the valid file that it is, it would
// take all routes away.
func (w *Watch) Load() (*Config, []Warning, error) {
	l := newLoader(w.Path, w.Env)
	l.again = w.read != nil
	cfg, warnings, err := l.loadFile()
	if err != nil {
		// What runs goes on with the files of before, such as a certificate.
		for name, found := range w.read {
			if _, known := l.files[name]; known {
				continue
			}
			if moved, ok := w.moving[name]; ok {
				found = moved
			}
			l.files[name] = found
		}
	}
	w.read, w.moving, w.looks = l.files, nil, 0
	return cfg, warnings, err
}

func (l *loader) loadFile() (*Config, []Warning, error) {
	data, err := l.read(l.file, maxFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration %s: %w", l.file, cause(err))
	}
	if l.again && len(bytes.TrimSpace(data)) == 0 {
		return nil, nil, Problems{{
			File: l.file, Line: 1, What: "the file is empty, and the gateway runs with what was in it before",
			Do: "write what it should be; {} begins with the defaults",
		}}
	}
	return l.load(data)
}

// Changed looks at the files that the last Load read, and reports whether it is
// time for another: something in them differs, and it has come to rest, for it
// is what the look before found too. Who writes a file piece by piece, or first
// the certificate and then its key, is not disturbed.
func (w *Watch) Changed() bool {
	now := files{}
	for name := range w.read {
		now[name] = look(name)
	}
	switch {
	case maps.Equal(now, w.read):
		w.moving, w.looks = nil, 0
		return false
	case maps.Equal(now, w.moving), w.looks >= mostLooks:
		return true
	}
	w.moving = now
	w.looks++
	return false
}

// look returns the fingerprint of a file as it is now.
func look(name string) fingerprint {
	data, kind, err := readBounded(name, maxFile, true)
	switch {
	case kind.IsDir():
		return directory
	case err != nil:
		return fingerprint{}
	}
	return sha256.Sum256(data)
}

// read is how a file of a configuration is read: the loader knows which they
// were. What can be read only once is not worth a second look.
func (l *loader) read(path string, limit int64) ([]byte, error) {
	data, kind, err := readBounded(path, limit, l.again)
	switch {
	case kind.IsDir():
		l.files[path] = directory
	case err != nil:
		l.files[path] = fingerprint{}
	case kind.IsRegular():
		l.files[path] = sha256.Sum256(data)
	}
	return data, err
}

// stat is read for a directory, of which it matters only that it is one.
func (l *loader) stat(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	l.files[path] = look(path)
	return info, err
}

// readBounded reads a file of at most limit bytes, and says what it is. What must
// be a file, and is a pipe, is not waited for.
func readBounded(path string, limit int64, mustBeFile bool) (data []byte, kind fs.FileMode, err error) {
	flags := os.O_RDONLY
	if mustBeFile {
		flags |= syscall.O_NONBLOCK
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, fs.ModeIrregular, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fs.ModeIrregular, err
	}
	kind = info.Mode()
	if mustBeFile && !kind.IsRegular() && !kind.IsDir() {
		return nil, kind, errors.New("it is no file that can be read again")
	}
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return data, kind, err
}
