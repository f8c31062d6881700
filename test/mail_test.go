package test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/test/servers"
)

// mailing is a gateway with local accounts whose mails go to s.
func mailing(t testing.TB, s *servers.SMTP, more string) *servers.Gateway {
	t.Helper()
	return servers.NewGateway(t, binary, localOnly(servers.StartApp(t).URL, mailTo(s, more)))
}

// mailTo is the mail of a config whose server is s. More are further keys, with
// a comma before each.
func mailTo(s *servers.SMTP, more string) string {
	security := "tls: none"
	if s.CA != "" {
		security = "ca_file: " + s.CA
	}
	return fmt.Sprintf("mail: {address: %q, from: \"Acme <gate@acme.example>\", %s%s}", s.Addr, security, more)
}

// mailInQueue is an entry of gatehouse mail list --json.
type mailInQueue struct {
	ID, Kind, To, State, Error string
	Attempts                   int
}

func queued(t testing.TB, g *servers.Gateway) []mailInQueue {
	t.Helper()
	var all []mailInQueue
	decode(t, run(t, g, "mail", "list", "--json"), &all)
	return all
}

// TestWhatAnAdministratorDoesIsMailed: somebody whose password is changed by
// another hears of it, over TLS that only the configured authority vouches for.
func TestWhatAnAdministratorDoesIsMailed(t *testing.T) {
	t.Parallel()
	s := servers.NewSMTP(t, true)
	s.Username, s.Password = "gate", "hunter2"
	s.Start(t)
	g := mailing(t, s, ", username: gate, password: hunter2")
	g.Start(t)
	addUser(t, g, "ada", "--email", "ada@corp.example")
	addUser(t, g, "nobody") // has no address
	mails := s.Wait(t, 1)
	got := mails[0]
	if got.To != "ada@corp.example" || !got.Secure || got.User != "gate" {
		t.Errorf("got %+v", got)
	}
	for _, want := range []string{"A password was set", "ada", "an administrator", " UTC", g.URL} {
		if !strings.Contains(got.Text, want) || !strings.Contains(got.HTML, want) {
			t.Errorf("the mail does not have %q:\n%s", want, got.Text)
		}
	}
	if left := queued(t, g); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

// TestAPageDoesNotWaitForTheMails: somebody enrols while the server of mails
// takes connections and says nothing, and hears of it once it does.
func TestAPageDoesNotWaitForTheMails(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	s.Hang(true)
	g := mailing(t, s, "")
	g.Start(t)
	addUser(t, g, "ada", "--email", "ada@corp.example")
	start := time.Now()
	newVisitor(t, "203.0.113.7").enrol(g, "ada")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("to enrol took %s", took)
	}
	s.Hang(false)
	for _, m := range s.Wait(t, 2) {
		if !strings.Contains(m.Text, "second factor was added") {
			continue
		}
		if !strings.Contains(m.Text, "Authenticator app") {
			t.Errorf("it does not say which:\n%s", m.Text)
		}
		return
	}
	t.Error("no word of the factor")
}

// TestMailsOutliveADeadServer: what is queued while nobody answers is visible
// to the administrator, and goes out once somebody does, from another process.
func TestMailsOutliveADeadServer(t *testing.T) {
	t.Parallel()
	s := servers.NewSMTP(t, false)
	g := mailing(t, s, "")
	g.Start(t)
	addUser(t, g, "ada", "--email", "ada@corp.example")
	servers.WaitFor(t, "an attempt", func(context.Context) bool {
		all := queued(t, g)
		return len(all) == 1 && all[0].Attempts > 0 && all[0].State == "waiting" && strings.Contains(all[0].Error, "refused")
	})
	if out := run(t, g, "mail", "list"); !strings.Contains(out, "ada@corp.example") || !strings.Contains(out, "password_set") {
		t.Errorf("the list:\n%s", out)
	}
	servers.WaitFor(t, "a line of the log", func(context.Context) bool { return strings.Contains(g.Output(), "a mail could not be sent") })
	g.Stop()
	s.Start(t)
	run(t, g, "mail", "retry", "--all")
	g.Start(t)
	s.Wait(t, 1)
	servers.WaitFor(t, "the list to be empty", func(context.Context) bool { return len(queued(t, g)) == 0 })
}

// TestAMailThatIsRefused: an address that does not exist is not tried for ever,
// and the administrator can drop what waits for it.
func TestAMailThatIsRefused(t *testing.T) {
	t.Parallel()
	s := servers.StartSMTP(t, false)
	s.Refuse(550, "no such user ada@corp.example")
	g := mailing(t, s, "")
	g.Start(t)
	addUser(t, g, "ada", "--email", "ada@corp.example")
	var failed mailInQueue
	servers.WaitFor(t, "a refusal", func(context.Context) bool {
		all := queued(t, g)
		if len(all) == 1 {
			failed = all[0]
		}
		return failed.State == "failed"
	})
	if !strings.Contains(failed.Error, "no such user [recipient]") {
		t.Errorf("got %+v", failed)
	}
	if r := g.Run(t, "", "mail", "drop", "0nothing", "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stderr, "there is no mail") {
		t.Errorf("got %+v", r)
	}
	run(t, g, "mail", "drop", failed.ID)
	if left := queued(t, g); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

// TestMailsOnReplicas: what waits on a Redis is sent once, by whichever replica
// comes first, and by the others when the one that queued it dies.
func TestMailsOnReplicas(t *testing.T) {
	t.Parallel()
	s := servers.NewSMTP(t, false)
	_, replicas := startReplicas(t, 3, localOnly(servers.StartApp(t).URL, mailTo(s, ""),
		redisStore(servers.Redis(t, servers.RedisOptions{}), "gatehouse:")))
	const people = 12
	for i := range people {
		addUser(t, replicas[i%2], fmt.Sprintf("ada%d", i), "--email", fmt.Sprintf("ada%d@corp.example", i))
	}
	servers.WaitFor(t, "an attempt at each mail", func(context.Context) bool {
		all := queued(t, replicas[1])
		tried := slices.DeleteFunc(slices.Clone(all), func(m mailInQueue) bool { return m.Attempts == 0 })
		return len(all) == people && len(tried) == people
	})

	replicas[0].Kill()
	s.Start(t)
	run(t, replicas[2], "mail", "retry", "--all")
	servers.WaitFor(t, "the list to be empty", func(context.Context) bool { return len(queued(t, replicas[1])) == 0 })
	times := map[string]int{}
	for _, m := range s.Mails() {
		times[m.To]++
	}
	for i := range people {
		if to := fmt.Sprintf("ada%d@corp.example", i); times[to] != 1 {
			t.Errorf("%d mails to %s, want one", times[to], to)
		}
	}
}
