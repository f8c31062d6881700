package account_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
)

// What would fail is not offered. Of codes by mail that a reset has barred the
// page says why, and what to do.
func TestWhatCanBeAdded(t *testing.T) {
	const app, barred = "Add an authenticator app", "Change your password"
	for _, c := range []struct {
		unable error
		want   []string
	}{
		{nil, []string{app}},
		{auth.ErrNotFound, nil},
		{fmt.Errorf("enrol: %w: %w", auth.ErrNotFound, auth.ErrBarred), []string{barred}},
	} {
		h := open(t)
		h.unable = c.unable
		w := h.get("alice", "")
		expect(t, w, http.StatusOK, "")
		shows(t, w, "Add a passkey")
		for _, text := range []string{app, barred} {
			if got := strings.Contains(w.Body.String(), text); got != slices.Contains(c.want, text) {
				t.Errorf("%v: it says %q: %v", c.unable, text, got)
			}
		}
	}
	h := open(t)
	h.unable = auth.ErrStoreDown
	expect(t, h.get("alice", ""), http.StatusServiceUnavailable, "")
}

func TestAnotherCodeTooSoon(t *testing.T) {
	h := open(t)
	h.page.Enrollers = []auth.Enroller{hasty{enroller{h}}}
	w := h.post("alice", "/factors/add", "kind", "totp")
	expect(t, w, http.StatusTooManyRequests, "")
	shows(t, w, "mailed not long ago, and another cannot be sent yet. Try again in 25 seconds.")
	if got := w.Header().Get("Retry-After"); got != "25" {
		t.Errorf("Retry-After %q", got)
	}
}

// hasty has mailed a code already.
type hasty struct{ enroller }

func (hasty) Offer(context.Context, auth.Claimant) (auth.Enrolment, error) {
	return auth.Enrolment{}, fmt.Errorf("%w: %w", auth.ErrMailedLately, &auth.Throttled{RetryAfter: 25 * time.Second})
}
