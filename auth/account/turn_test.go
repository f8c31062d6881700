package account_test

import (
	"context"
	"net/http"
	"testing"

	"gatehouse/auth"
)

// A proof that was whole when the request came may be no longer when its turn
// comes.
func TestAProofIsJudgedAgainInItsTurn(t *testing.T) {
	h := open(t)
	h.sessions["alice"].ProvedFactor = ""
	h.post("alice", "/factors/add", "kind", "totp")
	h.page.Turns = lateTurn(func() {
		h.factors["alice"] = []auth.Authenticator{{ID: "1", Kind: auth.KindPasskey}}
	})
	expect(t, h.post("alice", "/factors/confirm", "kind", "totp", "code", "123456"), http.StatusSeeOther, "/oauth2/prove?rd=%2Foauth2%2Faccount")
	if got := h.factors["alice"]; len(got) != 1 || got[0].Kind != auth.KindPasskey {
		t.Errorf("factors %+v", got)
	}
}

// lateTurn lets somebody else change the account first.
type lateTurn func()

func (theirs lateTurn) Alone(ctx context.Context, _ string, change func(context.Context) error) error {
	theirs()
	return change(ctx)
}

// Attack: from a stolen session, change what opens the account while an
// administrator resets it: the request is let in before the sessions end, and
// has its turn after the reset.
func TestEndedSessionChangesNothing(t *testing.T) {
	code, password := []string{"kind", "totp", "code", "123456"}, []string{"password", "a better one than that", "again", "a better one than that"}
	for path, form := range map[string][]string{
		"/factors/confirm": code, "/factors/remove": {"kind", "passkey", "id", "1"}, "/recovery": nil, "/password": password,
	} {
		t.Run(path, func(t *testing.T) {
			h := open(t)
			h.post("alice", "/factors/add", "kind", "totp")
			h.factors["alice"] = []auth.Authenticator{{ID: "1", Kind: auth.KindPasskey}}
			left := 1
			h.page.Turns = lateTurn(func() {
				delete(h.sessions, "alice")
				if path == "/factors/confirm" { // the others need one that is left
					delete(h.factors, "alice")
					left = 0
				}
			})
			expect(t, h.post("alice", path, form...), http.StatusUnauthorized, "")
			if len(h.events) > 0 || len(h.factors["alice"]) != left || len(h.codes["alice"]) > 0 {
				t.Errorf("events %q, factors %+v, codes %q", h.events, h.factors["alice"], h.codes["alice"])
			}
		})
	}
}
