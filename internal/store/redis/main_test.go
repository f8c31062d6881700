package redis_test

import (
	"testing"

	"go.uber.org/goleak"

	"gatehouse/internal/store/redis"
)

func TestMain(m *testing.M) {
	// The library's logger is set before anything uses the library.
	if _, err := redis.New(redis.Options{}); err == nil {
		panic("a store without an address")
	}
	goleak.VerifyTestMain(m)
}
