package redis

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// heartbeat is how long a quiet subscription goes unchecked. A server that
	// vanished without a word is noticed after two of them; until then, as
	// always, the time limit of the cache holds.
	heartbeat = 2 * time.Second
	// maxResubscribe is the longest pause before a broken subscription is
	// tried again.
	maxResubscribe = time.Second
)

func (s *Store) channel() string { return s.prefix + "changes" }

// Publish implements store.Bus. It may be repeated: forgetting twice is
// forgetting.
func (s *Store) Publish(ctx context.Context, key string) error {
	_, err := s.read(ctx, "publish", "publish", s.channel(), key)
	return err
}

// Subscribe implements store.Bus. Each time that a subscription stands, the
// first included, f is called with an empty key: what was announced before is
// unknown.
func (s *Store) Subscribe(ctx context.Context, f func(key string)) {
	for failures := 0; ctx.Err() == nil; failures++ {
		if s.listen(ctx, f) {
			failures = 0
		}
		pause := min(10*time.Millisecond<<min(failures, 10), maxResubscribe)
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
		}
	}
}

// listen subscribes and calls f until something breaks. It reports whether
// the subscription stood.
func (s *Store) listen(ctx context.Context, f func(key string)) (stood bool) {
	subscription := s.client.Subscribe(ctx, s.channel())
	// A read waits on the socket and does not watch ctx.
	stop := context.AfterFunc(ctx, func() { _ = subscription.Close() })
	defer func() {
		stop()
		_ = subscription.Close()
	}()
	for asked := false; ; {
		message, err := subscription.ReceiveTimeout(ctx, heartbeat)
		var timeout net.Error
		switch {
		case ctx.Err() != nil:
			return stood
		case errors.As(err, &timeout) && timeout.Timeout() && !asked:
			asked = true
			if err := s.ping(ctx, subscription); err != nil {
				return stood
			}
			continue
		case err != nil:
			return stood
		}
		asked = false
		switch m := message.(type) {
		case *redis.Subscription:
			stood = true
			f("")
		case *redis.Message:
			f(m.Payload)
		}
	}
}

func (s *Store) ping(ctx context.Context, subscription *redis.PubSub) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return subscription.Ping(ctx)
}
