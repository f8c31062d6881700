package provision

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

// TestEachDecisionIsTold: one line and one count for each, whatever it was, and
// nothing of what the provider said of the person.
func TestEachDecisionIsTold(t *testing.T) {
	var trouble error
	h := newHouse(t, &storetest.Faulty{Store: memory.New(), Before: func(string, string) error { return trouble }})
	h.conn("partner").JIT.LinkExisting = config.LinkConfirm
	h.open()
	var log bytes.Buffer
	var heard []string
	h.directory.Log = slog.New(slog.NewJSONHandler(&log, nil))
	h.resolver.Decided = func(connection, verdict string) { heard = append(heard, connection+" "+verdict) }

	alice := h.resolve(identity("acme", "alice"))
	h.creds.passwords[alice.Account] = true
	for _, step := range []struct {
		do   func() (auth.Outcome, error)
		want string
		has  map[string]any
	}{
		{func() (auth.Outcome, error) { return alice, nil }, "acme created", map[string]any{"account": alice.Account, "subject": "alice"}},
		{func() (auth.Outcome, error) { return h.resolver.Resolve(t.Context(), identity("acme", "alice")) }, "acme unchanged", map[string]any{"account": alice.Account}},
		{func() (auth.Outcome, error) {
			return h.resolver.Resolve(t.Context(), identity("acme", "alice", groups("staff", "hush")))
		}, "acme updated", map[string]any{"account": alice.Account}},
		{func() (auth.Outcome, error) {
			return h.resolver.Resolve(t.Context(), identity("partner", "alice"))
		}, "partner confirm", map[string]any{"account": alice.Account}},
		{func() (auth.Outcome, error) {
			return h.resolver.ResolveConfirmed(t.Context(), identity("partner", "alice"), alice.Account)
		}, "partner linked", map[string]any{"account": alice.Account}},
		{func() (auth.Outcome, error) { return h.resolver.Resolve(t.Context(), identity("guest", "gus")) }, "guest pass_through", nil},
		{func() (auth.Outcome, error) {
			return h.resolver.LinkOwn(t.Context(), identity("acme", "other"), alice.Account)
		}, "acme linked", map[string]any{"account": alice.Account, "subject": "other"}},
		{func() (auth.Outcome, error) { return h.resolver.Resolve(t.Context(), identity("nowhere", "x")) }, "nowhere denied", map[string]any{"reason": string(auth.DeniedConnection)}},
		{func() (auth.Outcome, error) {
			trouble = store.ErrDown
			return h.resolver.Resolve(t.Context(), identity("acme", "alice"))
		}, "acme failed", nil},
	} {
		o, err := step.do()
		if want := step.want; len(heard) != 1 || heard[0] != want {
			t.Fatalf("heard %q, want %q (%+v, %v)", heard, want, o, err)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Fatalf("%s: %d lines:\n%s", step.want, n, log.String())
		}
		var line map[string]any
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		connection, verdict, _ := strings.Cut(step.want, " ")
		got := map[string]any{"msg": line["msg"], "audit": line["audit"], "connection": line["connection"], "verdict": line["verdict"]}
		if diff := cmp.Diff(map[string]any{"msg": "provisioning", "audit": true, "connection": connection, "verdict": verdict}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.want, diff)
		}
		decision, denied := o.Decision, (*auth.Denied)(nil)
		if errors.As(err, &denied) {
			decision = denied.Decision
		}
		if decision != "" && line["decision_id"] != decision || line["decision_id"] == "" {
			t.Errorf("%s: decision_id is %v, want %q", step.want, line["decision_id"], decision)
		}
		for key, want := range step.has {
			if line[key] != want {
				t.Errorf("%s: %s is %v, want %v", step.want, key, line[key], want)
			}
		}
		if _, there := line["error"]; there != (err != nil) {
			t.Errorf("%s: error is %v", step.want, line["error"])
		}
		if strings.Contains(log.String(), "people.example") || strings.Contains(log.String(), "hush") {
			t.Errorf("the line says what the provider said:\n%s", log.String())
		}
		heard = nil
		log.Reset()
	}
	// A local sign-in provisions nothing.
	trouble = nil
	if _, err := h.resolver.Resolve(t.Context(), auth.Identity{Connection: auth.Local, Issuer: auth.Local, Subject: alice.Account}); err != nil {
		t.Fatal(err)
	}
	if len(heard) > 0 || log.Len() > 0 {
		t.Errorf("a local sign-in: heard %q, logged %s", heard, log.String())
	}
}
