package mfa

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"gatehouse/auth"
)

// Attack: send what is no answer of a passkey, or one that was given to another
// challenge. It passes nowhere, and fills no log.
func FuzzPasskeyAnswer(f *testing.F) {
	p, _, _ := newPasskeys(f)
	var log bytes.Buffer
	p.Log = slog.New(slog.NewTextHandler(&log, nil))
	d, another := newDevice(f), newDevice(f)
	registered(f, p, d, "a")
	offer, err := p.Offer(f.Context(), enrolling("a"))
	if err != nil {
		f.Fatal(err)
	}
	asked, whole := challenged(f, p, signingIn("a")), discovered(f, p)
	right, made := d.get(f, asked), another.create(f, offer)
	for _, s := range []string{right, made, right[:len(right)/2], strings.ReplaceAll(made, "none", "packed"), "", "123456", "{}", "null", "[]", `{"response":{}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		log.Reset()
		if parsed, err := p.parse(t.Context(), "a", answer); err == nil {
			if got := parsed.Response.CollectedClientData; got.Origin != p.Party.Origin || got.CrossOrigin {
				t.Errorf("an answer from %+v is read", got)
			}
		} else if err != auth.ErrWrongCode {
			t.Errorf("parse: %v, want ErrWrongCode", err)
		}
		if key, _, err := p.created(t.Context(), enrolling("a"), offer, answer); err == nil {
			if len(key.ID) == 0 || len(key.PublicKey) == 0 {
				t.Errorf("a passkey of nothing is taken: %+v", key)
			}
		} else if err != auth.ErrWrongCode {
			t.Errorf("created: %v, want ErrWrongCode", err)
		}
		// No seed answers this one, and no change of a seed can: the key is not here.
		if account, err := p.Identify(t.Context(), whole, answer); account != "" || err != auth.ErrWrongCode {
			t.Errorf("whole sign-in: %q, %v, want ErrWrongCode", account, err)
		}
		if log.Len() > 3*1024 {
			t.Errorf("%d bytes are logged of one answer", log.Len())
		}
	})
}
