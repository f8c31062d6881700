package main

import (
	"context"
	"io"

	"gatehouse/provision/console"
)

// console is the administrators' API; nil where nobody administers over HTTP.
func (a *app) console() *console.API {
	if len(a.cfg.Admin.Groups) == 0 {
		return nil
	}
	return &console.API{
		Prefix: a.cfg.Server.Prefix, Origin: a.gateway.Site.Origin(), SignIn: a.gateway.Site.SignIn("/"),
		Groups: a.cfg.Admin.Groups, AllowFederated: a.cfg.Admin.AllowFederated,
		Sessions: a.sessions, Accounts: profiles{a.directory}, Pages: a.pages, Log: a.log,
		Run: func(ctx context.Context, administrator string, args []string, stdout, stderr io.Writer) int {
			ctx = asAdministrator(context.WithValue(ctx, byAccountKey{}, administrator))
			return a.administration().user(ctx, args, nil, stdout, stderr)
		},
	}
}
