package local

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"gatehouse/auth"
)

// maxWaiting bounds each queue for hashing. More people than that do not sign
// in at once; a stranger who floods the form does.
const maxWaiting = 256

// queue lets as many go on at once as it has places.
type queue struct {
	places  chan struct{}
	waiting atomic.Int64
}

// acquire waits for a place. Errors: *auth.Throttled when the queue is full,
// and that of ctx.
func (q *queue) acquire(ctx context.Context) error {
	if q.waiting.Add(1) > maxWaiting {
		q.waiting.Add(-1)
		return &auth.Throttled{RetryAfter: time.Second}
	}
	defer q.waiting.Add(-1)
	select {
	case q.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for password hashing: %w", ctx.Err())
	}
}

func (q *queue) release() { <-q.places }
