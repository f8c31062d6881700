package signin_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/auth"
	"gatehouse/auth/signin"
)

var confirmsField = regexp.MustCompile(`name="confirms" value="([^"]+)"`)

// The page of one tab is about one account. After another tab has begun a
// sign-in that is about another one, what is typed into the first page must
// not prove that other account.
func TestConfirmPageOfAnotherTab(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.claims("bob")
	fields := confirmsField.FindAllStringSubmatch(p.get("/oauth2/confirm").body, -1)
	if len(fields) != 3 {
		t.Fatalf("%d forms say which sign-in they are about, want 3", len(fields))
	}
	stale := fields[0][1]
	p.claims("alice")
	for _, form := range []url.Values{rightPassword, elsewhere, giveUp} {
		of := url.Values{"confirms": {stale}}
		for field, values := range form {
			of[field] = values
		}
		p.post("/oauth2/confirm", of).expect(t, http.StatusSeeOther, "/oauth2/confirm")
	}
	page := p.get("/oauth2/confirm")
	if !strings.Contains(page.body, "alice@acme.example") || len(h.sessions.started) != 0 {
		t.Fatalf("%d sessions, page %s", len(h.sessions.started), page.body)
	}
	current := confirmsField.FindStringSubmatch(page.body)[1]
	p.post("/oauth2/confirm", url.Values{"confirms": {current}, "password": {"right"}}).expect(t, http.StatusSeeOther, "/app?a=b")
	if len(h.sessions.started) != 1 || h.sessions.started[0].Account != "alice" {
		t.Errorf("%+v", h.sessions.started)
	}
}

// large is a provider whose answers have a claim that nobody asked for.
type large struct{ *provider }

func (l large) Finish(ctx context.Context, p auth.Pending, answer url.Values) (auth.Identity, auth.Tokens, error) {
	id, tokens, err := l.provider.Finish(ctx, p, answer)
	id.Claims = map[string]any{"unmapped": strings.Repeat("x", 200<<10)}
	return id, tokens, err
}

// Sign-ins that wait for a proof are kept with their claims. Whoever may sign
// in at a provider must not fill the store with them.
func TestConfirmKeepsNoLargeAnswer(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Connections[0].Provider = large{&provider{id: "acme"}} })
	p := h.person()
	p.back(p.begin("acme", "/app"), "of-bob").expect(t, http.StatusForbidden, "")
	err := h.store.Store.Scan(t.Context(), "pending:", func(key string, _ []byte) error {
		t.Errorf("%s is kept", key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
