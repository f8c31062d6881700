package main

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"gatehouse/auth"
	"gatehouse/auth/account"
	"gatehouse/auth/local"
	"gatehouse/auth/mfa"
	"gatehouse/internal/clientip"
	"gatehouse/internal/config"
	"gatehouse/internal/web"
)

// account is the signed-in person's own page. The device is that of the
// sign-in.
func (a *app) account(device func(*http.Request) string) *account.Account {
	page := &account.Account{
		Origin: a.gateway.Site.Origin(), Prefix: a.cfg.Server.Prefix,
		Headers:  a.told,
		Sessions: a.sessions, Profiles: profiles{a.directory}, Links: a.resolver,
		Factors: a.factors, Turns: a.turns, Demands: a.demands, Required: a.cfg.MFA.Enforce != config.EnforceOff,
		Events: chronicle{a.state},
		Store:  a.store, Index: a.index, Keys: a.keyring,
		Pages: a.pages, QR: mfa.QR,
		Client: func(r *http.Request) netip.Addr { return clientip.From(r.Context()).Client },
		Device: device,
		Log:    a.log,
	}
	for _, c := range a.cfg.Connections {
		page.Connections = append(page.Connections, account.Connection{
			ID: c.ID, Name: c.Name,
			Linkable: a.linksOwn() && !c.Disabled && c.JIT.Enabled && c.JIT.LinkExisting != config.LinkDeny,
		})
	}
	if a.cfg.Local.Enabled {
		page.Passwords = ownPasswords{a.passwords}
	}
	for _, f := range a.factors.Kinds {
		e, enrols := f.(auth.Enroller)
		if enrols && slices.Contains(a.cfg.MFA.Methods, f.Kind()) {
			page.Enrollers = append(page.Enrollers, e)
		}
	}
	if slices.Contains(a.cfg.MFA.Methods, auth.KindRecovery) {
		page.Recovery = a.recovery
	}
	return page
}

// linksOwn reports whether people can link identities to their accounts: a Strict
// cookie does not come along when the identity provider sends them back, so that
// nobody could tell in which session they had asked for it.
func (a *app) linksOwn() bool { return a.cookies.SameSite != http.SameSiteStrictMode }

// told is what applications are told of a person.
func (a *app) told(p *auth.Person) []web.Header {
	var all []web.Header
	for _, h := range a.gateway.Identity.Upstream(p) {
		all = append(all, web.Header{Name: h.Name, Value: h.Value})
	}
	return all
}

// ownPasswords lets people change their passwords.
type ownPasswords struct{ *local.Passwords }

// Refuses implements account.Passwords.
func (p ownPasswords) Refuses(password string, names ...string) string {
	if unsuitable, ok := errors.AsType[*auth.Unsuitable](p.Policy.Suitable(password, names...)); ok {
		return "It was not changed: " + unsuitable.Reason + "."
	}
	return ""
}
