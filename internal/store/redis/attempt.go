package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/store"
)

const (
	attempts   = 3
	firstPause = 10 * time.Millisecond // doubled each time; the real pause is random below it
)

// ErrCredentials says that Redis answers and refuses who asks: trying again
// will not help. It comes beside store.ErrDown.
var ErrCredentials = errors.New("redis refuses the username or the password")

// once is a command that the client library must not send again: whether that
// is safe is decided by mayRepeat.
type once struct{ *redis.Cmd }

// NoRetry is read by the client library.
func (once) NoRetry() bool { return true }

// read sends a command that may be repeated whatever became of it, and
// returns its reply; nil: Redis answered with nil. Errors: ErrDown.
func (s *Store) read(ctx context.Context, op string, args ...any) (any, error) {
	return s.attempt(ctx, op, func(error) bool { return true }, args)
}

// write sends a command that must not run twice.
func (s *Store) write(ctx context.Context, op string, args ...any) (any, error) {
	return s.attempt(ctx, op, didNotRun, args)
}

func (s *Store) attempt(ctx context.Context, op string, mayRepeat func(error) bool, args []any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, store.Down(op, err)
		}
		cmd := once{redis.NewCmd(ctx, args...)}
		err := s.client.Process(ctx, cmd)
		if err == nil || errors.Is(err, redis.Nil) {
			return cmd.Val(), nil
		}
		if transient(err) {
			s.lookAround(ctx)
		}
		if n == attempts || !transient(err) || !mayRepeat(err) {
			return nil, store.Down(op, explained(err))
		}
		timer := time.NewTimer(rand.N(firstPause << (n - 1)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, store.Down(op, err)
		}
	}
}

// lookAround finds out, in the background, who the masters of a Cluster are now.
// The library does so by itself after a redirection; when a master has died and
// nobody is there to redirect, it would go on asking the dead for a minute.
func (s *Store) lookAround(ctx context.Context) {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx) // one at a time, however many ask for it
	}
}

// explained names the trouble that only an administrator can end.
func explained(err error) error {
	for _, prefix := range []string{"WRONGPASS", "NOAUTH", "NOPERM"} {
		if redis.HasErrorPrefix(err, prefix) {
			return fmt.Errorf("%w: %w", ErrCredentials, err)
		}
	}
	return err
}

// transient reports whether a failure may be over in a moment: anything but
// an answer of the server about the command itself.
func transient(err error) bool {
	var answer redis.Error
	return !errors.As(err, &answer) || refusedForNow(err)
}

// didNotRun reports whether it is certain that a command did not run.
func didNotRun(err error) bool {
	var dial *net.OpError
	return refusedForNow(err) ||
		errors.As(err, &dial) && dial.Op == "dial" ||
		errors.Is(err, redis.ErrPoolTimeout) ||
		errors.Is(err, redis.ErrPoolExhausted)
}

// refusedForNow reports whether a server said that it does not run commands
// at present.
func refusedForNow(err error) bool {
	return redis.IsLoadingError(err) || redis.IsReadOnlyError(err) || redis.IsMasterDownError(err) ||
		redis.IsClusterDownError(err) || redis.IsTryAgainError(err) || redis.IsMaxClientsError(err)
}

// bytesOf turns the reply to a read of one string into its bytes; nil: there
// is none.
func bytesOf(reply any, err error) ([]byte, error) {
	value, ok := reply.(string)
	if err != nil || !ok {
		return nil, err
	}
	return append([]byte{}, value...), nil
}
