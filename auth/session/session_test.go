package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gatehouse/auth"
	"gatehouse/auth/session"
	"gatehouse/internal/cookie"
	"gatehouse/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// in reports whether the browser is signed in at s, and fails on any error
// that is not "no session".
func in(t *testing.T, s *session.Sessions, b *browser) bool {
	t.Helper()
	_, _, err := s.Authenticate(b.request())
	if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
		t.Fatal(err)
	}
	return err == nil
}

func TestStartAndAuthenticate(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	b := &browser{}
	made := b.start(t, s, federated("alice", "sid-1"))
	sess, person, err := s.Authenticate(b.request())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, sess); diff != "" {
		t.Error(diff)
	}
	if person.User != "alice" {
		t.Errorf("person %+v", person)
	}
	// Who reads the store must not be able to make a cookie of what is there.
	err = w.store.Scan(t.Context(), "", func(key string, value []byte) error {
		if strings.Contains(key+string(value), b.value) {
			t.Errorf("the cookie's value rests in the store, under %s", key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCookieAttributes(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy cookie.Policy
		want   []string
	}{
		{"plain HTTP", cookie.Policy{Name: "g", SameSite: http.SameSiteLaxMode}, []string{"g=V", "Path=/", "Max-Age=86400", "HttpOnly", "SameSite=Lax"}},
		{"https", cookie.Policy{Name: "g", Secure: true, SameSite: http.SameSiteStrictMode}, []string{"__Host-g=V", "Path=/", "Max-Age=86400", "HttpOnly", "Secure", "SameSite=Strict"}},
		{"https with a domain", cookie.Policy{Name: "g", Secure: true, Domain: "b.example", SameSite: http.SameSiteNoneMode}, []string{"g=V", "Path=/", "Domain=b.example", "Max-Age=86400", "HttpOnly", "Secure", "SameSite=None"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.change = func(cfg *session.Config) { cfg.Cookie = c.policy }
			rec := httptest.NewRecorder()
			if _, err := w.replica().Start(rec, httptest.NewRequest(http.MethodGet, "/", nil), of("a")); err != nil {
				t.Fatal(err)
			}
			var got []string
			for part := range strings.SplitSeq(rec.Header().Get("Set-Cookie"), "; ") {
				if name, value, ok := strings.Cut(part, "="); ok && name == c.policy.Session() {
					if !cookie.IsID(value) {
						t.Errorf("value %q", value)
					}
					part = name + "=V"
				}
				if !strings.HasPrefix(part, "Expires=") {
					got = append(got, part)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Session fixation: an id that was in the browser before the sign-in, planted
// or not, must be worth nothing after it.
func TestStartMakesANewIDAndEndsTheOld(t *testing.T) {
	w := newWorld(t)
	s, other := w.replica(), w.replica()
	planted := cookie.NewID()
	b := &browser{value: planted}
	b.start(t, s, of("alice"))
	if b.value == planted {
		t.Fatal("the planted id was taken over")
	}
	first := *b
	if !in(t, other, &first) {
		t.Fatal("not signed in")
	}
	b.start(t, s, of("alice"))
	if b.value == first.value {
		t.Fatal("the id did not change")
	}
	if in(t, s, &first) || in(t, other, &first) {
		t.Error("the old session lives on")
	}
	if !in(t, s, b) {
		t.Error("the new session does not live")
	}
}

func TestCookieThatIsNone(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	for name, line := range map[string]string{
		"absent":    "other=1",
		"unknown":   "_gatehouse=" + cookie.NewID(),
		"duplicate": "_gatehouse=" + b.value + "; _gatehouse=" + b.value,
		"truncated": "_gatehouse=" + b.value[:42],
		"oversized": "_gatehouse=" + b.value + strings.Repeat("A", 8000),
		"quoted":    `_gatehouse="` + b.value + `"`,
		"the hash":  "_gatehouse=" + w.index.Hash("session", b.value),
		"prefixed":  "__Host-_gatehouse=" + b.value,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", line)
		if _, _, err := s.Authenticate(r); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := b.request()
	r.Header.Add("Cookie", "_gatehouse="+cookie.NewID())
	if _, _, err := s.Authenticate(r); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("duplicate on two lines: %v", err)
	}
}

func TestSignOutActsOnEveryReplica(t *testing.T) {
	w := newWorld(t)
	s, other := w.replica(), w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	if !in(t, s, b) || !in(t, other, b) {
		t.Fatal("not signed in")
	}
	rec := httptest.NewRecorder()
	ended, err := s.End(rec, b.request())
	if err != nil || ended == nil || ended.Account != "alice" {
		t.Fatalf("End = %v, %v", ended, err)
	}
	if c := rec.Result().Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || c[0].Value != "" {
		t.Errorf("cookies %v", c)
	}
	if in(t, s, b) || in(t, other, b) {
		t.Error("the session lives on")
	}
	if ended, err := s.End(httptest.NewRecorder(), b.request()); err != nil || ended != nil {
		t.Errorf("a second sign-out: %v, %v", ended, err)
	}
}

func TestLimits(t *testing.T) {
	for _, cacheTTL := range []time.Duration{0, 5 * time.Second, time.Hour} {
		w := newWorld(t)
		w.change = func(c *session.Config) {
			c.CacheTTL, c.Idle, c.Lifetime = cacheTTL, 10*time.Minute, time.Hour
		}
		s := w.replica()

		// Used every nine minutes, which is less than idle_timeout: lives until
		// lifetime is over, whatever the cache hid from the store.
		b := &browser{}
		b.start(t, s, of("alice"))
		for range 6 {
			w.advance(9 * time.Minute)
			if !in(t, s, b) {
				t.Fatalf("cache %s: a session in use ended", cacheTTL)
			}
		}
		w.advance(6 * time.Minute)
		if in(t, s, b) {
			t.Errorf("cache %s: a session lives longer than its lifetime", cacheTTL)
		}

		b = &browser{}
		b.start(t, s, of("alice"))
		w.advance(10*time.Minute + 75*time.Second + min(cacheTTL, 150*time.Second))
		if in(t, s, b) {
			t.Errorf("cache %s: an idle session lives on", cacheTTL)
		}
	}
}

// A store may be late in dropping what has expired, and a cached entry does
// not know of it.
func TestLimitsAreJudgedByTheClockToo(t *testing.T) {
	for _, c := range []struct {
		name           string
		idle, lifetime time.Duration
	}{
		{"idle", time.Hour, 24 * time.Hour},
		{"lifetime", 24 * time.Hour, time.Hour},
	} {
		w := newWorld(t)
		w.change = func(cfg *session.Config) { cfg.Idle, cfg.Lifetime = c.idle, c.lifetime }
		s := w.replica()
		b := &browser{}
		made := b.start(t, s, of("alice"))
		err := w.store.Update(t.Context(), "session:"+made.ID, func(old []byte) ([]byte, time.Duration, error) { return old, 0, nil })
		if err != nil {
			t.Fatal(err)
		}
		w.advance(time.Hour + 2*time.Minute)
		if in(t, s, b) {
			t.Errorf("%s: over and still signed in", c.name)
		}
	}
	w := newWorld(t)
	s := w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	for range 3 {
		w.advance(7*time.Hour + 59*time.Minute)
		in(t, s, b)
	}
	w.advance(2*time.Minute + 59*time.Second)
	if !in(t, s, b) {
		t.Fatal("ended too early")
	}
	w.advance(2 * time.Second) // the entry in the cache is younger than cache_ttl
	if in(t, s, b) {
		t.Error("a cached session lives longer than its lifetime")
	}
}

// Requests that leave no trace, because they are served from the cache or come
// before Seen is old, still count as use.
func TestUseThatLeftNoTraceCounts(t *testing.T) {
	w := newWorld(t)
	w.change = func(c *session.Config) { c.Idle = 10 * time.Minute }
	s := w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	w.advance(59 * time.Second)
	in(t, s, b) // loaded, Seen is too young to be written
	w.advance(4 * time.Second)
	in(t, s, b) // from the cache
	w.advance(9*time.Minute + 59*time.Second)
	if !in(t, s, b) {
		t.Error("ended after less than idle_timeout")
	}
}

// Attack: a forgotten tab, or a stolen cookie, holds a stream open, and the
// gateway's own questions about it keep the session for ever.
func TestRechecksAreNoUse(t *testing.T) {
	w := newWorld(t)
	w.change = func(c *session.Config) { c.Idle = 10 * time.Minute }
	s := w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	recheck := func() bool {
		r := b.request()
		_, _, err := s.Authenticate(r.WithContext(auth.AsRecheck(r.Context())))
		return err == nil
	}
	// Beside rechecks, which load the session all the time, requests count.
	for range 10 * 60 {
		w.advance(3 * time.Second)
		if !recheck() {
			t.Fatal("ended while in use")
		}
		w.advance(time.Second)
		if !in(t, s, b) {
			t.Fatal("ended while in use")
		}
	}
	// Alone they do not.
	began := w.now()
	for recheck() {
		w.advance(3 * time.Second)
		if w.now().Sub(began) > 12*time.Minute {
			t.Fatal("rechecks keep the session alive")
		}
	}
	if after := w.now().Sub(began); after < 10*time.Minute {
		t.Errorf("ended after %s", after)
	}
	if in(t, s, b) {
		t.Error("ended for rechecks only")
	}
}

// Attack: read on in a stream after the sign-out, from what a recheck knows.
func TestSignOutReachesRechecks(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	b := &browser{}
	sess := b.start(t, s, of("alice"))
	r := b.request()
	r = r.WithContext(auth.AsRecheck(r.Context()))
	if _, _, err := s.Authenticate(r); err != nil {
		t.Fatal(err)
	}
	if err := s.EndID(t.Context(), sess.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Authenticate(r); err == nil {
		t.Error("a recheck finds the ended session")
	}
}

func TestUseAtAnotherReplicaCounts(t *testing.T) {
	w := newWorld(t)
	w.change = func(c *session.Config) { c.Idle = 10 * time.Minute }
	s, other := w.replica(), w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	for range 4 {
		w.advance(6 * time.Minute)
		if !in(t, other, b) {
			t.Fatal("ended while in use")
		}
	}
	if !in(t, s, b) {
		t.Error("the replica that made it thinks that it is idle")
	}
}

func TestWarmCacheCostsNothing(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	w.advance(time.Hour) // Seen is old: the first request writes it
	in(t, s, b)
	reads, writes := w.store.reads.Load(), w.store.writes.Load()
	for range 100 {
		w.advance(49 * time.Millisecond)
		if !in(t, s, b) {
			t.Fatal("not signed in")
		}
	}
	if r, wr := w.store.reads.Load()-reads, w.store.writes.Load()-writes; r != 0 || wr != 0 {
		t.Errorf("%d reads and %d writes on a warm cache", r, wr)
	}
	// And Seen is written at most once a minute, however short the cache.
	writes = w.store.writes.Load()
	for range 120 {
		w.advance(time.Second)
		in(t, s, b)
	}
	if got := w.store.writes.Load() - writes; got < 1 || got > 2 {
		t.Errorf("%d writes in two minutes", got)
	}
}

// Store trouble is not a sign-out, and never a way in.
func TestStoreDown(t *testing.T) {
	w := newWorld(t)
	s, cold := w.replica(), w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	in(t, s, b)
	w.store.down.Store(true)
	if _, _, err := s.Authenticate(b.request()); err != nil {
		t.Errorf("a fresh entry of the cache: %v", err)
	}
	if _, _, err := cold.Authenticate(b.request()); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("a replica that does not know the session: %v", err)
	}
	rec := httptest.NewRecorder()
	if _, err := s.End(rec, b.request()); !errors.Is(err, auth.ErrStoreDown) || len(rec.Header()["Set-Cookie"]) > 0 {
		t.Errorf("sign-out: %v, cookies %v", err, rec.Header()["Set-Cookie"])
	}
	if _, err := s.Start(rec, (&browser{}).request(), of("bob")); !errors.Is(err, auth.ErrStoreDown) || len(rec.Header()["Set-Cookie"]) > 0 {
		t.Errorf("start: %v, cookies %v", err, rec.Header()["Set-Cookie"])
	}
	w.advance(5 * time.Second)
	if _, _, err := s.Authenticate(b.request()); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("an entry that is cache_ttl old: %v", err)
	}
	w.store.down.Store(false)
	if !in(t, s, b) {
		t.Error("the session did not survive the trouble")
	}
}

func TestPersonThatMustNotGoOn(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	other := w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	w.people.err = auth.ErrStoreDown
	if _, _, err := s.Authenticate(b.request()); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("trouble: %v", err)
	}
	// An error that nobody foresaw lets nobody in and signs nobody out.
	w.people.err = errors.New("surprise")
	if _, _, err := s.Authenticate(b.request()); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("surprise: %v", err)
	}
	w.people.err = nil
	if !in(t, s, b) || !in(t, other, b) {
		t.Fatal("trouble has signed somebody out")
	}
	w.people.err = auth.ErrUnauthenticated
	if _, _, err := s.Authenticate(b.request()); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("%v, want ErrUnauthenticated", err)
	}
	// What was refused must not come back when the reason is gone: a connection
	// that is enabled again, an account.
	w.people.err = nil
	if in(t, s, b) || in(t, other, b) {
		t.Error("the session came back")
	}
}

// A sign-out between the read and the write of Seen must not be undone by that
// write.
func TestSessionThatEndsMidTouchStaysEnded(t *testing.T) {
	w := newWorld(t)
	s, other := w.replica(), w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	w.advance(time.Hour)
	w.store.beforeUpdating = func(string) {
		if _, err := other.End(httptest.NewRecorder(), b.request()); err != nil {
			t.Error(err)
		}
	}
	if in(t, s, b) {
		t.Error("the request that was under way was answered as signed in")
	}
	if in(t, s, b) || in(t, other, b) {
		t.Error("the session came back")
	}
}

func TestUnreadableRecordIsNone(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	b := &browser{value: cookie.NewID()}
	key := "session:" + w.index.Hash("session", b.value)
	if err := w.store.Create(t.Context(), key, []byte("{broken"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if in(t, s, b) {
		t.Error("signed in")
	}
}

func TestParallelUse(t *testing.T) {
	w := newWorld(t)
	s, other := w.replica(), w.replica()
	browsers := make([]*browser, 8)
	for i := range browsers {
		browsers[i] = &browser{}
		browsers[i].start(t, s, of("alice"))
	}
	var wg sync.WaitGroup
	for i, b := range browsers {
		for _, s := range []*session.Sessions{s, other} {
			wg.Go(func() {
				for range 50 {
					_, _, err := s.Authenticate(b.request())
					if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
						t.Error(err)
					}
				}
			})
		}
		if i%2 == 0 {
			wg.Go(func() {
				if _, err := other.End(httptest.NewRecorder(), b.request()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for i, b := range browsers {
		if got := in(t, s, b); got != (i%2 != 0) {
			t.Errorf("browser %d signed in: %v", i, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []session.Config{
		{Lifetime: time.Hour},
		{Idle: time.Hour},
		{Idle: time.Hour, Lifetime: time.Hour, CacheTTL: -1},
	} {
		if _, err := session.New(c); err == nil {
			t.Errorf("New(%+v) did not fail", c)
		}
	}
}

// down is a bus that cannot be reached.
type down struct{ store.Bus }

func (down) Publish(context.Context, string) error { return store.ErrDown }

// A bus in trouble does not keep anybody signed in: the record is gone, and
// other replicas notice when their entry is old.
func TestBusDown(t *testing.T) {
	w := newWorld(t)
	other := w.replica()
	w.change = func(c *session.Config) { c.Bus = down{} }
	s := w.replica()
	b := &browser{}
	b.start(t, s, of("alice"))
	in(t, s, b)
	in(t, other, b)
	if _, err := s.End(httptest.NewRecorder(), b.request()); err != nil {
		t.Fatal(err)
	}
	if in(t, s, b) {
		t.Error("the replica that ended the session still has it")
	}
	w.advance(5 * time.Second)
	if in(t, s, b) || in(t, other, b) {
		t.Error("the session lives on")
	}
}

// After cookie_domain was configured, a browser still has the old cookie of
// the same name; both together are none, and a sign-in must clear that up.
func TestOldCookieWithoutDomainIsCleared(t *testing.T) {
	w := newWorld(t)
	w.change = func(c *session.Config) { c.Cookie.Domain = "b.example" }
	s := w.replica()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Cookie", "_gatehouse="+cookie.NewID()+"; _gatehouse="+cookie.NewID())
	rec := httptest.NewRecorder()
	if _, err := s.Start(rec, r, of("alice")); err != nil {
		t.Fatal(err)
	}
	var cleared bool
	for _, c := range rec.Result().Cookies() {
		cleared = cleared || (c.Domain == "" && c.MaxAge < 0)
	}
	if !cleared {
		t.Errorf("Set-Cookie %v", rec.Header()["Set-Cookie"])
	}
}

// FuzzCookie: no Cookie header makes a session of a cookie that was not given
// out, or breaks anything.
func FuzzCookie(f *testing.F) {
	w := newWorld(f)
	s := w.replica()
	b := &browser{}
	b.start(f, s, of("alice"))
	for _, seed := range []string{"", "_gatehouse=", "_gatehouse=x; _gatehouse=y", `_gatehouse="`, "_gatehouse", "=_gatehouse=x", "_gatehouse=" + cookie.NewID()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", line)
		if _, _, err := s.Authenticate(r); !errors.Is(err, auth.ErrUnauthenticated) && !strings.Contains(line, b.value) {
			t.Fatalf("%q: %v", line, err)
		}
		// Beside the real cookie it changes nothing, unless it is a twin.
		r = b.request()
		r.Header.Add("Cookie", line)
		_, _, err := s.Authenticate(r)
		if twin := cookie.Count(r, "_gatehouse") > 1; twin != errors.Is(err, auth.ErrUnauthenticated) {
			t.Fatalf("%q beside the real one: %v", line, err)
		}
	})
}
