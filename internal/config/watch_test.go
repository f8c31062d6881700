package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// folder is a configuration on disk, as it was loaded first.
type folder struct {
	t   *testing.T
	dir string
	*Watch
}

const watched = "secrets: {keys_file: keys}\nroutes:\n  - {path: /, upstream: \"static:202\"}\n"

func newFolder(t *testing.T) *folder {
	t.Helper()
	f := &folder{t: t, dir: t.TempDir()}
	f.Watch = &Watch{Path: f.path("config.yaml")}
	f.write("config.yaml", watched)
	f.write("keys", strings.Repeat("a", 32))
	f.load()
	return f
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *folder) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) rename(from, to string) {
	f.t.Helper()
	if err := os.Rename(f.path(from), f.path(to)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) link(to, name string) {
	f.t.Helper()
	if err := os.Symlink(to, f.path(name)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) load() *Config {
	f.t.Helper()
	cfg, _, err := f.Load()
	if err != nil {
		f.t.Fatal(err)
	}
	return cfg
}

// changed looks twice, as long as it takes for a change to have come to rest.
func (f *folder) changed() bool {
	f.Changed()
	return f.Changed()
}

// TestWatchChanges: each way in which files are replaced is seen, and what leaves
// them as they were is not.
func TestWatchChanges(t *testing.T) {
	t.Parallel()
	const other = watched + "contact: it@acme.example\n"
	otherKey := strings.Repeat("b", 32)
	for _, tt := range []struct {
		name   string
		before func(*folder) // and then it is loaded anew
		change func(*folder)
		want   bool
	}{
		{name: "nothing", change: func(*folder) {}},
		{name: "written in place", change: func(f *folder) { f.write("config.yaml", other) }, want: true},
		{name: "as long as before", change: func(f *folder) { f.write("keys", otherKey) }, want: true},
		{name: "renamed over", change: func(f *folder) { f.write("new", other); f.rename("new", "config.yaml") }, want: true},
		{name: "renamed over, the same", change: func(f *folder) { f.write("new", watched); f.rename("new", "config.yaml") }},
		{name: "touched", change: func(f *folder) { f.write("config.yaml", watched) }},
		{name: "changed and changed back", change: func(f *folder) { f.write("config.yaml", other); f.Changed(); f.write("config.yaml", watched) }},
		{name: "away for a moment", change: func(f *folder) { f.rename("config.yaml", "x"); f.Changed(); f.rename("x", "config.yaml") }},
		{name: "away", change: func(f *folder) { f.rename("config.yaml", "x") }, want: true},
		{name: "a secret is away", change: func(f *folder) { f.rename("keys", "x") }, want: true},
		{name: "a file that it does not name", change: func(f *folder) { f.write("other.yaml", other) }},
		{
			name: "a ConfigMap",
			before: func(f *folder) {
				// kubelet: config.yaml -> ..data/config.yaml, ..data -> ..2026_1
				f.mkdir("..2026_1")
				f.rename("config.yaml", "..2026_1/config.yaml")
				f.link("..2026_1", "..data")
				f.link("..data/config.yaml", "config.yaml")
			},
			change: func(f *folder) {
				f.mkdir("..2026_2")
				f.write("..2026_2/config.yaml", other)
				f.link("..2026_2", "..data_tmp")
				f.rename("..data_tmp", "..data")
				_ = os.RemoveAll(f.path("..2026_1"))
			},
			want: true,
		},
		{
			name: "a directory that is served is away",
			before: func(f *folder) {
				f.mkdir("www")
				f.write("config.yaml", strings.Replace(watched, "static:202", "file:www", 1))
			},
			change: func(f *folder) { f.rename("www", "x") }, want: true,
		},
		{
			name: "something in it is another",
			before: func(f *folder) {
				f.mkdir("www")
				f.write("config.yaml", strings.Replace(watched, "static:202", "file:www", 1))
			},
			change: func(f *folder) { f.write("www/index.html", "hello") },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			if tt.before != nil {
				tt.before(f)
				f.load()
			}
			tt.change(f)
			if got := f.changed(); got != tt.want {
				t.Errorf("changed: %v, want %v", got, tt.want)
			}
			if !tt.want {
				return
			}
			_, _, _ = f.Load()
			if f.changed() {
				t.Error("once more, though nothing has happened since")
			}
		})
	}
}

func (f *folder) mkdir(name string) {
	f.t.Helper()
	if err := os.Mkdir(f.path(name), 0o700); err != nil {
		f.t.Fatal(err)
	}
}

// TestWatchWaits: who writes a file in pieces, or one after the other, is not
// disturbed, and who never stops cannot keep a change from being taken.
func TestWatchWaits(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	for i := range 3 {
		f.write("config.yaml", watched+"# piece"+strings.Repeat(" and piece", i))
		if f.Changed() {
			t.Fatal("taken in the middle of it")
		}
	}
	f.write("keys", strings.Repeat("b", 32))
	if f.Changed() {
		t.Fatal("taken before the other file has come to rest")
	}
	if !f.Changed() {
		t.Fatal("not taken, though it has come to rest")
	}
	f.load()
	looks := 1
	for f.write("config.yaml", watched+"# 0"); !f.Changed(); f.write("config.yaml", watched+fmt.Sprint("# ", looks)) {
		if looks++; looks > 100 {
			t.Fatal("never taken")
		}
	}
	if looks != mostLooks+1 {
		t.Errorf("taken after %d looks, want %d", looks, mostLooks+1)
	}
}

// TestWatchAfterAnError: what is wrong is taken once it is right, also where a
// file was missing that must be there, and what runs is not forgotten meanwhile.
func TestWatchAfterAnError(t *testing.T) {
	t.Parallel()
	refused := func(f *folder, what string) {
		t.Helper()
		if _, _, err := f.Load(); err == nil || !strings.Contains(err.Error(), what) {
			t.Fatalf("%v, want one of %q", err, what)
		}
		if f.changed() {
			t.Error("the same error is looked for again")
		}
	}
	f := newFolder(t)
	f.write("config.yaml", strings.Replace(watched, "keys_file: keys", "keys_file: later", 1))
	refused(f, "secrets.keys_file")
	f.write("later", strings.Repeat("c", 32))
	if !f.changed() {
		t.Fatal("the missing file has come, and nobody looks")
	}
	if key := f.load().Secrets.Keys[0].Reveal(); key != strings.Repeat("c", 32) {
		t.Errorf("the key is %q", key)
	}

	// A syntax error hides what the file names; what runs goes on using it.
	f.write("config.yaml", "secrets: {\n")
	refused(f, "config.yaml:")
	f.write("later", strings.Repeat("d", 32))
	if !f.changed() {
		t.Error("a file of the configuration that runs has changed, and nobody looks")
	}
	refused(f, "config.yaml:")
	f.write("config.yaml", watched)
	if !f.changed() {
		t.Fatal("it is right again, and nobody looks")
	}
	f.load()

	f.rename("config.yaml", "x")
	if _, _, err := f.Load(); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v, want one of a missing file", err)
	}
	f.rename("x", "config.yaml")
	if !f.changed() {
		t.Error("the file is back, and nobody looks")
	}
}

// TestWatchTakesNoEmptyFile: a file that is written in place is empty first. As
// the valid file of nothing but defaults it would end the service.
func TestWatchTakesNoEmptyFile(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	for _, text := range []string{"", " \n\n"} {
		f.write("config.yaml", text)
		if _, _, err := f.Load(); err == nil || !strings.Contains(err.Error(), "config.yaml:1: the file is empty") {
			t.Errorf("%q: %v", text, err)
		}
	}
	f.write("config.yaml", "{}\n")
	f.load()

	// At the first time it is what it always was.
	f.write("config.yaml", "")
	if _, _, err := Load(f.Path, nil); err != nil {
		t.Error(err)
	}
}

// TestWatchAndPipes: a configuration that came through a pipe can be read once. It
// is no change that it is gone, and nobody waits for it.
func TestWatchAndPipes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, []byte(watched[strings.Index(watched, "routes"):]), 0o600) }()
	w := &Watch{Path: pipe}
	if _, _, err := w.Load(); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if f := (&folder{Watch: w}); f.changed() {
		t.Error("changed, though it is only read")
	}
	if _, _, err := w.Load(); err == nil || !strings.Contains(err.Error(), "can be read again") {
		t.Errorf("%v, want one of a pipe", err)
	}
}
