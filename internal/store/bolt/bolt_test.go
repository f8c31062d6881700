package bolt_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/store"
	"gatehouse/internal/store/bolt"
	"gatehouse/internal/store/storetest"
)

func open(t testing.TB, path string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(bolt.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, filepath.Join(t.TempDir(), "gatehouse.db"))
	})
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(tb testing.TB) store.Store {
		return open(tb, filepath.Join(tb.TempDir(), "gatehouse.db"))
	})
}

func TestRecordsSurviveReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path)
	for key, ttl := range map[string]time.Duration{"for ever": 0, "an hour": time.Hour, "a moment": time.Millisecond} {
		if err := s.Create(t.Context(), key, []byte(key), ttl); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	s, err := bolt.Open(bolt.Options{Path: path, Now: func() time.Time { return later }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"for ever", "an hour"} {
		if value, err := s.Get(t.Context(), key); err != nil || string(value) != key {
			t.Errorf("get %q: %q, %v", key, value, err)
		}
	}
	if _, err := s.Get(t.Context(), "a moment"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a record that expired while nobody looked: %v, want ErrNotFound", err)
	}
}

// A second process on one file would give wrong answers from then on. It is
// refused soon, with words that say what to do, and the first is not disturbed.
func TestSecondOpenIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	first := open(t, path)
	began := time.Now()
	second, err := bolt.Open(bolt.Options{Path: path})
	if err == nil {
		second.Close()
	}
	if !errors.Is(err, bolt.ErrLocked) {
		t.Errorf("second open: %v, want ErrLocked", err)
	}
	if waited := time.Since(began); waited > 20*time.Second {
		t.Errorf("the refusal took %v", waited)
	}
	if err := first.Create(t.Context(), "key", nil, 0); err != nil {
		t.Errorf("the first is disturbed: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestModes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new", "data", "gatehouse.db")
	s := open(t, path)
	wantMode(t, filepath.Join(dir, "new"), 0o700)
	wantMode(t, filepath.Dir(path), 0o700)
	wantMode(t, path, 0o600)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// A copy from a backup may be open to everybody.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	wantMode(t, path, 0o600)
}

// An administrator runs a command as root while the server, which runs as a
// user of its own, is down. What the command makes must belong to that user,
// or the server would not start again; what is there keeps its owner.
func TestRootKeepsTheOwner(t *testing.T) {
	dir := t.TempDir()
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 12345, 12346
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "data", "gatehouse.db")
	for range 2 {
		s := open(t, path)
		if err := s.Create(t.Context(), time.Now().String(), []byte("value"), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, filepath.Dir(path), uid, gid)
		wantOwner(t, path, uid, gid)
	}
}

// The attack: the server's user plants a link where root is about to make the
// store, so that root makes a file elsewhere and gives it away.
func TestOpenDoesNotFollowAPlantedLink(t *testing.T) {
	dir := t.TempDir()
	target, path := filepath.Join(dir, "target"), filepath.Join(dir, "gatehouse.db")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if s, err := bolt.Open(bolt.Options{Path: path}); err == nil {
		s.Close()
		t.Error("opened through a link to nothing")
	}
	if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link's target was made (%v)", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("this is not a database, whoever says so"), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"not a database": file, "directory": dir, "below a file": filepath.Join(file, "db"), "pipe": fifo,
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := bolt.Open(bolt.Options{Path: path}); err == nil {
				s.Close()
				t.Error("opened")
			}
		})
	}
}

// A record that cannot be read is trouble, never "not found": a session that
// is damaged would otherwise be replaced, and an account created again.
func TestDamagedRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("records")).Put([]byte("key"), []byte("short"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	ctx := t.Context()
	_, getErr := s.Get(ctx, "key")
	_, takeErr := s.Take(ctx, "key")
	for op, err := range map[string]error{
		"get": getErr, "take": takeErr,
		"create": s.Create(ctx, "key", nil, 0),
		"update": s.Update(ctx, "key", func([]byte) ([]byte, time.Duration, error) { return []byte("x"), 0, nil }),
		"scan":   s.Scan(ctx, "", func(string, []byte) error { return nil }),
	} {
		if !errors.Is(err, store.ErrDown) {
			t.Errorf("%s: %v, want ErrDown", op, err)
		}
	}
	if err := s.Delete(ctx, "key"); err != nil {
		t.Errorf("delete: %v", err)
	}
}

// An impossible key fails alone, not the writes that share its commit.
func TestImpossibleKeys(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "gatehouse.db"))
	done := make(chan error, 100)
	for i := range cap(done) {
		go func() {
			if i%2 == 0 {
				_ = s.Create(t.Context(), "", nil, 0)
				_ = s.Create(t.Context(), string(make([]byte, 1<<16)), nil, 0)
			}
			done <- s.Create(t.Context(), fmt.Sprint("key ", i), nil, 0)
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := s.Create(t.Context(), "", nil, 0); err == nil {
		t.Error("created a record without a key")
	}
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

func wantOwner(t *testing.T, path string, uid, gid int) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if int(owner.Uid) != uid || int(owner.Gid) != gid {
		t.Errorf("%s belongs to %d:%d, want %d:%d", path, owner.Uid, owner.Gid, uid, gid)
	}
}
