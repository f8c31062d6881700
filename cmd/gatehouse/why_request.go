package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
	"gatehouse/proxy"
)

// recall asks the running server, which alone remembers.
func (f *whyFlags) recall(args []string, stdout, stderr io.Writer) int {
	cfg, _, err := config.Load(f.config, os.LookupEnv)
	if err != nil {
		return failed(stderr, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	code, err := adminsock.Run(ctx, cfg.Server.AdminSocket, adminsock.Command{Args: append([]string{"why"}, args...)}, stdout, stderr)
	if errors.Is(err, adminsock.ErrNobody) {
		err = fmt.Errorf("no server answers at %s; what was decided is remembered by the server that decided it, while it runs", cfg.Server.AdminSocket)
	}
	if err != nil {
		return failed(stderr, err)
	}
	return code
}

// recalled prints what this server has decided about a request.
func (f *whyFlags) recalled(decisions *proxy.Decisions, stdout, stderr io.Writer) int {
	j, found := decisions.Find(f.request)
	if !found {
		return failed(stderr, errors.New("this server remembers no request with that id: it was too long ago, another server's, or for Gatehouse itself"))
	}
	var err error
	if f.json {
		err = writeJSON(stdout, j)
	} else {
		err = writeJudged(stdout, j)
	}
	if err != nil {
		return failed(stderr, err)
	}
	if d := j.Decision; d != nil && (d.Outcome == proxy.Admitted || d.Outcome == proxy.Public) {
		return exitOK
	}
	return exitFailed
}

func writeJudged(w io.Writer, j proxy.Judged) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s  %s %s%s\n", j.Time.Format(time.RFC3339), printable(j.Method), printable(j.Host), printable(j.Path))
	if a := j.About; a != nil {
		fmt.Fprintf(&text, "about  %s %s%s\n", printable(cmp.Or(a.Method, "?")), printable(cmp.Or(a.Host, "?")), printable(cmp.Or(a.Path, "/?")))
	}
	fmt.Fprintf(&text, "from   %s\n", cmp.Or(j.Client, "not known"))
	if j.User != "" {
		fmt.Fprintf(&text, "by     %s, who came in by %s\n", printable(j.User), printable(j.Connection))
	}
	fmt.Fprintf(&text, "answer %d, %s\n", j.Status, cmp.Or(j.Reason, j.Verdict))
	if j.Detail != "" {
		fmt.Fprintf(&text, "       %s\n", printable(j.Detail))
	}
	if d := j.Decision; d != nil {
		if d.Route != "" {
			fmt.Fprintf(&text, "route  %s, line %d of the configuration of then\n", printable(d.Route), d.Line)
		}
		writeDecision(&text, *d)
	}
	_, err := io.WriteString(w, text.String())
	return err
}
