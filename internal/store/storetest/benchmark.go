package storetest

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/store"
)

// Benchmark measures the operations of a store on records of the size of a
// session.
func Benchmark(b *testing.B, open func(tb testing.TB) store.Store) {
	s := open(b)
	b.Cleanup(func() { _ = s.Close() })
	value := strings.Repeat("x", 500)
	create(b, s, "key", value, 0)
	ctx := b.Context()
	change := func(old []byte) ([]byte, time.Duration, error) {
		old[0]++
		return old, store.KeepTTL, nil
	}
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Get(ctx, "key"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Update", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Update(ctx, "key", change); err != nil {
				b.Fatal(err)
			}
		}
	})
	// Writers that do not collide: what a store makes of load.
	b.Run("UpdateParallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			key := "key:" + time.Now().String()
			for pb.Next() {
				if err := s.Update(ctx, key, put(value)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
