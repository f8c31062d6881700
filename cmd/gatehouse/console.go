package main

import (
	"context"
	"io"

	"gatehouse/auth"
	"gatehouse/provision/console"
)

// console is the administrators' API, to which proved is the proof of the account
// page; nil where nobody administers over HTTP.
func (a *app) console(proved func(context.Context, *auth.Session) (bool, error)) *console.API {
	if len(a.cfg.Admin.Groups) == 0 {
		return nil
	}
	return &console.API{
		Prefix: a.cfg.Server.Prefix, Origin: a.gateway.Site.Origin(), SignIn: a.gateway.Site.SignIn("/"),
		Groups: a.cfg.Admin.Groups, AllowFederated: a.cfg.Admin.AllowFederated,
		Sessions: a.sessions, Accounts: profiles{a.directory}, Proved: proved, Pages: a.pages, Log: a.log,
		Request: func(id string) (any, bool) { return a.decisions.Find(id) },
		Run: func(ctx context.Context, administrator string, args []string, stdout io.Writer) error {
			ctx = asAdministrator(context.WithValue(ctx, byAccountKey{}, administrator))
			return a.administration().overHTTP(ctx, args, stdout)
		},
	}
}
