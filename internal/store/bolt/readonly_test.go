package bolt_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/bolt"
)

// A command that only looks must not leave a trace: not in the file, not beside
// it.
func TestReadOnly(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "gatehouse.db")
	w := open(t, path)
	for key, ttl := range map[string]time.Duration{"k": 0, "gone": time.Millisecond} {
		if err := w.Create(ctx, key, []byte("v"), ttl); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bolt.OpenReadOnly(bolt.Options{Path: path}); !errors.Is(err, bolt.ErrLocked) {
		t.Errorf("while a server has it: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	s, err := bolt.OpenReadOnly(bolt.Options{Path: path, Now: func() time.Time { return later }})
	if err != nil {
		t.Fatal(err)
	}
	if value, err := s.Get(ctx, "k"); err != nil || string(value) != "v" {
		t.Errorf("get: %q, %v", value, err)
	}
	if _, err := s.Get(ctx, "gone"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get what has expired: %v", err)
	}
	var keys []string
	if err := s.Scan(ctx, "", func(key string, _ []byte) error { keys = append(keys, key); return nil }); err != nil || len(keys) != 1 {
		t.Errorf("scan: %q, %v", keys, err)
	}
	_, take := s.Take(ctx, "k")
	for op, err := range map[string]error{
		"create": s.Create(ctx, "new", []byte("v"), 0), "delete": s.Delete(ctx, "k"), "take": take,
		"update": s.Update(ctx, "k", func([]byte) ([]byte, time.Duration, error) { return []byte("x"), 0, nil }),
	} {
		if !errors.Is(err, store.ErrDown) {
			t.Errorf("%s: %v, want a refusal", op, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed: %v", err)
	}
}

func TestReadOnlyMakesNothing(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none", "gatehouse.db"), filepath.Join(dir, "none.db"), empty} {
		if _, err := bolt.OpenReadOnly(bolt.Options{Path: path}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want that there is none", filepath.Base(path), err)
		}
	}
	if _, err := bolt.OpenReadOnly(bolt.Options{Path: dir}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("something was made: %v, %v", entries, err)
	}
	if info, err := os.Stat(empty); err != nil || info.Size() != 0 {
		t.Errorf("the empty file: %v", err)
	}
}
