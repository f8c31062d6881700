package signin

import (
	"fmt"
	"net/http"
	"net/url"

	"gatehouse/auth"
)

// callback is GET callback: the answer of an identity provider. The state
// decides which, never the answer itself (mix-up, RFC 9207).
func (f *Flow) callback(_ http.ResponseWriter, r *http.Request) (reached, error) {
	answer, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return reached{}, fmt.Errorf("callback: %w: %w", auth.ErrMalformed, err)
	}
	// Of two values one parser takes the first and another the last.
	if len(answer["state"]) > 1 || len(answer["code"]) > 1 {
		return reached{}, fmt.Errorf("callback: %w: state or code is given more than once", auth.ErrMalformed)
	}
	state := answer.Get("state")
	p, err := f.look(r.Context(), atProvider, state)
	if err != nil {
		return reached{}, fmt.Errorf("callback: %w", err)
	}
	if !f.bound(r, p) {
		return reached{}, fmt.Errorf("callback: %w: begun in another browser", auth.ErrInvalidState)
	}
	if p, err = f.take(r.Context(), atProvider, state); err != nil {
		return reached{}, fmt.Errorf("callback: %w", err)
	}
	f.Quotas.away.give(f.client(r))
	at, err := f.answered(r, p, answer)
	if err != nil {
		at.pending.Connection = p.Connection
	}
	// The state is spent: whoever tries again begins anew, with the way back.
	return at, f.tryAt(err, f.connection(p.Connection), p.ReturnTo)
}

// answered has the connection judge the answer to a sign-in that is taken.
func (f *Flow) answered(r *http.Request, p auth.Pending, answer url.Values) (reached, error) {
	p.Created = f.now().UTC() // from here on: when the first step was proved
	c := f.connection(p.Connection)
	if c == nil {
		return reached{}, fmt.Errorf("callback: %w: its connection is no longer configured", auth.ErrInvalidState)
	}
	id, tokens, err := c.Provider.Finish(r.Context(), p, answer)
	if err != nil {
		return reached{}, fmt.Errorf("callback: connection %s: %w", p.Connection, err)
	}
	if id.Connection != p.Connection || id.Subject == "" {
		return reached{}, fmt.Errorf("callback: connection %s: %w: it speaks for %q", p.Connection, auth.ErrInvalidAnswer, id.Connection)
	}
	p.Identity, p.Tokens = &id, tokens
	if p.Links != "" {
		return reached{milestone: wanted, pending: p}, nil
	}
	if p.Confirms != "" {
		return reached{milestone: vouched, pending: p}, nil
	}
	return reached{milestone: identified, pending: p}, nil
}
