package oidc

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/test/badidp"
)

func TestLogout(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	now := time.Now()
	past, future := now.Add(-2*time.Minute).Unix(), now.Add(2*time.Minute).Unix()
	type m = map[string]any
	none := auth.LogoutNotice{}
	by := func(subject, session string) auth.LogoutNotice {
		return auth.LogoutNotice{Connection: "acme", Issuer: idp.URL(), Subject: subject, IdPSession: session}
	}
	tests := []struct {
		name           string
		claims, header m
		want           auth.LogoutNotice // none: refused
	}{
		{"subject", nil, nil, by("subject-1", "")},
		{"session", m{"sub": nil, "sid": "session-1"}, nil, by("", "session-1")},
		{"subject and session", m{"sid": "session-1"}, nil, by("subject-1", "session-1")},
		{"type JWT", nil, m{"typ": "JWT"}, by("subject-1", "")},
		{"no type", nil, m{"typ": nil}, by("subject-1", "")},
		{"whole media type", nil, m{"typ": "application/logout+jwt"}, by("subject-1", "")},
		{"audience in a list", m{"aud": []any{badidp.ClientID}}, nil, by("subject-1", "")},
		{"expired 30 s ago", m{"exp": now.Add(-30 * time.Second).Unix()}, nil, by("subject-1", "")},

		{"an access token", nil, m{"typ": "at+jwt"}, none},
		{"another issuer", m{"iss": "https://other.example"}, nil, none},
		{"no issuer", m{"iss": nil}, nil, none},
		{"another client", m{"aud": "another"}, nil, none},
		{"several clients", m{"aud": []any{badidp.ClientID, "another"}}, nil, none},
		{"no audience", m{"aud": nil}, nil, none},
		{"no iat", m{"iat": nil}, nil, none},
		{"iat ahead", m{"iat": future}, nil, none},
		{"iat long past", m{"iat": now.Add(-time.Hour).Unix()}, nil, none},
		{"no exp", m{"exp": nil}, nil, none},
		{"expired", m{"exp": past}, nil, none},
		{"no jti", m{"jti": nil}, nil, none},
		{"empty jti", m{"jti": ""}, nil, none},
		{"jti a number", m{"jti": 7}, nil, none},
		{"endless jti", m{"jti": strings.Repeat("j", 2000)}, nil, none},
		{"no events", m{"events": nil}, nil, none},
		{"another event", m{"events": m{"http://schemas.openid.net/event/other": m{}}}, nil, none},
		{"events a list", m{"events": []any{logoutEvent}}, nil, none},
		{"event not an object", m{"events": m{logoutEvent: true}}, nil, none},
		{"nonce: an ID token", m{"nonce": "n"}, nil, none},
		{"empty nonce", m{"nonce": ""}, nil, none},
		{"nobody", m{"sub": nil}, nil, none},
		{"empty subject", m{"sub": ""}, nil, none},
		{"subject a number", m{"sub": 7, "sid": "session-1"}, nil, none},
		{"empty session", m{"sid": ""}, nil, none},
		{"session a list", m{"sid": []any{"session-1"}}, nil, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := told(t.Context(), p, idp.LogoutToken(tt.claims, tt.header))
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if refused := errors.Is(err, auth.ErrInvalidAnswer); refused != (tt.want == none) || !refused && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, token := range []string{"", "x", "a.b.c", "....", strings.Repeat("a", maxToken+1), idp.ForgedLogoutToken()} {
		if _, err := told(t.Context(), p, token); !errors.Is(err, auth.ErrInvalidAnswer) {
			t.Errorf("%.20s: got %v, want ErrInvalidAnswer", token, err)
		}
	}
}

// told returns what a logout token tells the provider.
func told(ctx context.Context, p *Provider, token string) (notice auth.LogoutNotice, err error) {
	_, err = p.Logout(ctx, token, func(_ context.Context, n auth.LogoutNotice) (int, error) {
		notice = n
		return 1, nil
	})
	return notice, err
}

// A store that failed while the sessions were being ended: the provider sends
// the token again, and it must pass then, and only then.
func TestLogoutTokenPassesAgainAfterTrouble(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	now := time.Now()
	p.Store.(*memory.Store).Now = func() time.Time { return now }
	token := idp.LogoutToken(nil, nil)
	trouble := func(context.Context, auth.LogoutNotice) (int, error) { return 0, auth.ErrStoreDown }
	if _, err := p.Logout(t.Context(), token, trouble); !errors.Is(err, auth.ErrStoreDown) {
		t.Fatalf("got %v, want ErrStoreDown", err)
	}
	if _, err := told(t.Context(), p, token); !errors.Is(err, auth.ErrInvalidAnswer) {
		t.Errorf("at once: got %v, want ErrInvalidAnswer", err)
	}
	now = now.Add(5 * time.Second)
	if _, err := told(t.Context(), p, token); err != nil {
		t.Errorf("after Retry-After: %v", err)
	}
	now = now.Add(time.Minute)
	if _, err := told(t.Context(), p, token); !errors.Is(err, auth.ErrInvalidAnswer) {
		t.Errorf("once it has passed: got %v, want ErrInvalidAnswer", err)
	}
}

// An ID token is signed by the same key for the same client; it must not end
// anybody's sessions, nor a logout token start one.
func TestIDTokenIsNoLogoutToken(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	m, err := p.discovered(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	logoutToken := idp.LogoutToken(nil, map[string]any{"typ": "JWT"})
	if _, err := p.verifyIDToken(t.Context(), m, logoutToken, expected{nonce: pending.Nonce}); !errors.Is(err, auth.ErrInvalidAnswer) {
		t.Errorf("a logout token as an ID token: got %v, want ErrInvalidAnswer", err)
	}
	idToken := idp.LogoutToken(map[string]any{"events": nil, "jti": nil, "nonce": "n"}, map[string]any{"typ": "JWT"})
	if _, err := told(t.Context(), p, idToken); !errors.Is(err, auth.ErrInvalidAnswer) {
		t.Errorf("an ID token as a logout token: got %v, want ErrInvalidAnswer", err)
	}
}

// The replay: a recorded logout token is sent again, many times at once and to
// another replica.
func TestLogoutTokenPassesOnce(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	replica, _ := connect(t, idp.URL())
	replica.Store, replica.Index = p.Store, p.Index
	token := idp.LogoutToken(nil, nil)
	var passed atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			_, err := told(t.Context(), []*Provider{p, replica}[i%2], token)
			switch {
			case err == nil:
				passed.Add(1)
			case !errors.Is(err, auth.ErrInvalidAnswer):
				t.Errorf("got %v, want ErrInvalidAnswer", err)
			}
		})
	}
	all.Wait()
	if n := passed.Load(); n != 1 {
		t.Errorf("the token passed %d times", n)
	}
	other, _ := connect(t, idp.URL())
	other.Store, other.Index, other.Connection.ID = p.Store, p.Index, "other"
	if _, err := told(t.Context(), other, token); err != nil {
		t.Errorf("another connection to the same provider: %v", err)
	}
}

// brokenStore is a store that is down.
type brokenStore struct{ store.Store }

func (brokenStore) Create(context.Context, string, []byte, time.Duration) error { return store.ErrDown }

// While the store is down a token cannot be used up, so it must not pass.
func TestLogoutWithoutStore(t *testing.T) {
	idp := badidp.Start(t)
	p, _ := connect(t, idp.URL())
	p.Store = brokenStore{}
	if _, err := told(t.Context(), p, idp.LogoutToken(nil, nil)); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("got %v, want ErrStoreDown", err)
	}
}

// FuzzLogoutToken: whatever stands in the place of claims, nothing but a whole
// logout token tells of a logout.
func FuzzLogoutToken(f *testing.F) {
	for _, seed := range []string{
		`{"iss":"i","aud":"c","iat":1,"exp":2,"jti":"j","sub":"s","events":{"` + logoutEvent + `":{}}}`,
		`{"iss":"i","aud":"c","iat":1,"exp":2,"jti":"j","sub":"s","nonce":"n","events":{"` + logoutEvent + `":{}}}`,
		`{"sid":null}`, `{"sub":"","sid":"s"}`, `[]`, `{}`, `null`, `{"sub":{}}`, `{"iat":1e999}`, "{\"sub\":\"\xff\"}", `{"sub":"a"}{"sub":"b"}`,
	} {
		f.Add([]byte(seed))
	}
	p := &Provider{Now: func() time.Time { return time.Unix(1, 0) }}
	p.Connection.Issuer, p.Connection.ClientID = "i", "c"
	f.Fuzz(func(t *testing.T, payload []byte) {
		claims, err := DecodeClaims(payload)
		if err != nil || p.checkLogoutToken(&signed{}, claims) != nil {
			return
		}
		notice, err := logoutNotice(claims)
		if err != nil {
			return
		}
		if notice.Subject == "" && notice.IdPSession == "" || len(notice.Subject) > maxSubject || len(notice.IdPSession) > maxSessionID {
			t.Errorf("%s: got %+v", payload, notice)
		}
		if claims["iss"] != any("i") || claims["jti"] == nil || claims["nonce"] != nil {
			t.Errorf("%s passes", payload)
		}
	})
}
