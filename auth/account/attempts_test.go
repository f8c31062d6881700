package account_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/throttle"
)

// counting is an enroller whose answers are counted.
type counting struct {
	enroller
	throttle *throttle.Throttle
}

func (c counting) Confirm(ctx context.Context, by auth.Claimant, e auth.Enrolment, answer string) error {
	attempt, err := c.throttle.Begin(ctx, by.Account, throttle.Device(ctx))
	if err != nil {
		return err
	}
	if err := c.enroller.Confirm(ctx, by, e, answer); err != nil {
		return err
	}
	return attempt.Settle(ctx)
}

// Attack: guess at somebody's account all day, so that they cannot add a factor
// on the browser that it knows; or wait for them to do so, and guess anew.
func TestStrangersDoNotCountOnAKnownDevice(t *testing.T) {
	h := open(t)
	th := &throttle.Throttle{Store: h.page.Store, Index: h.page.Index, Now: func() time.Time { return h.now }}
	known, _, err := th.Remember(t.Context(), "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	h.page.Enrollers = []auth.Enroller{counting{enroller{h}, th}}
	h.page.Device = func(r *http.Request) string { return r.Header.Get("Device") }
	strangersWait := func() {
		t.Helper()
		if _, err := th.Begin(t.Context(), "alice", ""); !errors.As(err, new(*auth.Throttled)) {
			t.Errorf("a stranger's guess: %v", err)
		}
	}
	for range throttle.Free + 1 {
		if _, err := th.Begin(t.Context(), "alice", ""); err != nil {
			break
		}
	}
	strangersWait()
	h.post("alice", "/factors/add", "kind", "totp")
	code := url.Values{"kind": {"totp"}, "code": {"123456"}}
	expect(t, h.do(http.MethodPost, "alice", "/factors/confirm", code), http.StatusTooManyRequests, "")
	expect(t, h.do(http.MethodPost, "alice", "/factors/confirm", code, "Device", known), http.StatusSeeOther, "/oauth2/account#factors")
	strangersWait()
}
