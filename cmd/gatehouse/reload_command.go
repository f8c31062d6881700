package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
)

const reloadUsage = `usage: gatehouse reload [--config config.yaml]

Makes the server that runs with this configuration on this machine take it anew,
and waits until it has. It does so by itself a second after a file has changed;
this command tells what came of it.

  --config F  the file; it says where the server's admin socket is

Exit code 0: the server runs with what is in the file; 1: it refused, for the
reasons that are printed, and goes on as before, or does not answer; 2: usage.
`

// runReload is the command gatehouse reload.
func runReload(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("reload")
	path := flags.String("config", defaultConfig, "")
	if code, done := parseCommand(flags, reloadUsage, args, stdout, stderr); done {
		return code
	}
	cfg, _, err := config.Load(*path, os.LookupEnv)
	if problems := config.Problems(nil); errors.As(err, &problems) {
		code := refusedReload(problems, stdout, stderr)
		fmt.Fprintln(stderr, "It was not asked: so this command reads the file, with the variables of this shell.")
		return code
	}
	if err != nil {
		return failed(stderr, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	code, err := adminsock.Run(ctx, cfg.Server.AdminSocket, adminsock.Command{Args: []string{"reload"}}, stdout, stderr)
	if errors.Is(err, adminsock.ErrNobody) {
		err = fmt.Errorf("no server answers at %s; is it one with another server.admin_socket?", cfg.Server.AdminSocket)
	}
	if err != nil {
		return failed(stderr, err)
	}
	return code
}

// reload executes the same where the server runs.
func (p *process) reload(ctx context.Context, stdout, stderr io.Writer) int {
	if p.reloader == nil {
		return failed(stderr, errors.New("this server has no configuration file of its own"))
	}
	if err := p.reloader.ask(ctx); err != nil {
		return refusedReload(err, stdout, stderr)
	}
	fmt.Fprintf(stderr, "Reloaded %s.\n", p.reloader.watch.Path)
	return exitOK
}

// refusedReload prints what is wrong, as gatehouse check does: a line each.
func refusedReload(err error, stdout, stderr io.Writer) int {
	fmt.Fprintln(stdout, err)
	fmt.Fprintln(stderr, "gatehouse reload: refused; the server goes on with the configuration that it has.")
	return exitFailed
}
