package test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestLinkExisting is the table of link_existing: an administrator has added
// an account, and somebody comes whose provider says that they have the same
// e-mail. Whether that is them decides whether an attacker who gets hold of an
// address at one provider gets hold of the account here.
func TestLinkExisting(t *testing.T) {
	t.Parallel()
	const (
		linked      = ""
		confirm     = confirmHeading
		unprovable  = "Your account cannot be confirmed"
		notJoined   = "An account with your e-mail address exists already"
		theirOwn    = "their own account"
		withNothing = "without a password"
	)
	tests := []struct {
		id      string
		jit     string
		group   string // locally assigned
		without string // withNothing: the account has no password
		claims  map[string]any
		want    string // linked, theirOwn, or the heading of the page
	}{
		{id: "auto", jit: "auto"},
		{id: "auto-upper", jit: "AUTO"},
		{id: "default"},
		{id: "auto-case", jit: "auto", claims: map[string]any{"email": "AUTO-CASE@Corp.Example"}},
		{id: "auto-protected", jit: "auto", group: "admins", want: confirm},
		{id: "auto-protected-bare", jit: "auto", group: "admins", without: withNothing, want: unprovable},
		{id: "always", jit: "always"},
		{id: "always-protected", jit: "always", group: "admins"},
		{id: "confirm", jit: "confirm", want: confirm},
		{id: "confirm-bare", jit: "confirm", without: withNothing, want: unprovable},
		{id: "deny", jit: "deny", want: notJoined},
		{id: "deny-protected", jit: "deny", group: "admins", want: notJoined},
		{id: "unverified", jit: "always", claims: map[string]any{"email_verified": false}, want: theirOwn},
		{id: "unsaid", jit: "always", claims: map[string]any{"email_verified": nil}, want: theirOwn},
		{id: "lookalike", jit: "always", claims: map[string]any{"email": "l\u043eokalike@corp.example"}, want: theirOwn}, // a Cyrillic o
		{id: "two-ats", jit: "always", claims: map[string]any{"email": "two-ats@corp.example@evil.example"}, want: theirOwn},
		{id: "quoted", jit: "always", claims: map[string]any{"email": `"quoted"@corp.example`}, want: theirOwn},
	}
	app, idp := servers.StartApp(t), badidp.Start(t)
	var connections []string
	for _, tt := range tests {
		jit := "jit: {enabled: true}"
		if tt.jit != "" {
			jit = "jit: {link_existing: " + tt.jit + "}"
		}
		connections = append(connections, connectionText(tt.id, idp.URL(), jit))
	}
	g := servers.StartGateway(t, binary, configText(app.URL, connections, "local: {enabled: true}"))
	for _, tt := range tests {
		t.Run(tt.id, func(t *testing.T) {
			args := []string{"user", "add", tt.id, "--email", tt.id + "@corp.example", "--config", g.Config}
			password := ""
			if tt.without != withNothing {
				password = "a long passphrase of theirs\n"
				args = append(args, "--password-stdin")
			}
			if tt.group != "" {
				args = append(args, "--group", tt.group)
			}
			if r := g.Run(t, password, args...); r.Code != 0 {
				t.Fatal(r.Stderr)
			}
			before := showAccount(t, g, tt.id)
			claims := map[string]any{"preferred_username": "somebody"}
			for name, v := range tt.claims {
				claims[name] = v
			}
			idp.SetPersona(tt.id, person(tt.id, claims), nil)
			switch tt.want {
			case linked:
				if user := comes(t, g, tt.id, tt.id).signedIn(g)["user"]; user != tt.id {
					t.Errorf("user %q, want the account's name %q", user, tt.id)
				}
				after := showAccount(t, g, tt.id)
				if len(after.Links) != 1 || after.Links[0] != (accountLink{tt.id, idp.URL(), tt.id + "-1"}) {
					t.Errorf("links: %+v", after.Links)
				}
				if after.ID != before.ID || after.HasPassword != before.HasPassword || !slices.Contains(after.Groups, "staff") || (tt.group != "" && !slices.Contains(after.Groups, tt.group)) {
					t.Errorf("the linked account: %+v", after)
				}
				return
			case theirOwn:
				if user := comes(t, g, tt.id, tt.id).signedIn(g)["user"]; user == tt.id {
					t.Errorf("they are %q", user)
				}
				if a := linkedTo(t, g, tt.id, tt.id+"-1"); a.ID == before.ID {
					t.Errorf("linked to the other's account: %+v", a)
				}
			case confirm:
				mustProve(t, g, tt.id, tt.id)
			default:
				refused(t, g, tt.id, tt.id, tt.want)
			}
			if diff := cmp.Diff(before, showAccount(t, g, tt.id)); diff != "" {
				t.Errorf("the account that was there (-before +after):\n%s", diff)
			}
		})
	}
}

// TestChangedSubject: the same verified e-mail at the same provider, and
// another subject: perhaps the address was given to another person. They are
// not let into the first one's account.
func TestChangedSubject(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL()), connectionText("partner", idp.URL()),
	}))
	idp.SetPersona("pat", person("pat", nil), nil)
	comes(t, g, "pat", "acme")
	for _, subject := range []string{"pat-2", "PAT-1", "pat-1 ", "pat-1\u200b"} {
		idp.SetPersona("next", person("pat", map[string]any{"sub": subject}), nil)
		refused(t, g, "next", "acme", "Your account cannot be confirmed")
	}
	if a := showAccount(t, g, "pat"); len(a.Links) != 1 || a.Links[0].Subject != "pat-1" {
		t.Errorf("links: %+v", a.Links)
	}
	// The person themselves may come by another provider that vouches for the
	// same address; both ways then lead to one account.
	comes(t, g, "pat", "partner")
	if a := showAccount(t, g, "pat"); len(a.Links) != 2 || len(accounts(t, g)) != 1 {
		t.Errorf("after the second provider: %+v", a)
	}
	// The account can now be proved by the other way in.
	idp.SetPersona("next", person("pat", map[string]any{"sub": "pat-3"}), nil)
	mustProve(t, g, "next", "acme")

	// A way in that was cut off does not come back by itself, nor does a
	// session that came by it go on.
	open := comes(t, g, "pat", "acme")
	run(t, g, "user", "unlink", "pat", "--connection", "acme")
	open.signedOut(g)
}

// TestConnectionMovesToAnotherIssuer: links belong to the issuer that made
// them. Who runs the new one could otherwise be anybody of the old one.
func TestConnectionMovesToAnotherIssuer(t *testing.T) {
	t.Parallel()
	app, old, now := servers.StartApp(t), badidp.Start(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", old.URL())}))
	old.SetPersona("pat", person("pat", nil), nil)
	open := comes(t, g, "pat", "acme")
	made := linkedTo(t, g, "acme", "pat-1")

	restart(t, g, configText(app.URL, []string{connectionText("acme", now.URL())}))
	open.signedOut(g)
	now.SetPersona("pat", person("pat", map[string]any{"email": "other@corp.example"}), nil)
	if user := comes(t, g, "pat", "acme").signedIn(g)["user"]; user == made.Username {
		t.Errorf("the new issuer's subject is %q of the old one", user)
	}
	if n := len(accounts(t, g)); n != 2 {
		t.Errorf("%d accounts, want 2", n)
	}
	// A connection that is taken out of the file takes its sessions with it.
	open = comes(t, g, "pat", "acme")
	restart(t, g, configText(app.URL, []string{connectionText("partner", now.URL())}))
	open.signedOut(g)
}

// TestLinkToAccountWithSecondFactor: whoever has set up a second factor is not
// linked on the word of a provider alone, unless the file says so. Once linked
// they are not asked for it on the provider's way, and still are on their own.
func TestLinkToAccountWithSecondFactor(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL()), connectionText("raw", idp.URL(), "jit: {link_existing: always}"),
	}, "local: {enabled: true}"))
	addUser(t, g, "ann", "--email", "ann@corp.example")
	newVisitor(t, "").enrol(g, "ann")
	idp.SetPersona("ann", person("ann", nil), nil)
	mustProve(t, g, "ann", "acme")
	if a := showAccount(t, g, "ann"); len(a.Links) != 0 || len(a.Groups) != 0 {
		t.Errorf("the sign-in that was not finished left %+v", a)
	}
	comes(t, g, "ann", "raw") // asked for nothing
	if a := showAccount(t, g, "ann"); len(a.Links) != 1 || !slices.Equal(a.Factors, []string{"totp", "recovery_code"}) || !a.HasPassword {
		t.Errorf("after the link: %+v", a)
	}
	local := newVisitor(t, "")
	local.challenged(g, "ann", "/")
	local.signedOut(g)
}
