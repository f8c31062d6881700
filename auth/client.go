package auth

import (
	"context"
	"net/netip"
	"strings"
)

// Client is where a request comes from, as people are told of it: in mails, and
// on the list of their sessions.
type Client struct {
	Address string `json:"address,omitempty"` // of the client behind trusted proxies; "": not known
	Agent   string `json:"agent,omitempty"`   // User-Agent, cut to MaxAgent bytes; whoever sends it chooses it
}

// MaxAgent is how much of a User-Agent is kept, in bytes.
const MaxAgent = 256

// NewClient returns the client at an address, the zero Addr where it is not
// known, with as much of its User-Agent as is kept: whole characters of UTF-8.
func NewClient(addr netip.Addr, agent string) Client {
	c := Client{Agent: strings.ToValidUTF8(agent[:min(len(agent), MaxAgent)], "")}
	if addr.IsValid() {
		c.Address = addr.String()
	}
	return c
}

type clientKey struct{}

// WithClient returns a context that carries where the request comes from.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientOf returns the client of the context; the zero Client where none is
// known, as for commands.
func ClientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}
