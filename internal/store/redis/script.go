package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

// The scripts compare and change in one step. Each names its one key, so it
// runs on a Cluster.
const (
	// ARGV is the value expected, the new one, and options of SET.
	compareAndSwap = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV, 3))
return 1`
	// ARGV is the value expected.
	compareAndDelete = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1`
)

// run runs a script on one key and reports whether it returned 1. It is sent
// by its name, the SHA-1 of its source; a server that does not know it yet has
// not run it and is sent the source.
func (s *Store) run(ctx context.Context, op, source, key string, args ...any) (bool, error) {
	sum := sha1.Sum([]byte(source))
	reply, err := s.write(ctx, op, append([]any{"evalsha", hex.EncodeToString(sum[:]), 1, key}, args...)...)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = s.write(ctx, op, append([]any{"eval", source, 1, key}, args...)...)
	}
	return reply == int64(1), err
}
