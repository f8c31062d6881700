package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// maxFile is the size of the largest file that is read, in bytes. It bounds
// what a wrong path, such as a device, can cost.
const maxFile = 1 << 20

// Load reads, expands and validates the file at path. Variables are looked up
// with env (os.LookupEnv; nil: none is set).
//
// The error is Problems, with everything that is wrong, when the file could
// be read; any other error says that it could not. Warnings come with a valid
// file only.
func Load(path string, env func(string) (string, bool)) (*Config, []Warning, error) {
	w := Watch{Path: path, Env: env}
	return w.Load()
}

// Parse is Load for the content of a file that is already in memory. Relative
// paths in it are resolved against the directory of path.
func Parse(path string, data []byte, env func(string) (string, bool)) (*Config, []Warning, error) {
	return newLoader(path, env).load(data)
}

func (l *loader) load(data []byte) (*Config, []Warning, error) {
	var err error
	if l.dir, err = filepath.Abs(filepath.Dir(l.file)); err != nil {
		return nil, nil, fmt.Errorf("read configuration %s: %w", l.file, err)
	}
	if root, ok := l.parse(data); ok {
		l.refuseForeign(root, "")
		c := l.config(root)
		l.refuseUnknown()
		l.validate(c)
		if len(l.problems) == 0 {
			l.warn(c)
			slices.SortStableFunc(l.warnings, func(a, b Warning) int { return cmp.Compare(a.Line, b.Line) })
			return c, l.warnings, nil
		}
	}
	slices.SortStableFunc(l.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return nil, nil, l.problems
}

// loader is the state of one Load.
type loader struct {
	file     string
	dir      string // absolute
	env      func(string) (string, bool)
	places   map[string]place // of every key that the file has
	keys     map[string]bool  // every path that was asked for; indexes are left out
	unknown  []unknownKey
	problems Problems
	warnings []Warning
	files    files // that were read
	again    bool  // not for the first time; see Watch.Load
}

func newLoader(file string, env func(string) (string, bool)) *loader {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	return &loader{file: file, env: env, places: map[string]place{}, keys: map[string]bool{}, files: files{}}
}

// place is what is known of a key beside its value.
type place struct {
	line  int
	set   bool   // it has a value
	shown string // the value as it stands in the file, where a variable or secret may be in it
	bad   bool   // a problem was reported already

	// unread says that nothing below it could be read either.
	unread bool
}

// problem reports a problem at a path. Each path is reported once: what could
// not be decoded is not judged as well, nor is what would be below it.
func (l *loader) problem(path, what, do string) {
	p := l.places[path]
	if p.bad || l.isUnread(path) {
		return
	}
	if p.line > 0 {
		p.bad = true
		l.places[path] = p
	}
	l.problemAt(l.line(path), path, what, do)
}

// unread reports a problem at a path below which nothing can be read.
func (l *loader) unread(line int, path, what, do string) {
	p := l.places[path]
	if p.line > 0 {
		line = p.line
	}
	l.places[path] = place{line: line, set: p.set, bad: true, unread: true}
	l.problemAt(line, path, what, do)
}

// isUnread reports whether a path or anything around it could not be read.
func (l *loader) isUnread(path string) bool {
	for ; path != ""; path = parent(path) {
		if l.places[path].unread {
			return true
		}
	}
	return false
}

func (l *loader) problemAt(line int, path, what, do string) {
	l.problems = append(l.problems, Problem{File: l.file, Line: line, Path: path, What: what, Do: do})
}

// warning reports a warning at a path.
func (l *loader) warning(path, code, message string) {
	l.warnings = append(l.warnings, Warning{File: l.file, Line: l.line(path), Path: path, Code: code, Message: message})
}

// line returns the line of a path, or that of the closest thing around it
// that the file has.
func (l *loader) line(path string) int {
	for {
		if p, ok := l.places[path]; ok {
			return p.line
		}
		if path == "" {
			return 1
		}
		path = parent(path)
	}
}

// isSet reports whether the file gives a value to a path.
func (l *loader) isSet(path string) bool { return l.places[path].set }

// show returns a value as a problem may show it: as it stands in the file,
// not what a variable made of it.
func (l *loader) show(path, value string) string {
	if p := l.places[path]; p.shown != "" {
		value = p.shown
	}
	return quote(value)
}

// resolve makes a path of the file absolute.
func (l *loader) resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.dir, path)
}

// cause strips the operation and the path from an error of package os: the
// problem names both in its own way.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
