package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/provision"
	"gatehouse/test/servers"
)

// perName is how many answers to known names are compared with as many to
// unknown ones.
const perName = 300

// BenchmarkAnswerTimes measures whether the time of an answer tells that a name
// is somebody's: wrong passwords and forgotten ones, for names that are known
// and that are not, each once and from a client of its own, so that no throttle
// answers. It goes through the listener of a whole gateway:
//
//	go test -run '^$' -bench AnswerTimes -benchtime 1x ./cmd/gatehouse
//
// It reports the medians in microseconds, the p-value of a Mann-Whitney U test,
// and how often an answer to a known name is the slower of two (50 %: it tells
// nothing), and fails where p is below 0.001.
func BenchmarkAnswerTimes(b *testing.B) {
	for _, c := range []struct {
		name, path string
		form       url.Values
		status     int
		known      func(*testing.B, *app, string)
	}{
		{"wrong password", "/oauth2/sign_in", url.Values{"password": {"wrong but long enough"}}, http.StatusUnauthorized, addKnown},
		{"no password", "/oauth2/sign_in", url.Values{"password": {"wrong but long enough"}}, http.StatusUnauthorized, addBare},
		{"forgotten password", "/oauth2/reset", url.Values{}, http.StatusOK, addKnown},
	} {
		b.Run(c.name, func(b *testing.B) {
			a, base := serveApp(b)
			for round := range b.N {
				var names []string
				for i := range perName {
					name := fmt.Sprintf("known-%03d-%06d", round, i)
					c.known(b, a, name)
					names = append(names, name, fmt.Sprintf("wrong-%03d-%06d", round, i))
				}
				// In no order: what one request leaves to do for the next, or the
				// machine does beside it, falls upon both alike.
				rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
				var known, unknown []float64
				b.ResetTimer()
				for i, name := range names {
					c.form.Set("username", name)
					took := ask(b, base+c.path, c.form, fmt.Sprintf("198.18.%d.%d", (round*len(names)+i)>>8&255, i&255), c.status)
					if strings.HasPrefix(name, "known") {
						known = append(known, took)
					} else {
						unknown = append(unknown, took)
					}
				}
				b.StopTimer()
				slower, p := mannWhitney(known, unknown)
				b.ReportMetric(median(known), "known-µs")
				b.ReportMetric(median(unknown), "unknown-µs")
				b.ReportMetric(100*slower, "known-slower-%")
				b.ReportMetric(p, "p")
				if p < 0.001 {
					b.Errorf("the time of an answer tells whether a name is known: p = %.2g", p)
				}
			}
		})
	}
}

// ask posts a form and returns how long the answer took, in microseconds.
func ask(b *testing.B, target string, form url.Values, client string, status int) float64 {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("X-Forwarded-For", client)
	began := time.Now()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	took := time.Since(began)
	if err := res.Body.Close(); err != nil {
		b.Fatal(err)
	}
	if err != nil || res.StatusCode != status {
		b.Fatalf("%s for %s: %d, %v", target, form.Get("username"), res.StatusCode, err)
	}
	return float64(took.Nanoseconds()) / 1e3
}

// serveApp runs a gateway that believes what is said of clients, until the
// benchmark ends.
func serveApp(b *testing.B) (a *app, base string) {
	b.Helper()
	addr := servers.FreeAddr(b)
	path := b.TempDir() + "/config.yaml"
	text := fmt.Sprintf("server: {listen: %q, public_url: \"http://%s\", trusted_proxies: [127.0.0.1/32]}\n", addr, addr) + routesText +
		"mail: {address: \"127.0.0.1:9\", from: gate@acme.example}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cfg, _, err := config.Load(path, os.LookupEnv)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if a, err = openApp(ctx, cfg, slog.New(slog.DiscardHandler), ""); err != nil {
		b.Fatal(err)
	}
	listens, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- a.serve(ctx, func(context.Context) error { close(listens); return nil }) }()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	select {
	case <-listens:
	case err := <-done:
		b.Fatal(err)
	}
	return a, "http://" + addr
}

// addBare adds an account without a password.
func addBare(b *testing.B, a *app, name string) { add(b, a, name) }

// addKnown adds an account with a password.
func addKnown(b *testing.B, a *app, name string) {
	if err := a.passwords.SetPassword(b.Context(), add(b, a, name), "a long and good password of somebody"); err != nil {
		b.Fatal(err)
	}
}

func add(b testing.TB, a *app, name string) (id string) {
	b.Helper()
	v, err := a.directory.Add(b.Context(), provision.New{Username: name, Email: name + "@acme.example"})
	if err != nil {
		b.Fatal(err)
	}
	return v.ID
}

// mannWhitney tests whether two samples come from one distribution: how likely
// a value of x is above one of y, and the probability that chance alone brings
// that as far from one half, by the normal approximation, which is good for
// more than twenty of each. Times are so fine that none is there twice, so that
// ties need no correction.
func mannWhitney(x, y []float64) (above, p float64) {
	u := 0.0
	for _, a := range x {
		for _, b := range y {
			switch {
			case a > b:
				u++
			case a == b:
				u += 0.5
			}
		}
	}
	n, m := float64(len(x)), float64(len(y))
	z := (u - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
	return u / (n * m), math.Erfc(math.Abs(z) / math.Sqrt2)
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// The test finds a difference where there is one, and none where there is none.
func TestMannWhitney(t *testing.T) {
	even := func(from, step float64) (x []float64) {
		for i := range perName {
			x = append(x, from+step*float64(i))
		}
		return x
	}
	for _, c := range []struct {
		name         string
		x, y         []float64
		above, least float64
		most         float64
	}{
		{"the same", even(0, 1), even(0, 1), 0.5, 0.999, 1},
		{"between one another", even(0, 1), even(0.5, 1), 0.498, 0.9, 1},
		{"a tenth later", even(30, 1), even(0, 1), 0.595, 1e-6, 1e-3},
		{"a tenth earlier", even(0, 1), even(30, 1), 0.405, 1e-6, 1e-3},
		{"all later", even(1000, 1), even(0, 1), 1, 0, 1e-90},
	} {
		above, p := mannWhitney(c.x, c.y)
		if math.Abs(above-c.above) > 0.001 || p < c.least || p > c.most {
			t.Errorf("%s: above %.4f, want %.4f; p %g, want between %g and %g", c.name, above, c.above, p, c.least, c.most)
		}
	}
}
