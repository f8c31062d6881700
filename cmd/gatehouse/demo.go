package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"gatehouse/auth"
	"gatehouse/cmd/gatehouse/demo"
	"gatehouse/internal/config"
	"gatehouse/provision"
)

const demoUsage = `usage: gatehouse demo [--listen 127.0.0.1:4180]

Runs a gateway with two identity providers, a local account and an application
that shows what it received, all in this process: to look at, on loopback only.
Nothing is kept.

  --listen A  where the gateway listens; port 0 picks a free one

Exit code 0: it ended as it was told; 1: it could not start, or failed; 2: usage.
`

// runDemo is the command gatehouse demo.
func runDemo(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("demo")
	listen := flags.String("listen", "127.0.0.1:4180", "")
	if code, done := parseCommand(flags, demoUsage, args, stdout, stderr); done {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	d := &demo.Demo{
		Listen: *listen,
		Out:    stdout,
		Serve: func(ctx context.Context, path, banner string, ready func(context.Context, demo.Directory) error) error {
			cfg, _, err := config.Load(path, os.LookupEnv)
			if err != nil {
				return err
			}
			public, err := url.Parse(cfg.Server.PublicURL)
			if err != nil {
				return err
			}
			a, err := openApp(ctx, cfg, newLogger(cfg.Log, stderr), banner)
			if err != nil {
				return err
			}
			a.front = demo.OnlyHost(public.Host, a.front)
			a.admin = demo.OnlyHost(cfg.Server.AdminListen, a.admin)
			return a.serve(ctx, func(ctx context.Context) error {
				return ready(ctx, demoDirectory{a.administration()})
			})
		},
	}
	err := d.Run(ctx)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w\nanother program has this port; gatehouse demo --listen 127.0.0.1:0 picks a free one", err)
	}
	if err != nil {
		return failed(stderr, err)
	}
	return exitOK
}

// demoDirectory is the user store as the demonstration sees it.
type demoDirectory struct{ *administration }

func (d demoDirectory) Add(ctx context.Context, n demo.NewAccount) error {
	view, err := d.directory.Add(ctx, provision.New{Username: n.Username, Email: n.Email, Name: n.Name})
	if err != nil {
		return err
	}
	return d.passwords.SetPassword(ctx, view.ID, n.Password)
}

func (d demoDirectory) Account(ctx context.Context, user string) (demo.Account, bool, error) {
	found, err := d.directory.Show(ctx, user)
	if errors.Is(err, auth.ErrNotFound) {
		return demo.Account{}, false, nil
	}
	if err != nil {
		return demo.Account{}, false, err
	}
	v, err := d.view(ctx, found)
	if err != nil {
		return demo.Account{}, false, err
	}
	a := demo.Account{ID: v.ID, Status: string(v.Status), Factors: v.Factors}
	a.Facts = append(a.Facts, demo.Fact{Name: "username", Values: []string{v.Username}, Source: v.Source, Since: v.Created})
	if v.Email != "" {
		address := v.Email
		if !v.EmailVerified {
			address += " (not verified)"
		}
		a.Facts = append(a.Facts, demo.Fact{Name: "email", Values: []string{address}, Source: v.EmailSource, Since: v.EmailTime})
	}
	for _, g := range v.GroupSources {
		a.Facts = append(a.Facts, demo.Fact{Name: "group", Values: []string{g.Name}, Source: g.Source, Since: g.Time})
	}
	for _, name := range slices.Sorted(maps.Keys(v.Attributes)) {
		attribute := v.Attributes[name]
		a.Facts = append(a.Facts, demo.Fact{Name: name, Values: attribute.Values, Source: attribute.Source, Since: attribute.Time})
	}
	for _, l := range v.Links {
		a.Links = append(a.Links, fmt.Sprintf("%s, subject %s", l.Connection, l.Subject))
	}
	return a, true, nil
}
