package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/sessions"

	"gatehouse/auth"
	"gatehouse/auth/session"
)

func TestEndAccount(t *testing.T) {
	w := newWorld(t)
	s, other := w.replica(), w.replica()
	var alices []*browser
	for i := range 20 {
		b := &browser{}
		n := of("alice")
		if i%2 == 0 {
			n = federated("alice-at-acme", "")
			n.Account = "alice"
		}
		b.start(t, s, n)
		in(t, other, b)
		alices = append(alices, b)
	}
	bob := &browser{}
	bob.start(t, s, of("bob"))
	if n, err := other.EndAccount(t.Context(), "alice"); err != nil || n != 20 {
		t.Fatalf("EndAccount = %d, %v", n, err)
	}
	for i, b := range alices {
		if in(t, s, b) || in(t, other, b) {
			t.Errorf("session %d lives on", i)
		}
	}
	if !in(t, s, bob) {
		t.Error("bob was signed out too")
	}
	if n, err := s.EndAccount(t.Context(), "alice"); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
	// Sessions that pass through have no account: "" names nobody.
	guest := &browser{}
	guest.start(t, s, federated("guest", ""))
	if n, err := s.EndAccount(t.Context(), ""); err != nil || n != 0 || !in(t, s, guest) {
		t.Errorf("the empty account: %d, %v", n, err)
	}
}

// Whoever ends the other sessions keeps the one that they are in, on every
// replica, and a sign-in of before, such as a thief's, becomes no session.
func TestEndOthers(t *testing.T) {
	w := newWorld(t)
	s, other := w.replica(), w.replica()
	mine, bob := &browser{}, &browser{}
	kept := mine.start(t, s, of("alice"))
	bob.start(t, s, of("bob"))
	var others []*browser
	for range 20 {
		b := &browser{}
		b.start(t, other, of("alice"))
		others = append(others, b)
	}
	underWay := of("alice")
	underWay.Created = w.now()
	w.advance(time.Second)
	if n, err := s.EndOthers(t.Context(), "alice", kept.ID); err != nil || n != 20 {
		t.Fatalf("EndOthers = %d, %v", n, err)
	}
	for i, b := range others {
		if in(t, s, b) || in(t, other, b) {
			t.Errorf("session %d lives on", i)
		}
	}
	if !in(t, s, mine) || !in(t, other, mine) || !in(t, s, bob) {
		t.Error("a session was ended that should not be")
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if _, err := s.Start(httptest.NewRecorder(), r, underWay); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a sign-in of before: %v", err)
	}
	if n, err := s.EndOthers(t.Context(), "", ""); err != nil || n != 0 {
		t.Errorf("the empty account: %d, %v", n, err)
	}
}

// The list of open sessions says from where each was started, whatever the
// caller knows of it.
func TestStartNotesTheClient(t *testing.T) {
	s := newWorld(t).replica()
	want := auth.Client{Address: "192.0.2.7", Agent: "Firefox"}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r = r.WithContext(auth.WithClient(r.Context(), want))
	if _, err := s.Start(httptest.NewRecorder(), r, of("alice")); err != nil {
		t.Fatal(err)
	}
	err := s.Open(t.Context(), "alice", func(got *auth.Session) error {
		if got.Client != want {
			t.Errorf("%+v, want %+v", got.Client, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever proved a password before all sessions were ended, because it was
// changed, must not get one afterwards.
func TestProofFromBeforeTheEnd(t *testing.T) {
	w := newWorld(t)
	s, other := w.replica(), w.replica()
	start := func(account string, proved time.Time) error {
		n := of(account)
		n.Created = proved
		rec := httptest.NewRecorder()
		_, err := s.Start(rec, httptest.NewRequest(http.MethodGet, "/", nil), n)
		if (err == nil) != (len(rec.Header()["Set-Cookie"]) > 0) {
			t.Errorf("error %v, cookies %v", err, rec.Header()["Set-Cookie"])
		}
		return err
	}
	before := w.now()
	w.advance(time.Minute)
	if _, err := other.EndAccount(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	end := w.now()
	w.advance(time.Minute)
	for _, proved := range []time.Time{before, end} {
		if err := start("alice", proved); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("proved before the end: %v", err)
		}
	}
	live := 0
	if err := s.List(t.Context(), func(*auth.Session) error { live++; return nil }); err != nil || live != 0 {
		t.Errorf("%d sessions are left, %v", live, err)
	}
	for _, c := range []struct {
		account string
		proved  time.Time
	}{{"alice", w.now()}, {"alice", time.Time{}}, {"bob", before}} {
		if err := start(c.account, c.proved); err != nil {
			t.Errorf("%s, proved %s: %v", c.account, c.proved, err)
		}
	}
}

// Sessions that start while the account's sessions are being ended are either
// ended or refused: none slips through between the two.
func TestStartWhileEnding(t *testing.T) {
	w := newWorld(t)
	s, other := w.replica(), w.replica()
	proved := w.now()
	w.advance(time.Second)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			n := of("alice")
			n.Created = proved
			_, err := s.Start(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), n)
			if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
				t.Error(err)
			}
		})
	}
	if _, err := other.EndAccount(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	wg.Wait()
	live := 0
	if err := s.List(t.Context(), func(*auth.Session) error { live++; return nil }); err != nil || live != 0 {
		t.Errorf("%d sessions slipped through, %v", live, err)
	}
}

func TestEndNotified(t *testing.T) {
	notice := func(subject, sid string) auth.LogoutNotice {
		return auth.LogoutNotice{Connection: "acme", Issuer: "https://id.acme.example", Subject: subject, IdPSession: sid}
	}
	for _, c := range []struct {
		name   string
		notice auth.LogoutNotice
		ends   string // of the sessions below
	}{
		{"subject", notice("alice", ""), "a1 a2 a-"},
		{"session of the provider", notice("", "1"), "a1"},
		{"both", notice("alice", "1"), "a1 a-"},
		{"both, of different people", notice("bob", "1"), ""},
		{"other connection", auth.LogoutNotice{Connection: "partner", Issuer: "https://id.acme.example", Subject: "alice"}, ""},
		// A connection id that now points elsewhere says nothing about the
		// sessions of before.
		{"other issuer", auth.LogoutNotice{Connection: "acme", Issuer: "https://id.other.example", Subject: "alice"}, ""},
		{"neither", notice("", ""), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			s, other := w.replica(), w.replica()
			all := map[string]*browser{}
			for name, n := range map[string]auth.Session{
				"a1": federated("alice", "1"), "a2": federated("alice", "2"), "a-": federated("alice", ""),
				"b3": federated("bob", "3"), "local": of("alice"),
			} {
				all[name] = &browser{}
				all[name].start(t, s, n)
				in(t, other, all[name])
			}
			n, err := s.EndNotified(t.Context(), c.notice)
			if want := len(strings.Fields(c.ends)); err != nil || n != want {
				t.Errorf("EndNotified = %d, %v, want %d", n, err, want)
			}
			for name, b := range all {
				want := !strings.Contains(" "+c.ends+" ", " "+name+" ")
				if in(t, s, b) != want || in(t, other, b) != want {
					t.Errorf("%s is signed in: %v", name, !want)
				}
			}
		})
	}
}

func TestListAndEndID(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	b := &browser{}
	made := b.start(t, s, of("alice"))
	var ids []string
	list := func() {
		t.Helper()
		ids = nil
		err := s.List(t.Context(), func(sess *auth.Session) error {
			ids = append(ids, sess.ID)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if list(); len(ids) != 1 || ids[0] != made.ID {
		t.Fatalf("List: %v", ids)
	}
	stop := errors.New("stop")
	if err := s.List(t.Context(), func(*auth.Session) error { return stop }); err != stop {
		t.Errorf("List = %v", err)
	}
	// The cookie's value is no id: who sees a list cannot act as anybody, and
	// nobody needs a cookie to end a session.
	for _, id := range []string{"", "x", b.value, strings.Repeat("0", 64), strings.ToUpper(made.ID), "../" + made.ID} {
		if err := s.EndID(t.Context(), id); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("EndID(%q) = %v", id, err)
		}
	}
	if err := s.EndID(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	if in(t, s, b) {
		t.Error("the session lives on")
	}
	if list(); len(ids) != 0 {
		t.Errorf("List: %v", ids)
	}
}

// Many sign-ins of one person at once all end up where they can be ended.
func TestParallelStarts(t *testing.T) {
	w := newWorld(t)
	replicas := []*session.Sessions{w.replica(), w.replica()}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			rec := httptest.NewRecorder()
			if _, err := replicas[i%2].Start(rec, httptest.NewRequest(http.MethodGet, "/", nil), of("alice")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, err := replicas[0].EndAccount(t.Context(), "alice"); err != nil || n != 100 {
		t.Errorf("EndAccount = %d, %v", n, err)
	}
}

// What a person can make grow has a bound: beyond it the oldest sessions end,
// and whatever lives can still be ended.
func TestSessionsOfOneOwnerAreBounded(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	for range 16*256 + 2000 {
		w.advance(time.Millisecond)
		(&browser{}).start(t, s, of("alice"))
	}
	live := 0
	if err := s.List(t.Context(), func(*auth.Session) error { live++; return nil }); err != nil {
		t.Fatal(err)
	}
	if live > 16*256 {
		t.Errorf("%d sessions of one account", live)
	}
	if n, err := s.EndAccount(t.Context(), "alice"); err != nil || n != live {
		t.Errorf("EndAccount = %d, %v, want %d", n, err, live)
	}
}

// Entries of sessions that are over leave the lists by themselves, and the
// last one takes the list along.
func TestListsPruneThemselves(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	size := func() (records, bytes int) {
		err := w.store.Scan(t.Context(), "index:", func(_ string, value []byte) error {
			records++
			bytes += len(value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return records, bytes
	}
	for range 300 {
		(&browser{}).start(t, s, of("alice"))
	}
	if _, before := size(); before != 300*40 {
		t.Fatalf("%d bytes for 300 sessions", before)
	}
	w.advance(25 * time.Hour)
	b := &browser{}
	b.start(t, s, of("alice"))
	if records, bytes := size(); records != 1 || bytes != 40 {
		t.Errorf("a day later: %d records, %d bytes", records, bytes)
	}
	if _, err := s.End(httptest.NewRecorder(), b.request()); err != nil {
		t.Fatal(err)
	}
	if records, _ := size(); records != 0 {
		t.Errorf("after the sign-out: %d records", records)
	}
}

// The same session through gorilla's own interface.
func TestGorilla(t *testing.T) {
	w := newWorld(t)
	s := w.replica()
	b := &browser{}
	made := b.start(t, s, of("alice"))
	r := b.request()
	g, err := s.Get(r, "_gatehouse")
	if err != nil || g.IsNew {
		t.Fatalf("Get: new %v, %v", g.IsNew, err)
	}
	if got, ok := g.Values["session"].(*auth.Session); !ok || got.ID != made.ID {
		t.Errorf("Values: %v", g.Values)
	}
	if again, _ := s.Get(r, "_gatehouse"); again != g {
		t.Error("the registry did not keep it")
	}
	rec := httptest.NewRecorder()
	if err := sessions.Save(r, rec); err != nil || len(rec.Header()) > 0 {
		t.Errorf("a session that exists was saved: %v, %v", err, rec.Header())
	}
	if g, err := s.Get(b.request(), "another"); err != nil || !g.IsNew {
		t.Errorf("another name: %v, %v", g, err)
	}
	if g, err := s.Get((&browser{}).request(), "_gatehouse"); err != nil || !g.IsNew || g.ID != "" {
		t.Errorf("no cookie: %v, %v", g, err)
	}
	w.store.down.Store(true)
	if g, err := w.replica().Get(b.request(), "_gatehouse"); !errors.Is(err, auth.ErrStoreDown) || g == nil {
		t.Errorf("store down: %v, %v", g, err)
	}
	w.store.down.Store(false)
	g.Options.MaxAge = -1
	if err := g.Save(r, httptest.NewRecorder()); err != nil || in(t, s, b) {
		t.Errorf("MaxAge -1 did not end it: %v", err)
	}
}
