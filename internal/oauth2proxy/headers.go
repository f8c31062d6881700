package oauth2proxy

import (
	"slices"
	"strings"
)

// identityKey is a key of identity_headers.
type identityKey struct{ claim, key, usual string }

// identityKeys are the keys of identity_headers, by the claim of oauth2-proxy.
func identityKeys() []identityKey {
	return []identityKey{
		{"user", "user", "X-Forwarded-User"},
		{"email", "email", "X-Forwarded-Email"},
		{"groups", "groups", "X-Forwarded-Groups"},
		{"preferred_username", "preferred_username", "X-Forwarded-Preferred-Username"},
	}
}

// headers writes what the application is told.
func (t *translation) headers() {
	n := t.root.in("identity_headers")
	if t.settings.injected.given {
		t.injectedHeaders(n)
		return
	}
	basic, basicShown := t.truth("pass_basic_auth")
	user, userShown := t.truth("pass_user_headers")
	byEmail, emailShown := t.truth("prefer_email_to_user")
	for _, k := range identityKeys() {
		switch {
		case !basic && !user:
			n.set(k.key, `""`, joined(basicShown, userShown))
		case k.key == "email" && byEmail:
			n.set(k.key, `""`, emailShown)
		case userShown != "" || basicShown != "":
			n.set(k.key, k.usual, joined(userShown, basicShown))
		}
	}
	notes := []struct{ name, text string }{
		{"basic_auth_password", "no Authorization: Basic is made for the application; let it believe identity_headers.user"},
		{"set_basic_auth", "a verdict has no Authorization header; use X-Auth-Request-User"},
		{"pass_access_token", "the provider's access token is not passed on by this version"},
		{"pass_authorization_header", "the ID token is not passed on; the application reads the identity headers"},
		{"set_authorization_header", "a verdict has no Authorization header; use X-Auth-Request-User and the others"},
		{"set_xauthrequest", "each verdict of /auth has X-Auth-Request-User, -Email, -Groups and -Preferred-Username. Answers that Gatehouse proxies itself have none"},
	}
	for _, note := range notes {
		if value, shown := t.text(note.name); value != "" && value != "false" {
			n.note("%s: %s", shown, note.text)
		}
	}
	if strip, shown := t.truth("skip_auth_strip_headers"); !strip {
		n.note("%s: what a client sends under these names is removed always, on public routes too", shown)
	}
}

// injectedHeaders writes the headers of the alpha configuration.
func (t *translation) injectedHeaders(n *node) {
	in := t.settings.injected
	names := map[string]header{}
	for _, h := range in.request {
		if len(h.claims) != 1 || h.other || !slices.ContainsFunc(identityKeys(), func(k identityKey) bool { return k.claim == h.claims[0] }) {
			n.note("%s: %.60q is no bare value of user, email, groups or preferred_username, and is not sent. A header that is always the same belongs to headers.request.set of the routes", h.shown, t.spelled(h.name, h.shown))
			continue
		}
		if other, taken := names[h.claims[0]]; taken {
			n.note("%s: one name for each; %s is told as %.60q, and not as %.60q too", h.shown, h.claims[0], t.spelled(other.name, other.shown), t.spelled(h.name, h.shown))
			continue
		}
		if strings.EqualFold(h.name, "Authorization") {
			n.note("%s: Authorization has a meaning of its own, and is not set", h.shown)
			continue
		}
		names[h.claims[0]] = h
	}
	for _, k := range identityKeys() {
		if h, ok := names[k.claim]; ok {
			n.set(k.key, t.quoted(h.name, h.shown), h.shown)
		} else {
			n.set(k.key, `""`, "not in injectRequestHeaders")
		}
	}
	if len(in.response) > 0 {
		var said []string
		for _, h := range in.response {
			said = append(said, string(h.shown)+" "+t.spelled(h.name, h.shown))
		}
		n.note("%s: a verdict of /auth has X-Auth-Request-User, -Email, -Groups, -Preferred-Username and -Attr-*, always, and no others", strings.Join(said, ", "))
	}
}
