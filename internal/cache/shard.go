package cache

import (
	"sync"
	"time"
)

// shard is a part of the cache. Which entry goes when it is full is decided
// as in SIEVE (Zhang et al., NSDI 2024): a hit only sets a mark, a hand walks
// from the oldest entry to the newest, clears marks and evicts the first
// entry that has none. A flood of keys that are used once cannot push out
// those in use.
type shard[T any] struct {
	mu      sync.Mutex
	size    int
	entries map[string]*entry[T]
	newest  *entry[T]
	oldest  *entry[T]
	hand    *entry[T]             // next to be judged; nil: the oldest
	flights map[string]*flight[T] // loads whose result may be kept
}

type entry[T any] struct {
	key          string
	value        T
	began        time.Time // when the load that brought it began
	visited      bool
	newer, older *entry[T]
}

// init makes the shard empty. A load that runs finds that it is not in
// flights any more and keeps nothing.
func (s *shard[T]) init(size int) {
	s.size = size
	s.entries = make(map[string]*entry[T])
	s.flights = make(map[string]*flight[T])
	s.newest, s.oldest, s.hand = nil, nil, nil
}

func (s *shard[T]) add(e *entry[T]) {
	if old, ok := s.entries[e.key]; ok {
		s.remove(old)
	}
	for len(s.entries) >= s.size {
		s.evict()
	}
	s.entries[e.key] = e
	e.older = s.newest
	if s.newest != nil {
		s.newest.newer = e
	} else {
		s.oldest = e
	}
	s.newest = e
}

func (s *shard[T]) evict() {
	e := s.hand
	if e == nil {
		e = s.oldest
	}
	for e.visited {
		e.visited = false
		if e = e.newer; e == nil {
			e = s.oldest
		}
	}
	s.hand = e.newer
	s.remove(e)
}

func (s *shard[T]) remove(e *entry[T]) {
	delete(s.entries, e.key)
	if s.hand == e {
		s.hand = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
	e.newer, e.older = nil, nil
}
