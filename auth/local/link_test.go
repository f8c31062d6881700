package local

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
	"gatehouse/internal/store/memory"
)

const chosen = "an entirely other password"

// clocked has passwords whose clock the test moves.
func clocked(t *testing.T) (*Passwords, *memory.Store, *atomic.Int64) {
	t.Helper()
	p, st := newPasswords(t)
	at := &atomic.Int64{}
	at.Store(1_800_000_000)
	p.Now = func() time.Time { return time.Unix(at.Load(), 0) }
	st.Now = p.Now
	at.Add(60) // after the passwords were set
	return p, st, at
}

func newLink(t *testing.T, p *Passwords, account string, kind auth.LinkKind, mailed string) string {
	t.Helper()
	token, _, err := p.NewLink(t.Context(), account, kind, mailed)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSetByLink(t *testing.T) {
	for _, tt := range []struct {
		name, account, login string
		kind                 auth.LinkKind
		mailed               string
	}{
		{"a first password", "a3", "federated", auth.LinkSetup, ""},
		{"a first password, mailed", "a3", "federated", auth.LinkSetup, "f@corp.example"},
		{"another one by an administrator", "a1", "ada", auth.LinkSetup, ""},
		{"a reset", "a1", "ada", auth.LinkReset, "ada@corp.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, st, at := clocked(t)
			token := newLink(t, p, tt.account, tt.kind, tt.mailed)
			// Attack: read the store, and use what stands there.
			err := st.Scan(t.Context(), "", func(key string, value []byte) error {
				if strings.HasPrefix(key, linkPrefix) && strings.Contains(string(value), token) {
					t.Error("the token is in the store")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			at.Add(5)
			// A password that is refused uses nothing up, and neither does looking.
			for range 3 {
				if l, err := p.LookAtLink(t.Context(), token); err != nil || l.Account != tt.account || l.Kind != tt.kind || l.Mailed != tt.mailed {
					t.Fatalf("%+v, %v", l, err)
				}
				if _, err := p.SetByLink(t.Context(), token, "short"); !errors.As(err, new(*auth.Unsuitable)) {
					t.Fatal(err)
				}
			}
			if l, err := p.SetByLink(t.Context(), token, chosen); err != nil || l.Account != tt.account {
				t.Fatalf("%+v, %v", l, err)
			}
			if id, err := p.Authenticate(t.Context(), tt.login, chosen); err != nil || id.Subject != tt.account {
				t.Errorf("%+v, %v", id, err)
			}
			if to, err := p.MailedTo(t.Context(), tt.account); err != nil || to != tt.mailed {
				t.Errorf("mailed to %q, %v", to, err)
			}
			for range 2 {
				if _, err := p.SetByLink(t.Context(), token, "yet another password"); !errors.Is(err, auth.ErrInvalidState) {
					t.Errorf("used twice: %v", err)
				}
			}
			// What is chosen after a local proof was not chosen by mail.
			at.Add(1)
			if err := p.SetPassword(t.Context(), tt.account, right); err != nil {
				t.Fatal(err)
			}
			if to, err := p.MailedTo(t.Context(), tt.account); err != nil || to != "" {
				t.Errorf("after a change, mailed to %q, %v", to, err)
			}
		})
	}
}

// A better hash says nothing of how the password was chosen.
func TestRehashKeepsWhereTheLinkWent(t *testing.T) {
	p, _, at := clocked(t)
	token := newLink(t, p, "a1", auth.LinkReset, "ada@corp.example")
	at.Add(1)
	if _, err := p.SetByLink(t.Context(), token, chosen); err != nil {
		t.Fatal(err)
	}
	p.Hasher = NewHasher(Params{Memory: 128, Time: 1, Threads: 1}, 2)
	if _, err := p.Authenticate(t.Context(), "ada", chosen); err != nil {
		t.Fatal(err)
	}
	if to, err := p.MailedTo(t.Context(), "a1"); err != nil || to != "ada@corp.example" {
		t.Errorf("mailed to %q, %v", to, err)
	}
}

func TestVoidLinks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kind  auth.LinkKind
		void  func(t *testing.T, p *Passwords, at *atomic.Int64)
		token string // instead of the link's
	}{
		{name: "a reset too late", kind: auth.LinkReset, void: func(_ *testing.T, _ *Passwords, at *atomic.Int64) { at.Add(int64(resetLife / time.Second)) }},
		{name: "a set-up too late", kind: auth.LinkSetup, void: func(_ *testing.T, _ *Passwords, at *atomic.Int64) { at.Add(int64(setupLife / time.Second)) }},
		{name: "all were made void", kind: auth.LinkSetup, void: func(t *testing.T, p *Passwords, _ *atomic.Int64) {
			if err := p.VoidLinks(t.Context(), "a1"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "there is a newer one", kind: auth.LinkReset, void: func(t *testing.T, p *Passwords, _ *atomic.Int64) { newLink(t, p, "a1", auth.LinkReset, "") }},
		{name: "there is a newer one of another kind", kind: auth.LinkReset, void: func(t *testing.T, p *Passwords, _ *atomic.Int64) { newLink(t, p, "a1", auth.LinkSetup, "") }},
		// Attack: have a link mailed, wait until the owner has noticed and chosen
		// another password, then use the link.
		{name: "another password was set", kind: auth.LinkReset, void: func(t *testing.T, p *Passwords, _ *atomic.Int64) {
			if err := p.SetPassword(t.Context(), "a1", "the owner's new password"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "another password was set, and this is for a set-up", kind: auth.LinkSetup, void: func(t *testing.T, p *Passwords, _ *atomic.Int64) {
			if err := p.SetPassword(t.Context(), "a1", "the owner's new password"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "the account is gone", kind: auth.LinkSetup, void: func(t *testing.T, p *Passwords, _ *atomic.Int64) {
			if err := p.Delete(t.Context(), "a1"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "no token", kind: auth.LinkReset, token: " "},
		{name: "another token", kind: auth.LinkReset, token: cookie.NewID()},
		{name: "an endless token", kind: auth.LinkReset, token: strings.Repeat("A", 1<<20)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _, at := clocked(t)
			token := newLink(t, p, "a1", tt.kind, "")
			at.Add(5)
			if tt.void != nil {
				tt.void(t, p, at)
			}
			if tt.token != "" {
				token = tt.token
			}
			if _, err := p.LookAtLink(t.Context(), token); !errors.Is(err, auth.ErrInvalidState) {
				t.Errorf("looked at: %v", err)
			}
			if _, err := p.SetByLink(t.Context(), token, chosen); !errors.Is(err, auth.ErrInvalidState) {
				t.Errorf("used: %v", err)
			}
			if _, err := p.Authenticate(t.Context(), "ada", chosen); err == nil {
				t.Error("the password counts")
			}
		})
	}
}

// Who has no password resets none, also where there was one when the link was
// made.
func TestResetNeedsAPassword(t *testing.T) {
	p, _, _ := clocked(t)
	token := newLink(t, p, "a3", auth.LinkReset, "f@corp.example")
	if _, err := p.SetByLink(t.Context(), token, chosen); !errors.Is(err, auth.ErrInvalidState) {
		t.Error(err)
	}
}

func TestOneLinkInParallel(t *testing.T) {
	p, _, at := clocked(t)
	token := newLink(t, p, "a1", auth.LinkReset, "")
	at.Add(1)
	var set atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_, err := p.SetByLink(t.Context(), token, chosen+string(rune('a'+i)))
			switch {
			case err == nil:
				set.Add(1)
			case !errors.Is(err, auth.ErrInvalidState):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if set.Load() != 1 {
		t.Errorf("%d passwords were set by one link", set.Load())
	}
}

func TestStrength(t *testing.T) {
	policy := Policy{MinLength: 12, MinStrength: 3}
	for _, tt := range []struct {
		in    string
		names []string
		weak  bool
	}{
		{in: "correct horse battery"},
		{in: "vermilion otters juggle"},
		{in: "x7#Qp!m2ZkLw9"},
		{in: strings.Repeat("vermilion otters juggle ", 40)},
		{in: "password1234", weak: true},
		{in: "Passw0rd!Passw0rd!", weak: true},
		{in: "qwertyuiop[]", weak: true},
		{in: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", weak: true},
		{in: "123456789012345", weak: true},
		// What is nobody's word but this person's.
		{in: "zephyrine.quandt2"},
		{in: "zephyrine.quandt2", names: []string{"zephyrine", "zephyrine.quandt@corp.example", "Zephyrine Quandt"}, weak: true},
	} {
		err := policy.Suitable(tt.in, tt.names...)
		if (err != nil) != tt.weak {
			t.Errorf("%.40q of %q: %v", tt.in, tt.names, err)
		}
		if err := (Policy{MinLength: 12}).Suitable(tt.in, tt.names...); err != nil {
			t.Errorf("%.40q, not judged: %v", tt.in, err)
		}
	}
	// Attack: a password, or a name of one's own, that keeps the processor busy.
	if n := len([]rune(head(strings.Repeat("ä", maxPassword)))); n != maxJudged {
		t.Errorf("%d characters are judged", n)
	}
	if n := len(words([]string{strings.Repeat("x ", 200), strings.Repeat("y", 1000)})); n != maxNames {
		t.Errorf("%d words of a person are judged", n)
	}
}

// post is a mail server and what it has got.
type post struct {
	mu   sync.Mutex
	sent []string // to, kind
	urls []string
	came chan struct{}
	down bool
}

func (p *post) VerifiedEmail(_ context.Context, account string) (string, error) {
	if account == "a2" {
		return "", nil
	}
	return account + "@corp.example", nil
}

func (p *post) Link(_ context.Context, to, kind, url string, _ time.Time) error {
	defer func() { p.came <- struct{}{} }()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return auth.ErrStoreDown
	}
	p.sent, p.urls = append(p.sent, to+" "+kind), append(p.urls, url)
	return nil
}

// Only who has a password, an active account and a verified address gets a
// link, and not more than a few an hour. Nobody is told which.
func TestAskForAReset(t *testing.T) {
	p, _, at := clocked(t)
	mail := &post{came: make(chan struct{}, 100)}
	r := NewResets(Resets{Passwords: p, Addresses: mail, Mailer: mail, URL: func(token string) string { return token }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	for _, login := range []string{"nobody", "gone", "federated", "grace", "broken", "", strings.Repeat("x", 1000)} {
		r.Ask(ctx, login)
	}
	for range 2 {
		r.Ask(ctx, " ADA@corp.example ")
	}
	<-mail.came
	<-mail.came
	if d := cmp.Diff([]string{"a1@corp.example reset", "a1@corp.example reset"}, mail.sent); d != "" {
		t.Error(d)
	}
	if _, err := p.LookAtLink(t.Context(), mail.urls[0]); err == nil {
		t.Error("an older link counts")
	}
	if l, err := p.LookAtLink(t.Context(), mail.urls[1]); err != nil || l.Mailed != "a1@corp.example" || l.Kind != auth.LinkReset {
		t.Errorf("%+v, %v", l, err)
	}
	// Attack: fill a mailbox.
	for range 20 {
		r.Ask(ctx, "ada")
	}
	<-mail.came
	cancel()
	<-done
	if len(mail.sent) != resetsPerHour {
		t.Errorf("%d mails within an hour", len(mail.sent))
	}
	at.Add(3600)
	if err := r.answer(t.Context(), "ada"); err != nil || len(mail.sent) != resetsPerHour+1 {
		t.Errorf("an hour later: %d, %v", len(mail.sent), err)
	}
	mail.down = true
	at.Add(3600)
	if err := r.answer(t.Context(), "ada"); !errors.Is(err, auth.ErrStoreDown) {
		t.Error(err)
	}
}

// Who was told to look into the mailbox gets a mail, also when the gateway ends,
// or its configuration, at that moment.
func TestResetsEndInOrder(t *testing.T) {
	p, _, _ := clocked(t)
	mail := &post{came: make(chan struct{}, 100)}
	r := NewResets(Resets{Passwords: p, Addresses: mail, Mailer: mail, URL: func(token string) string { return token }})
	for range resetsPerHour {
		r.Ask(t.Context(), "ada")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Run(ctx)
	if len(mail.sent) != resetsPerHour {
		t.Errorf("%d mails, want %d", len(mail.sent), resetsPerHour)
	}
}

// A flood of questions neither blocks a page nor grows.
func TestAskNeverWaits(t *testing.T) {
	p, _, _ := clocked(t)
	r := NewResets(Resets{Passwords: p})
	for range 10 * maxAsked {
		r.Ask(t.Context(), "ada")
	}
	if len(r.asked) != maxAsked {
		t.Errorf("%d in line", len(r.asked))
	}
}
