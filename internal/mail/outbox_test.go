package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gatehouse/auth"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// postman is a Sender that keeps what it is given, and fails when it is told to.
type postman struct {
	mu    sync.Mutex
	fail  func(Mail) error
	mails []Mail
}

func (p *postman) Send(ctx context.Context, m Mail) error {
	p.mu.Lock()
	fail := p.fail
	p.mu.Unlock()
	if fail != nil {
		if err := fail(m); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, m)
	return nil
}

func (p *postman) failing(f func(Mail) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = f
}

// subjects are those of the mails that were sent, in order.
func (p *postman) subjects() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, m := range p.mails {
		all = append(all, m.To+": "+m.Subject)
	}
	return all
}

func newKeyring(t *testing.T, keys ...string) *seal.Keyring {
	t.Helper()
	ring, err := seal.NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

var (
	keyA = strings.Repeat("a", 32)
	keyB = strings.Repeat("b", 32)
)

func newOutbox(t *testing.T, st store.Store, p *postman, log *bytes.Buffer) *Outbox {
	t.Helper()
	c := Config{
		Store: st, Sealer: newKeyring(t, keyA), Sender: p,
		Site: Site{Name: "Acme", URL: "https://gate.acme.example", Account: "https://gate.acme.example/oauth2/account"},
	}
	if log != nil {
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	return New(c)
}

// inBubble runs a test with a clock of its own and an outbox that sends.
func inBubble(t *testing.T, f func(ctx context.Context, o *Outbox, p *postman, log *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, log := &postman{}, &bytes.Buffer{}
		o := newOutbox(t, memory.New(), p, log)
		var running sync.WaitGroup
		running.Go(func() { o.Run(ctx) })
		defer running.Wait()
		defer cancel()
		f(ctx, o, p, log)
	})
}

func list(t *testing.T, o *Outbox) []Entry {
	t.Helper()
	entries, err := o.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestAMailIsSentAtOnceAndForgotten(t *testing.T) {
	inBubble(t, func(ctx context.Context, o *Outbox, p *postman, _ *bytes.Buffer) {
		start := time.Now()
		if err := o.Code(ctx, "ann@acme.example", "12345678", 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"ann@acme.example: Your code at Acme"}, p.subjects()); diff != "" {
			t.Error(diff)
		}
		if waited := time.Since(start); waited >= pollEvery {
			t.Errorf("it took %s", waited)
		}
		if left := list(t, o); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		left, err := store.IDs(ctx, o.Store, "")
		if err != nil || len(left) > 0 {
			t.Errorf("left in the store: %v, %v", left, err)
		}
	})
}

// A server that hangs must not hang a page: whoever asks for a reset could tell
// by the time whether there is such an account.
func TestNobodyWaitsForTheServer(t *testing.T) {
	inBubble(t, func(ctx context.Context, o *Outbox, p *postman, _ *bytes.Buffer) {
		p.failing(func(Mail) error { time.Sleep(sendTime); return context.DeadlineExceeded })
		start := time.Now()
		for i := range 20 {
			if err := o.Code(ctx, fmt.Sprintf("p%d@acme.example", i), "12345678", time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(start); waited > time.Second { // writers of one list give way to each other
			t.Errorf("to queue took %s", waited)
		}
	})
}

func TestWhatFailsIsTriedAgain(t *testing.T) {
	inBubble(t, func(ctx context.Context, o *Outbox, p *postman, log *bytes.Buffer) {
		var at []time.Duration
		start := time.Now()
		p.failing(func(Mail) error {
			at = append(at, time.Since(start).Round(time.Second))
			return errors.New("connection refused")
		})
		if err := o.Link(ctx, "ann@acme.example", KindReset, "https://gate.acme.example/oauth2/password?token=s3cr3t", start.Add(30*time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		want := []time.Duration{0, 5 * time.Second, 15 * time.Second, 35 * time.Second, 75 * time.Second}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("attempts:\n%s", diff)
		}
		entries := list(t, o)
		if len(entries) != 1 || entries[0].Attempts != 5 || entries[0].Error != "connection refused" || entries[0].Failed {
			t.Errorf("got %+v", entries)
		}
		p.failing(nil)
		if err := o.Retry(ctx, entries[0].ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := p.subjects(); len(got) != 1 {
			t.Errorf("sent %v", got)
		}
		if !strings.Contains(log.String(), "could not be sent") {
			t.Errorf("nothing was logged: %s", log)
		}
	})
}

func TestWhatIsOverIsDropped(t *testing.T) {
	inBubble(t, func(ctx context.Context, o *Outbox, p *postman, log *bytes.Buffer) {
		p.failing(func(Mail) error { return errors.New("connection refused") })
		if err := o.Code(ctx, "ann@acme.example", "12345678", time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if left, err := store.IDs(ctx, o.Store, ""); err != nil || len(left) > 0 {
			t.Errorf("left in the store: %v, %v", left, err)
		}
		if !strings.Contains(log.String(), "was not sent in the time that it was good for") {
			t.Errorf("the administrator is not told: %s", log)
		}
		p.failing(nil)
		time.Sleep(time.Hour)
		if got := p.subjects(); len(got) > 0 {
			t.Errorf("sent a code that is over: %v", got)
		}
	})
}

func TestWhatIsRefusedForGoodWaitsForTheAdministrator(t *testing.T) {
	inBubble(t, func(ctx context.Context, o *Outbox, p *postman, _ *bytes.Buffer) {
		attempts := 0
		p.failing(func(Mail) error { attempts++; return &Refused{Err: errors.New("550 no such user")} })
		if err := o.Event(ctx, "ann@acme.example", "ann", auth.EventPasswordChanged, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		entries := list(t, o)
		if attempts != 1 || len(entries) != 1 || !entries[0].Failed {
			t.Fatalf("%d attempts, %+v", attempts, entries)
		}
		p.failing(nil)
		if err := o.Retry(ctx, entries[0].ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := p.subjects(); len(got) != 1 {
			t.Errorf("sent %v", got)
		}
	})
}

// A dead server is asked by one mail at a time, not by all that wait.
func TestADeadServerIsNotStormed(t *testing.T) {
	inBubble(t, func(ctx context.Context, o *Outbox, p *postman, _ *bytes.Buffer) {
		var mu sync.Mutex
		attempts := 0
		p.failing(func(Mail) error {
			time.Sleep(time.Second)
			mu.Lock()
			attempts++
			mu.Unlock()
			return errors.New("timeout")
		})
		for i := range 50 {
			if err := o.Code(ctx, fmt.Sprintf("p%d@acme.example", i), "12345678", time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if most := 2 * parallel * int(time.Minute/pollEvery); attempts == 0 || attempts > most {
			t.Errorf("%d attempts in a minute, want at most %d", attempts, most)
		}
	})
}

// Replicas share the lists: each mail goes out once.
func TestReplicasDoNotSendTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		st, p := memory.New(), &postman{}
		p.failing(func(Mail) error { time.Sleep(time.Second); return nil })
		var running sync.WaitGroup
		var last *Outbox
		for range 4 {
			o := newOutbox(t, st, p, nil)
			running.Go(func() { o.Run(ctx) })
			last = o
		}
		want := map[string]int{}
		for i := range 40 {
			to := fmt.Sprintf("p%d@acme.example", i)
			want[to] = 1
			if err := last.Code(ctx, to, "12345678", time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		cancel()
		running.Wait()
		got := map[string]int{}
		for _, m := range p.mails {
			got[m.To]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// What a replica that died had claimed goes out once the claim is over.
func TestAClaimEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &postman{}
		o := newOutbox(t, memory.New(), p, nil)
		if err := o.Code(ctx, "ann@acme.example", "12345678", time.Hour); err != nil {
			t.Fatal(err)
		}
		id := list(t, o)[0].ID
		dead, err := o.claim(ctx, id, "the dead")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.claim(ctx, id, "another"); !errors.Is(err, errNotDue) {
			t.Errorf("claimed twice: %v", err)
		}
		var running sync.WaitGroup
		running.Go(func() { o.Run(ctx) })
		time.Sleep(claimTime - time.Second)
		if got := p.subjects(); len(got) > 0 {
			t.Errorf("sent while it was claimed: %v", got)
		}
		p.failing(func(Mail) error { time.Sleep(pollEvery); return errors.New("down") })
		time.Sleep(pollEvery)
		// The dead was only slow: what it says is not about this claim.
		if err := o.settle(ctx, dead, "the dead", false, "too late", true); err != nil {
			t.Error(err)
		}
		if got := list(t, o); len(got) != 1 || got[0].Claim == "" || got[0].Failed {
			t.Errorf("the claim of another was ended: %+v", got)
		}
		time.Sleep(pollEvery)
		if got := list(t, o); len(got) != 1 || got[0].Attempts != 2 || got[0].Error != "down" || got[0].Failed {
			t.Errorf("got %+v", got)
		}
		p.failing(nil)
		time.Sleep(time.Minute)
		if got := p.subjects(); len(got) != 1 {
			t.Errorf("sent %v", got)
		}
		cancel()
		running.Wait()
	})
}

// Whoever reads the store must not find a way in: a code, a link.
func TestNothingIsReadInTheStore(t *testing.T) {
	st := memory.New()
	o := newOutbox(t, st, &postman{}, nil)
	if err := o.Code(t.Context(), "ann@acme.example", "31415926", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := o.Link(t.Context(), "ann@acme.example", KindSetUp, "https://gate.acme.example/oauth2/password?token=s3cr3t", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := st.Scan(t.Context(), "", func(key string, value []byte) error {
		seen++
		for _, secret := range []string{"31415926", "s3cr3t"} {
			if bytes.Contains(value, []byte(secret)) {
				t.Errorf("%s shows %s", key, secret)
			}
		}
		return nil
	})
	if err != nil || seen != 3 {
		t.Errorf("%d records, %v", seen, err)
	}
}

// Somebody who asks again and again fills neither the store nor the others' way.
func TestQueuesAreBounded(t *testing.T) {
	o := newOutbox(t, memory.New(), &postman{}, nil)
	for range maxTo {
		if err := o.Code(t.Context(), "ann@acme.example", "12345678", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Code(t.Context(), "Ann@acme.example", "12345678", time.Hour); !errors.Is(err, ErrFull) {
		t.Errorf("one more to the same: %v", err)
	}
	if err := o.Code(t.Context(), "bob@acme.example", "12345678", time.Hour); err != nil {
		t.Errorf("to another: %v", err)
	}
	// As many as fit into one list, and one more.
	shard, n := shardOf("ann@acme.example"), maxTo
	for i := 0; n <= maxEntries; i++ {
		to := fmt.Sprintf("p%d@acme.example", i)
		if shardOf(to) != shard {
			continue
		}
		want := error(nil)
		if n == maxEntries {
			want = ErrFull
		}
		if shardOf("bob@acme.example") == shard {
			t.Fatal("the test needs another name")
		}
		if err := o.Code(t.Context(), to, "12345678", time.Hour); !errors.Is(err, want) {
			t.Fatalf("mail %d of a list: %v, want %v", n, err, want)
		}
		n++
	}
	if bodies, err := store.IDs(t.Context(), o.Store, bodyPrefix); err != nil || len(bodies) != len(list(t, o)) {
		t.Errorf("%d messages for %d entries, %v", len(bodies), len(list(t, o)), err)
	}
}

// A filter of mails may quote what it refuses; that must not get into a log.
func TestNoSecretIsLogged(t *testing.T) {
	inBubble(t, func(ctx context.Context, o *Outbox, p *postman, log *bytes.Buffer) {
		p.failing(func(m Mail) error {
			return &Refused{Err: errors.New("550 <ANN@acme.example> refused, the mail says:\r\n" + m.Text)}
		})
		if err := o.Code(ctx, "ann@acme.example", "31415926", time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := o.Link(ctx, "ann@acme.example", KindReset, "https://gate.acme.example/oauth2/password?token=s3cr3t", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the two are in one list, and their writers give way to each other
		synctest.Wait()
		said := log.String()
		for _, e := range list(t, o) {
			said += e.Error
		}
		if !strings.Contains(said, "<[recipient]> refused") {
			t.Fatalf("the test is blind: %s", said)
		}
		for _, secret := range []string{"31415926", "s3cr3t", "ann@acme.example", "ANN@"} {
			if strings.Contains(said, secret) {
				t.Errorf("%s is shown: %s", secret, said)
			}
		}
	})
}

func TestAListThatCannotBeReadIsBegunAnew(t *testing.T) {
	inBubble(t, func(ctx context.Context, o *Outbox, p *postman, log *bytes.Buffer) {
		key := queuePrefix + shardOf("ann@acme.example")
		if err := o.Store.Create(ctx, key, []byte("{"), 0); err != nil {
			t.Fatal(err)
		}
		if err := o.Code(ctx, "ann@acme.example", "12345678", time.Hour); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := p.subjects(); len(got) != 1 {
			t.Errorf("sent %v", got)
		}
		if !strings.Contains(log.String(), "cannot be read") {
			t.Errorf("nothing was logged: %s", log)
		}
	})
}

func TestDropAndRetry(t *testing.T) {
	o := newOutbox(t, memory.New(), &postman{}, nil)
	if err := o.Code(t.Context(), "ann@acme.example", "12345678", time.Hour); err != nil {
		t.Fatal(err)
	}
	id := list(t, o)[0].ID
	for _, unknown := range []string{"", "x", "9abc", id + "x"} {
		if err := o.Drop(t.Context(), unknown); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("Drop(%q) = %v", unknown, err)
		}
		if err := o.Retry(t.Context(), unknown); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("Retry(%q) = %v", unknown, err)
		}
	}
	if err := o.Drop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if left, err := store.IDs(t.Context(), o.Store, ""); err != nil || len(left) > 0 {
		t.Errorf("left in the store: %v, %v", left, err)
	}
}

// What is not about a way in is not told.
func TestWhatIsNotTold(t *testing.T) {
	o := newOutbox(t, memory.New(), &postman{}, nil)
	for _, e := range []auth.Event{auth.EventUnlocked, auth.EventEnrolmentForced, "anything"} {
		if err := o.Event(t.Context(), "ann@acme.example", "ann", e, ""); err != nil {
			t.Fatal(err)
		}
	}
	if left := list(t, o); len(left) > 0 {
		t.Errorf("queued: %v", left)
	}
}

// A store that fails is told, and a mail of which nobody knows whether it was
// queued is not half of one.
func TestAStoreThatIsDown(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		for _, op := range []string{"create", "update"} {
			t.Run(op+" "+when, func(t *testing.T) {
				fail := func(o, _ string) error {
					if o == op {
						return store.Down(o, errors.New("no route"))
					}
					return nil
				}
				st, p := &storetest.Faulty{Store: memory.New()}, &postman{}
				if when == "before" {
					st.Before = fail
				} else {
					st.After = fail
				}
				o := newOutbox(t, st, p, nil)
				if err := o.Code(t.Context(), "ann@acme.example", "12345678", time.Hour); !errors.Is(err, auth.ErrStoreDown) {
					t.Errorf("got %v", err)
				}
				st.Before, st.After = nil, nil
				o.pass(t.Context())
				if left := list(t, o); len(left) > 0 {
					t.Errorf("left %+v", left)
				}
				if sent := len(p.subjects()); sent > 0 != (op == "update" && when == "after") {
					t.Errorf("%d sent", sent)
				}
			})
		}
	}
}

// TestMailsAreCounted: each thing that happens to a mail, once.
func TestMailsAreCounted(t *testing.T) {
	inBubble(t, func(ctx context.Context, o *Outbox, p *postman, _ *bytes.Buffer) {
		var mu sync.Mutex
		var counted []string
		o.Count = func(what string) {
			mu.Lock()
			defer mu.Unlock()
			counted = append(counted, what)
		}
		code := func(life time.Duration) {
			t.Helper()
			if err := o.Code(ctx, "ann@acme.example", "12345678", life); err != nil && !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		wants := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(want, counted); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			counted = nil
		}
		code(time.Hour)
		wants("sent at once", CountQueued, CountSent)
		p.failing(func(Mail) error { return errors.New("connection refused") })
		code(4 * time.Second)
		wants("a server that is away", CountQueued, CountRetried)
		time.Sleep(time.Minute)
		wants("too late", CountExpired)
		p.failing(func(Mail) error { return &Refused{Err: errors.New("550 no such user")} })
		for range maxTo {
			code(time.Hour)
		}
		synctest.Wait()
		mu.Lock()
		counted = nil
		mu.Unlock()
		code(time.Hour)
		wants("one too many", CountRejected)
	})
}
