package soak

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// crowd is people who sign in all the time, each new one first through one
// connection and later through the other, and what they were told.
type crowd struct {
	*field
	prefix string // of their names

	mu       sync.Mutex
	next     int
	told     []signIn // that were acknowledged
	failures map[int]int
	broken   []error // no answer, or one that is never right

	stop func()
}

// signIn is one that was acknowledged.
type signIn struct {
	name, connection string
	began, told      time.Time
}

// settledAfter is how old a sign-in must be before the person comes through the
// other connection.
const settledAfter = time.Second

// gather starts browsers that sign in until the crowd is stopped.
func gather(f *field, prefix string, browsers int) *crowd {
	c := &crowd{field: f, prefix: prefix, failures: map[int]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range browsers {
		wg.Go(func() { c.browse(ctx) })
	}
	c.stop = func() {
		cancel()
		wg.Wait()
	}
	return c
}

func (c *crowd) browse(ctx context.Context) {
	for ctx.Err() == nil {
		name, connection := c.somebody()
		for ctx.Err() == nil && !c.signIn(ctx, name, connection) {
			select {
			case <-time.After(50 * time.Millisecond): // a person presses "try again"
			case <-ctx.Done():
			}
		}
	}
}

// somebody is a new person, or at times one who came a while ago and now comes
// through another connection.
func (c *crowd) somebody() (name, connection string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	if i := len(c.told) / 2; c.next%3 == 0 && i > 0 && time.Since(c.told[i].told) > settledAfter {
		other := connections[0]
		if c.told[i].connection == other {
			other = connections[1]
		}
		return c.told[i].name, other
	}
	name = fmt.Sprintf("%s-%d", c.prefix, c.next)
	c.enrol(name)
	return name, connections[c.next%len(connections)]
}

// signIn reports whether it came through.
func (c *crowd) signIn(ctx context.Context, name, connection string) bool {
	p, err := NewPerson(name)
	if err != nil {
		panic(err) // a cookie jar without options has no way to fail
	}
	began := time.Now()
	err = p.SignIn(ctx, c.front, connection)
	c.mu.Lock()
	defer c.mu.Unlock()
	var status *StatusError
	switch {
	case err == nil:
		c.told = append(c.told, signIn{name, connection, began, time.Now()})
	case ctx.Err() != nil:
	case errors.As(err, &status) && (status.Status < 500 || status.Status == http.StatusServiceUnavailable):
		c.failures[status.Status]++
	default:
		c.broken = append(c.broken, err)
	}
	return err == nil
}

// count is how many sign-ins were acknowledged so far.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.told)
}

// after waits until so many more sign-ins were acknowledged.
func (c *crowd) after(t testing.TB, more int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for want := c.count() + more; c.count() < want; {
		if time.Now().After(deadline) {
			t.Fatalf("%d sign-ins were acknowledged, want %d; failures: %v; %v", c.count(), want, c.failures, errors.Join(c.broken...))
		}
		<-time.After(10 * time.Millisecond)
	}
}

// missing are the acknowledged sign-ins that the accounts know nothing of. Names
// are those of accounts, since nobody has the same one.
func (c *crowd) missing(all []Account) (lost []signIn) {
	known := map[string]bool{}
	for _, a := range all {
		for _, l := range a.Links {
			known[a.Username+" at "+l.Connection] = true
		}
	}
	for _, s := range c.told {
		if !known[s.name+" at "+s.connection] {
			lost = append(lost, s)
		}
	}
	return lost
}

// some are those who signed in like that, and as many others.
func (c *crowd) some(signIns []signIn, others int) (people []*Person) {
	seen := map[string]bool{}
	for _, s := range append(signIns, c.told[max(0, len(c.told)-others):]...) {
		if !seen[s.name] {
			seen[s.name] = true
			people = append(people, &Person{Name: s.name})
		}
	}
	return people
}
