package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/throttle"
)

const right = "correct horse battery"

// cheap keeps tests fast; what they look at does not depend on the costs.
var cheap = Params{Memory: 64, Time: 1, Threads: 1}

type names struct{}

func (names) Hash(kind string, parts ...string) string { return kind + "/" + strings.Join(parts, "/") }

// people is a directory: login -> account. An account whose id begins with
// "off" is disabled.
type people map[string]string

func (p people) ByLogin(_ context.Context, login string) (string, string, bool, error) {
	if login == "broken" {
		return "", "", false, fmt.Errorf("read index: %w", auth.ErrStoreDown)
	}
	account, ok := p[login]
	if !ok {
		return "", "", false, auth.ErrNotFound
	}
	return account, "name of " + account, !strings.HasPrefix(account, "off"), nil
}

// recorder is a store that writes down which operations it saw, without the
// key's own part.
type recorder struct {
	store.Store
	mu  sync.Mutex
	ops []string
}

func (r *recorder) note(op, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind, _, _ := strings.Cut(key, ":")
	r.ops = append(r.ops, op+" "+kind)
}

func (r *recorder) Get(ctx context.Context, key string) ([]byte, error) {
	r.note("get", key)
	return r.Store.Get(ctx, key)
}

func (r *recorder) Update(ctx context.Context, key string, f func([]byte) ([]byte, time.Duration, error)) error {
	r.note("update", key)
	return r.Store.Update(ctx, key, f)
}

func newPasswords(t *testing.T) (*Passwords, *memory.Store) {
	t.Helper()
	st := memory.New()
	p := &Passwords{
		Store: st,
		Accounts: people{
			"ada": "a1", "ada@corp.example": "a1", "grace": "a2",
			"gone": "off1", "federated": "a3",
		},
		Throttle: &throttle.Throttle{Store: st, Index: names{}},
		Hasher:   NewHasher(cheap, 2),
		Policy:   Policy{MinLength: 12},
		Now:      func() time.Time { return time.Unix(1_800_000_000, 0) },
	}
	for _, account := range []string{"a1", "a2", "off1"} {
		if err := p.SetPassword(t.Context(), account, right); err != nil {
			t.Fatal(err)
		}
	}
	return p, st
}

func TestAuthenticate(t *testing.T) {
	p, _ := newPasswords(t)
	want := auth.Identity{
		Connection: auth.Local, Subject: "a1", Username: "name of a1",
		AMR: []string{"pwd"}, AuthTime: time.Unix(1_800_000_000, 0),
	}
	for _, login := range []string{"ada", " ADA\t", "Ada@Corp.Example"} {
		got, err := p.Authenticate(t.Context(), login, right)
		if err != nil {
			t.Errorf("%q: %v", login, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: identity (-want +got):\n%s", login, d)
		}
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	tests := []struct{ name, login, password string }{
		{"wrong password", "ada", "correct horse batterY"},
		{"empty password", "ada", ""},
		{"longer password with the right beginning", "ada", right + strings.Repeat("x", maxPassword)},
		{"unknown name", "nobody", right},
		{"empty name", "", right},
		{"space only", "  ", right},
		{"endless name", strings.Repeat("a", 1<<20), right},
		{"not UTF-8", "ad\xffa", right},
		{"disabled account", "gone", right},
		{"account without password", "federated", right},
		{"account without password, empty", "federated", ""},
		// Attack: a letter that looks alike or folds to an ASCII one under
		// Unicode rules opens somebody else's account.
		{"kelvin sign", "\u212aada", right},
		{"cyrillic a", "\u0430da", right},
		{"full width", "ａｄａ", right},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := newPasswords(t)
			got, err := p.Authenticate(t.Context(), tt.login, tt.password)
			if err != auth.ErrWrongPassword {
				t.Errorf("error %v, want exactly ErrWrongPassword", err)
			}
			if d := cmp.Diff(auth.Identity{}, got); d != "" {
				t.Errorf("identity beside an error:\n%s", d)
			}
		})
	}
}

// Attack: measure which names exist by the work that a sign-in makes.
func TestEveryRefusalIsTheSameWork(t *testing.T) {
	p, st := newPasswords(t)
	rec := &recorder{Store: st}
	p.Store, p.Throttle.Store = rec, rec
	want := []string{"get device", "update attempts", "get password"}
	for _, tt := range []struct{ login, password string }{
		{"ada", "wrong"},
		{"nobody", "wrong"},
		{"gone", "wrong"},
		{"gone", right},
		{"federated", "wrong"},
		{"", ""},
		{"ada", strings.Repeat("x", maxPassword+1)},
		{"nobody", strings.Repeat("x", maxPassword+1)},
	} {
		rec.ops = nil
		before := p.Hasher.runs.Load()
		_, err := p.Authenticate(throttle.WithDevice(t.Context(), "unknown device"), tt.login, tt.password)
		if err != auth.ErrWrongPassword {
			t.Errorf("%q: %v", tt.login, err)
		}
		if runs := p.Hasher.runs.Load() - before; runs != 1 {
			t.Errorf("%q: %d argon2 runs, want 1", tt.login, runs)
		}
		if d := cmp.Diff(want, rec.ops); d != "" {
			t.Errorf("%q: store operations (-want +got):\n%s", tt.login, d)
		}
	}
}

// Attack: find out which names exist by which of them get throttled, and
// guess on through other spellings of a name.
func TestThrottleIsAlikeForAllNames(t *testing.T) {
	for _, spellings := range [][]string{
		{"ada", "ADA", " ada", "Ada", "aDA "},
		{"ada@corp.example", "Ada@corp.example", "ADA@corp.example", " ada@corp.example", "Ada@CORP.example "},
		{"nobody", "NOBODY", " nobody", "nobody\n", "noBody"},
		{"gone", "GONE", " gone", "Gone", "gonE"},
		{"federated", "FEDERATED", " federated", "federated ", "fedeRated"},
	} {
		p, _ := newPasswords(t)
		for i, login := range spellings {
			if _, err := p.Authenticate(t.Context(), login, "wrong"); err != auth.ErrWrongPassword {
				t.Errorf("attempt %d at %q: %v", i+1, login, err)
			}
		}
		before := p.Hasher.runs.Load()
		for _, login := range spellings {
			_, err := p.Authenticate(t.Context(), login, right)
			var throttled *auth.Throttled
			if !errors.As(err, &throttled) || throttled.RetryAfter <= 0 || throttled.RetryAfter > 2*time.Second {
				t.Errorf("%q after %d attempts: %v, want *auth.Throttled of 2s", login, len(spellings), err)
			}
		}
		if runs := p.Hasher.runs.Load() - before; runs != 0 {
			t.Errorf("%d throttled attempts at %q were hashed", runs, spellings[0])
		}
	}
}

// Attack: find out whose address it is: too many wrong passwords for a name,
// then one for each address that it may have. And guess on under the address
// what must not be guessed any more under the name.
func TestOtherLoginsOfAnAccount(t *testing.T) {
	for _, account := range []struct{ name, address string }{
		{"ada", "ada@corp.example"},
		{"federated", "fed@corp.example"},
		{"nobody", "nobody@corp.example"},
	} {
		p, st := newPasswords(t)
		p.Accounts.(people)["fed@corp.example"] = "a3"
		now := time.Now()
		p.Throttle.Now = func() time.Time { return now }
		st.Now = p.Throttle.Now
		for range throttle.Free {
			if _, err := p.Authenticate(t.Context(), account.name, "wrong"); err != auth.ErrWrongPassword {
				t.Fatalf("%s: %v", account.name, err)
			}
		}
		if _, err := p.Authenticate(t.Context(), account.name, "wrong"); !errors.As(err, new(*auth.Throttled)) {
			t.Errorf("%s: %v, want *auth.Throttled", account.name, err)
		}
		// As many as are free for an address of its own, each with the work of one.
		rec := &recorder{Store: st}
		p.Store, p.Throttle.Store = rec, rec
		for _, password := range []string{"wrong", right, "wrong", right, right} {
			rec.ops = nil
			before := p.Hasher.runs.Load()
			if _, err := p.Authenticate(t.Context(), account.address, password); err != auth.ErrWrongPassword {
				t.Errorf("%s with %q: %v, want ErrWrongPassword", account.address, password, err)
			}
			if runs := p.Hasher.runs.Load() - before; runs != 1 {
				t.Errorf("%s: %d argon2 runs, want 1", account.address, runs)
			}
			if d := cmp.Diff([]string{"get device", "update attempts", "get password"}, rec.ops); d != "" {
				t.Errorf("%s: store operations (-want +got):\n%s", account.address, d)
			}
		}
		_, err := p.Authenticate(t.Context(), account.address, right)
		slow, _ := errors.AsType[*auth.Throttled](err)
		if slow == nil || slow.RetryAfter != 2*time.Second {
			t.Errorf("%s: %v, want *auth.Throttled of 2s", account.address, err)
		}
		// The lock has an end, under either login.
		if account.name == "ada" {
			now = now.Add(2 * time.Second)
			if _, err := p.Authenticate(t.Context(), account.address, right); err != nil {
				t.Errorf("after the lock: %v", err)
			}
		}
	}
}

// Attack: many guesses at once, so that all are judged before one is counted.
func TestParallelGuesses(t *testing.T) {
	p, _ := newPasswords(t)
	var judged atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			_, err := p.Authenticate(context.Background(), "ada", fmt.Sprint("guess ", i))
			if err == auth.ErrWrongPassword {
				judged.Add(1)
			}
		})
	}
	wg.Wait()
	if got := judged.Load(); got != throttle.Free {
		t.Errorf("%d guesses were judged, want %d", got, throttle.Free)
	}
}

// Attack: a stranger guesses until the account is locked; its owner comes from
// the browser in which he signed in before.
func TestKnownDevice(t *testing.T) {
	p, _ := newPasswords(t)
	device, _, err := p.Remember(t.Context(), "a1")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * throttle.Free {
		_, _ = p.Authenticate(t.Context(), "ada", "wrong")
	}
	if _, err := p.Authenticate(t.Context(), "ada", right); !errors.As(err, new(*auth.Throttled)) {
		t.Fatalf("elsewhere: %v, want *auth.Throttled", err)
	}
	if _, err := p.Authenticate(throttle.WithDevice(t.Context(), device), "ada", right); err != nil {
		t.Errorf("on the known device: %v", err)
	}
	if got, isNew, err := p.Remember(throttle.WithDevice(t.Context(), device), "a1"); err != nil || isNew || got != device {
		t.Errorf("the known device got another value (error %v)", err)
	}
	// Finishing a sign-in there is no reason to give the stranger new guesses.
	if _, err := p.Authenticate(t.Context(), "ada", right); !errors.As(err, new(*auth.Throttled)) {
		t.Errorf("elsewhere afterwards: %v, want *auth.Throttled", err)
	}
}

func TestFinishedSignInForgetsAttempts(t *testing.T) {
	p, _ := newPasswords(t)
	for range 3 {
		for range throttle.Free - 1 {
			if _, err := p.Authenticate(t.Context(), "ada", "wrong"); err != auth.ErrWrongPassword {
				t.Fatal(err)
			}
		}
		if _, err := p.Authenticate(t.Context(), "ada", right); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Remember(t.Context(), "a1"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSetPassword(t *testing.T) {
	p, _ := newPasswords(t)
	for range throttle.Free {
		_, _ = p.Authenticate(t.Context(), "ada", "wrong")
	}
	if err := p.SetPassword(t.Context(), "a1", "another good password"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Authenticate(t.Context(), "ada", right); err != auth.ErrWrongPassword {
		t.Errorf("the old password: %v", err)
	}
	if _, err := p.Authenticate(t.Context(), "ada", "another good password"); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// A keyboard that sends the same text in another normal form signs in too.
func TestPasswordForms(t *testing.T) {
	p, _ := newPasswords(t)
	if err := p.SetPassword(t.Context(), "a1", "grüße aus köln"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Authenticate(t.Context(), "ada", "gru\u0308ße aus ko\u0308ln"); err != nil {
		t.Error(err)
	}
}

func TestHasPasswordAndDelete(t *testing.T) {
	p, _ := newPasswords(t)
	for account, want := range map[string]bool{"a1": true, "a3": false, "none": false} {
		if got, err := p.HasPassword(t.Context(), account); err != nil || got != want {
			t.Errorf("HasPassword(%s) = %v, %v, want %v", account, got, err, want)
		}
	}
	all := func() map[string]bool {
		holders, err := p.Holders(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return holders
	}
	if d := cmp.Diff(map[string]bool{"a1": true, "a2": true, "off1": true}, all()); d != "" {
		t.Errorf("Holders (-want +got):\n%s", d)
	}
	if err := p.Delete(t.Context(), "a1"); err != nil {
		t.Fatal(err)
	}
	if all()["a1"] {
		t.Error("Holders has an account without password")
	}
	if got, err := p.HasPassword(t.Context(), "a1"); err != nil || got {
		t.Errorf("after Delete: %v, %v", got, err)
	}
	if _, err := p.Authenticate(t.Context(), "ada", right); err != auth.ErrWrongPassword {
		t.Errorf("sign-in after Delete: %v", err)
	}
}

func TestRehash(t *testing.T) {
	p, st := newPasswords(t)
	p.Hasher = NewHasher(Params{Memory: 128, Time: 1, Threads: 1}, 1)
	hash := func() string {
		_, rec, err := p.read(t.Context(), "a1")
		if err != nil {
			t.Fatal(err)
		}
		return rec.Hash
	}
	_, _ = p.Authenticate(t.Context(), "ada", "wrong")
	if !strings.Contains(hash(), "m=64,") {
		t.Error("a wrong password changed the hash")
	}
	if _, err := p.Authenticate(t.Context(), "ada", right); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(hash(), "m=128,") {
		t.Errorf("hash %.30q kept its parameters", hash())
	}
	if _, err := p.Authenticate(t.Context(), "ada", right); err != nil {
		t.Errorf("after the rehash: %v", err)
	}

	// Attack: sign in with the old password while the owner resets it, so that
	// the rehash writes the old one back.
	old, rec, err := p.read(t.Context(), "a2")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetPassword(t.Context(), "a2", "another good password"); err != nil {
		t.Fatal(err)
	}
	before, err := st.Get(t.Context(), "password:a2")
	if err != nil {
		t.Fatal(err)
	}
	p.rehash(t.Context(), "a2", old, rec, right)
	after, err := st.Get(t.Context(), "password:a2")
	if err != nil || string(after) != string(before) {
		t.Errorf("the rehash undid a new password (error %v)", err)
	}
}

func TestStoreTrouble(t *testing.T) {
	p, st := newPasswords(t)
	if _, err := p.Authenticate(t.Context(), "broken", right); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("directory down: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	_, signIn := p.Authenticate(t.Context(), "ada", right)
	_, has := p.HasPassword(t.Context(), "a1")
	_, _, remember := p.Remember(t.Context(), "a1")
	_, holders := p.Holders(t.Context())
	for name, err := range map[string]error{
		"authenticate": signIn, "has": has, "remember": remember, "holders": holders,
		"set": p.SetPassword(t.Context(), "a1", right), "delete": p.Delete(t.Context(), "a1"),
	} {
		if !errors.Is(err, auth.ErrStoreDown) {
			t.Errorf("%s: %v, want ErrStoreDown", name, err)
		}
	}
}
