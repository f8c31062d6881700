package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/store"
)

func newStore(t *testing.T, now func() time.Time) *Store {
	t.Helper()
	s, err := Open(Options{Path: filepath.Join(t.TempDir(), "gatehouse.db"), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// stored counts the records of the file, with those that have expired.
func (s *Store) stored(t *testing.T) (n int) {
	t.Helper()
	if err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(records).ForEach(func(_, _ []byte) error {
			n++
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// What strangers make grow (unfinished sign-ins) must shrink again by itself.
func TestSweepFreesWhatExpired(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000)
	s := newStore(t, func() time.Time { return time.Unix(now.Load(), 0) })
	group := make([]*write, 0, 3000)
	for i := range cap(group) {
		ttl := []time.Duration{0, time.Minute, time.Hour}[i%3]
		group = append(group, &write{change: func(b *bbolt.Bucket) (bool, error) {
			return true, b.Put(fmt.Appendf(nil, "key:%04d", i), encode(s.expiry(ttl), []byte("value")))
		}})
	}
	if err := s.commitGroup(group); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ after, want int64 }{{0, 3000}, {59, 3000}, {1, 2000}, {3600, 1000}, {1 << 30, 1000}} {
		now.Add(step.after)
		s.sweep()
		if got := s.stored(t); got != int(step.want) {
			t.Errorf("%d s later %d records are stored, want %d", step.after, got, step.want)
		}
	}
}

// A record that was written again after the sweep saw it expired must stay.
func TestSweepSparesWhatWasWrittenAgain(t *testing.T) {
	s := newStore(t, nil)
	if err := s.Create(t.Context(), "key", []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.commitGroup([]*write{{change: func(b *bbolt.Bucket) (bool, error) {
		return s.drop(b, []string{"key", "gone"})
	}}}); err != nil {
		t.Fatal(err)
	}
	if value, err := s.Get(t.Context(), "key"); err != nil || string(value) != "new" {
		t.Errorf("get: %q, %v", value, err)
	}
}

// Changes that share a commit see each other, cost one commit, and none that
// changes nothing costs any.
func TestGroupIsOneCommit(t *testing.T) {
	s := newStore(t, nil)
	commits := func() int {
		tx, err := s.db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		return tx.ID()
	}
	before := commits()
	var seen []byte
	put := func(b *bbolt.Bucket) (bool, error) { return true, b.Put([]byte("key"), encode(0, []byte("value"))) }
	look := func(b *bbolt.Bucket) (bool, error) {
		r, err := s.find(b, "key")
		seen = bytes.Clone(r.value)
		return false, err
	}
	if err := s.commitGroup([]*write{{change: put}, {change: look}, {change: put}}); err != nil {
		t.Fatal(err)
	}
	if string(seen) != "value" {
		t.Errorf("a change sees %q of the one before it", seen)
	}
	if got := commits() - before; got != 1 {
		t.Errorf("three changes cost %d commits, want 1", got)
	}
	before = commits()
	if err := s.Create(t.Context(), "key", nil, 0); !errors.Is(err, store.ErrExists) {
		t.Errorf("create: %v, want ErrExists", err)
	}
	if err := s.Delete(t.Context(), "missing"); err != nil {
		t.Error(err)
	}
	if got := commits() - before; got != 0 {
		t.Errorf("writes without effect cost %d commits, want 0", got)
	}
}

// A write that fails must not leave the halves of its group behind.
func TestFailedGroupChangesNothing(t *testing.T) {
	s := newStore(t, nil)
	errDisk := errors.New("disk")
	err := s.commitGroup([]*write{
		{change: func(b *bbolt.Bucket) (bool, error) { return true, b.Put([]byte("key"), encode(0, nil)) }},
		{change: func(*bbolt.Bucket) (bool, error) { return true, errDisk }},
	})
	if !errors.Is(err, errDisk) {
		t.Errorf("error %v, want the one of the disk", err)
	}
	if n := s.stored(t); n != 0 {
		t.Errorf("%d records are stored, want none", n)
	}
}

// One damaged record must not fail the writes of strangers that happen to share
// its commit: who can cause a write of it could keep everybody from signing in.
func TestDamagedRecordFailsNoOtherWrite(t *testing.T) {
	file := newStore(t, nil)
	if err := file.commitGroup([]*write{{change: func(b *bbolt.Bucket) (bool, error) {
		return true, b.Put([]byte("damaged"), []byte("?"))
	}}}); err != nil {
		t.Fatal(err)
	}
	// The same file without a committer: here the test decides what shares a
	// commit.
	s := &Store{db: file.db, now: time.Now, writes: make(chan *write), closing: make(chan struct{})}
	for name, touch := range map[string]func() error{
		"create": func() error { return s.Create(t.Context(), "damaged", nil, 0) },
		"swap":   func() error { _, err := s.swap(t.Context(), "damaged", []byte("old"), []byte("new"), 0); return err },
		"take":   func() error { _, err := s.Take(t.Context(), "damaged"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := make(chan error, 1), make(chan error, 1)
			go func() { bad <- touch() }()
			group := []*write{<-s.writes}
			go func() { good <- s.Create(t.Context(), name, []byte("value"), 0) }()
			group = append(group, <-s.writes)
			err := s.commitGroup(group)
			for _, w := range group {
				w.done <- err
			}
			if err := <-bad; !errors.Is(err, store.ErrDown) || !errors.Is(err, errDamaged) {
				t.Errorf("the write of the damaged record: %v", err)
			}
			if err := <-good; err != nil {
				t.Errorf("the write beside it: %v", err)
			}
			if _, err := s.Get(t.Context(), name); err != nil {
				t.Errorf("get what was written beside it: %v", err)
			}
		})
	}
}

// The attack: whoever restores a backup, or can write the file, plants a
// record that crashes the gateway or that never expires.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(make([]byte, 7))
	f.Add(make([]byte, 8))
	f.Add(encode(1, []byte("value")))
	f.Add(bytes.Repeat([]byte{0xff}, 9))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			if r.exists {
				t.Errorf("%x is an error and a record", data)
			}
			return
		}
		if !bytes.Equal(encode(r.expires, r.value), data) {
			t.Errorf("%x is read as %+v, which is written as %x", data, r, encode(r.expires, r.value))
		}
		if r.expires != 0 && !r.expired(time.UnixMilli(r.expires)) {
			t.Errorf("%x does not expire when it says", data)
		}
	})
}
