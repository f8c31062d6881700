package provision

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store/storetest"
)

// The doctor once found an account in a storm whose e-mail led nowhere. Two
// sign-ins of one person gave it the same new address. The first confirmed the
// entry, failed to write the account, confirmed it again in its next attempt,
// to the byte as before, and was done; the second had looked in between, took
// the entry for the one that had come to nothing, and reserved it for itself.
func TestConfirmationsOfTwoAttemptsDiffer(t *testing.T) {
	h := newHouse(t, nil)
	h.resolve(identity("acme", "alice"))
	moved := identity("acme", "alice", email("new@people.example", true))

	var first, second sync.WaitGroup
	defer second.Wait()
	looked, done := make(chan struct{}), make(chan struct{})
	_, late := h.replica(&storetest.Faulty{Store: h.store, Before: func(op, key string) error {
		if op == "update" && strings.HasPrefix(key, "email:") {
			select {
			case <-looked:
			default:
				close(looked) // and about to reserve
				<-done
			}
		}
		return nil
	}})
	confirmed, links := false, 0
	_, early := h.replica(&storetest.Faulty{
		Store: h.store,
		After: func(op, key string) error {
			if op == "update" && strings.HasPrefix(key, "email:") && !confirmed {
				// The entry is confirmed; now the account changes under our hands.
				confirmed = true
				name := "Alice"
				if _, err := h.directory.Set(t.Context(), "alice", Edit{Name: &name}); err != nil {
					t.Error(err)
				}
			}
			return nil
		},
		Before: func(op, key string) error {
			if op == "get" && strings.HasPrefix(key, "link:") {
				if links++; links == 2 {
					// The second attempt begins; the other sign-in looks now.
					second.Go(func() {
						if _, err := late.Resolve(context.Background(), moved); err != nil {
							t.Errorf("late: %v", err)
						}
					})
					<-looked
				}
			}
			return nil
		},
	})
	first.Go(func() {
		defer close(done)
		if o, err := early.Resolve(context.Background(), moved); err != nil || o.Verdict != auth.Updated {
			t.Errorf("early: %+v, %v", o, err)
		}
	})
	first.Wait()
	second.Wait()
	if links < 2 {
		t.Fatal("the first sign-in had no second attempt")
	}
	if f := h.examine(false).Findings; len(f) > 0 {
		t.Errorf("the doctor finds %+v", f)
	}
	audit(t, h)
}

// The doctor once found last sign-ins of accounts that were gone: a sign-in
// noted its time when the deletion had been there before.
func TestSignInNotesNothingOfAnAccountThatIsGone(t *testing.T) {
	h := newHouse(t, nil)
	h.resolve(identity("acme", "alice"))
	h.clock.add(48 * time.Hour)
	deleted := false
	_, r := h.replica(&storetest.Faulty{Store: h.store, Before: func(op, key string) error {
		if op == "update" && strings.HasPrefix(key, signInPrefix) && !deleted {
			deleted = true
			if err := h.directory.Delete(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
		}
		return nil
	}})
	o, err := r.Resolve(t.Context(), identity("acme", "alice"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SignedIn(t.Context(), o.Account, false); err != nil {
		t.Fatal(err)
	}
	if !deleted {
		t.Fatal("nothing was noted")
	}
	if f := h.examine(false).Findings; len(f) > 0 {
		t.Errorf("the doctor finds %+v", f)
	}
}
