package auth

import "context"

type recheckKey struct{}

// AsRecheck returns a context in which a session is asked for again on behalf
// of a request that began earlier and is still open. Such a question is no use
// of the session: without the mark a forgotten tab that holds a stream open
// would keep its session from ever being idle.
func AsRecheck(ctx context.Context) context.Context {
	return context.WithValue(ctx, recheckKey{}, true)
}

// IsRecheck reports whether ctx comes from AsRecheck.
func IsRecheck(ctx context.Context) bool {
	recheck, _ := ctx.Value(recheckKey{}).(bool)
	return recheck
}
