package web

import "context"

type requestIDKey struct{}

// WithRequestID returns a context that carries the request's id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the request's id, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

type originalKey struct{}

type originalRequest struct{ origin, url string }

// WithOriginal returns the context of a request in which another proxy asks about
// one for a URL. Pages are then shown there, where a path on its own would be
// completed with who knows what: links to endpoints begin with origin, which is
// that of public_url. Both were judged.
func WithOriginal(ctx context.Context, origin, url string) context.Context {
	return context.WithValue(ctx, originalKey{}, originalRequest{origin, url})
}
