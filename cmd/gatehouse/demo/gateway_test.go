package demo

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"gatehouse/auth"
	"gatehouse/auth/oidc"
	"gatehouse/internal/config"
)

// The gateway's own client, with the configuration of a run, accepts what the
// providers say of everybody whom one can be.
func TestTheGatewayAcceptsEverybody(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	organisations := map[string]organisation{acme.id: acme, partner.id: partner}
	d := &Demo{Listen: "127.0.0.1:0", Out: io.Discard, Serve: func(ctx context.Context, path, _ string, _ func(context.Context, Directory) error) error {
		defer stop()
		c, _, err := config.Load(path, nil)
		if err != nil {
			return err
		}
		for _, connection := range c.Connections {
			p := &oidc.Provider{Connection: connection, RedirectURI: c.Server.PublicURL + c.Server.Prefix + "/callback"}
			for _, who := range organisations[connection.ID].people {
				t.Run(connection.ID+" "+who.username, func(t *testing.T) {
					id := signIn(t, p, who.subject)
					want := auth.Identity{
						Connection: connection.ID, Issuer: connection.Issuer, Subject: who.subject,
						Email: who.email, EmailVerified: who.verified, Username: who.username, Groups: who.groups,
					}
					got := auth.Identity{
						Connection: id.Connection, Issuer: id.Issuer, Subject: id.Subject,
						Email: id.Email, EmailVerified: id.EmailVerified, Username: id.Username, Groups: id.Groups,
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("identity (-want +got):\n%s", diff)
					}
					if department, ok := who.more["department"]; ok && cmp.Diff([]string{department.(string)}, id.Attributes["department"]) != "" {
						t.Errorf("department %q, want %q", id.Attributes["department"], department)
					}
				})
			}
		}
		return nil
	}}
	if err := d.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func signIn(t *testing.T, p *oidc.Provider, subject string) auth.Identity {
	t.Helper()
	pending := auth.Pending{
		Connection: p.ID(), State: "state-state-state-state", Nonce: "nonce-nonce-nonce-nonce", Verifier: oauth2.GenerateVerifier(),
	}
	to, err := p.Begin(t.Context(), pending)
	if err != nil {
		t.Fatal(err)
	}
	page, query, _ := strings.Cut(to, "?")
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.PostForm(page, url.Values{"request": {query}, "person": {subject}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("%d: %v", resp.StatusCode, err)
	}
	id, _, err := p.Finish(t.Context(), pending, back.Query())
	if err != nil {
		t.Fatal(err)
	}
	return id
}
