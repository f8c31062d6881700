package mail

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

// Once an older key is gone, what it has sealed could not be sent.
func TestReseal(t *testing.T) {
	p := &postman{}
	o := newOutbox(t, memory.New(), p, nil)
	if err := o.Code(t.Context(), "ann@acme.example", "12345678", time.Hour); err != nil {
		t.Fatal(err)
	}
	o.Sealer = newKeyring(t, keyB, keyA)
	for _, want := range []int{1, 0} {
		if n, err := o.Reseal(t.Context()); err != nil || n != want {
			t.Errorf("sealed %d anew, %v; want %d", n, err, want)
		}
	}
	o.Sealer = newKeyring(t, keyB)
	if o.pass(t.Context()); len(p.subjects()) != 1 {
		t.Errorf("sent %v", p.subjects())
	}
}

// A mail that nothing is said of, but that was not sent, stays in the queue.
func TestFailureWithoutWords(t *testing.T) {
	p := &postman{}
	p.failing(func(Mail) error { return errors.New("") })
	o := newOutbox(t, memory.New(), p, nil)
	if err := o.Code(t.Context(), "ann@acme.example", "12345678", time.Hour); err != nil {
		t.Fatal(err)
	}
	o.pass(t.Context())
	if left := list(t, o); len(left) != 1 || left[0].Attempts != 1 {
		t.Errorf("in the queue: %+v", left)
	}
}

// Older keys may go when nothing is sealed under them: a mail that others change
// all the time is not known to be none.
func TestResealUnderContention(t *testing.T) {
	st := &storetest.Faulty{Store: memory.New()}
	o := newOutbox(t, st, &postman{}, nil)
	if err := o.Code(t.Context(), "ann@acme.example", "12345678", time.Hour); err != nil {
		t.Fatal(err)
	}
	o.Sealer = newKeyring(t, keyB, keyA)
	st.Before = func(op, key string) error {
		if op == "update" && strings.HasPrefix(key, bodyPrefix) {
			return store.ErrConflict
		}
		return nil
	}
	if n, err := o.Reseal(t.Context()); n != 0 || !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("sealed %d anew, %v; want ErrStoreDown", n, err)
	}
}
