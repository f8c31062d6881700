package memory_test

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.New() })
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(testing.TB) store.Store { return memory.New() })
}

// What strangers make grow (unfinished sign-ins) must shrink again by itself.
func TestExpiredRecordsAreDropped(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := memory.New()
	s.Now = func() time.Time { return now }
	for i := range 100_000 {
		now = now.Add(time.Second)
		if err := s.Create(t.Context(), fmt.Sprintf("pending:%d", i), []byte("x"), time.Minute); err != nil {
			t.Fatal(err)
		}
		if n := s.Len(); n > 1024 {
			t.Fatalf("%d records held when 60 are alive", n)
		}
	}
}
