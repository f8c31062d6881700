package signin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// backchannel is POST backchannel-logout/{connection} (OpenID Connect
// Back-Channel Logout 1.0, section 2.5). It comes from the identity provider's
// server: what it may do is decided by the signature of the token alone.
func (f *Flow) backchannel(w http.ResponseWriter, r *http.Request) {
	c := f.heard(r.PathValue("connection"))
	if c == nil {
		f.Pages.Error(w, r, auth.ErrNotFound)
		return
	}
	notified, ok := c.Provider.(auth.Notified)
	if !ok {
		f.Pages.Error(w, r, auth.ErrNotFound)
		return
	}
	ended, err := f.notice(r, c, notified)
	switch {
	case err == nil:
		f.audit(r, "backchannel_logout", slog.String("connection", c.Provider.ID()), slog.Int("sessions", ended))
		w.WriteHeader(http.StatusOK)
		return
	case errors.Is(err, auth.ErrStoreDown), errors.Is(err, auth.ErrProviderDown):
		// Not the token's fault: the identity provider should send it again.
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_request"}` + "\n"))
	}
	f.audit(r, "backchannel_logout_failed", slog.String("connection", c.Provider.ID()),
		slog.String("reason", web.Code(err)), slog.Any("error", err))
}

// heard returns the connection of that id, also one that is not enabled.
func (f *Flow) heard(id string) *Connection {
	for i := range f.Retired {
		if f.Retired[i].Provider.ID() == id {
			return &f.Retired[i]
		}
	}
	return f.connection(id)
}

func (f *Flow) notice(r *http.Request, c *Connection, notified auth.Notified) (int, error) {
	form, err := postForm(r, "logout_token")
	if err != nil {
		return 0, err
	}
	token := form.Get("logout_token")
	if token == "" {
		return 0, fmt.Errorf("%w: no logout_token", auth.ErrMalformed)
	}
	return notified.Logout(r.Context(), token, func(ctx context.Context, n auth.LogoutNotice) (int, error) {
		if n.Connection != c.Provider.ID() {
			return 0, fmt.Errorf("%w: it speaks for %q", auth.ErrInvalidAnswer, n.Connection)
		}
		return f.Sessions.EndNotified(ctx, n)
	})
}
