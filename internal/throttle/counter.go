package throttle

import (
	"encoding/json"
	"maps"
	"time"
)

// After so many attempts an account waits, then twice as long after each one,
// up to the longest delay. A client waits likewise, after many more: a whole
// company may be behind one address.
const (
	Free       = 5
	FreeClient = 100
	first      = 2 * time.Second
	longest    = 15 * time.Minute
)

// How long a counter outlives the last attempt. Waiting a counter out must not
// be quicker than waiting for the lock to end: with the defaults, sitting just
// below the limit gives 5 guesses an hour and sitting on it 4.
const (
	quietFree   = time.Hour     // while no attempt had to wait yet
	quietLocked = 4 * time.Hour // once one had to; counted from the end of the lock
)

// counters is the record of an account, or of one of its devices. The logins
// are those that name the account: its username and its e-mail addresses, by
// their hashes; a stranger cannot make more of them. One record holds them all
// so that all are forgotten at once, and looking costs the same for everybody.
type counters struct {
	All    counter            `json:"all"`
	Logins map[string]counter `json:"logins,omitempty"`
}

// counter counts attempts.
type counter struct {
	Count int       `json:"count,omitzero"`
	Until time.Time `json:"until,omitzero"` // no attempt before it
	Ends  time.Time `json:"ends,omitzero"`  // it is forgotten then
}

// span is what an attempt did to a counter's Until.
type span struct{ before, after time.Time }

// decode reads a record without the counters that are over: whatever else
// keeps the record, each must end as it would alone, or how long a login is
// remembered would tell that another names the same account. A record that is
// missing counts as fresh; so does one that cannot be read, which only
// somebody who can write the store can cause.
func decode(value []byte, now time.Time) counters {
	var c counters
	if json.Unmarshal(value, &c) != nil {
		c = counters{}
	}
	if !now.Before(c.All.Ends) {
		c.All = counter{}
	}
	maps.DeleteFunc(c.Logins, func(_ string, of counter) bool { return !now.Before(of.Ends) })
	if c.Logins == nil {
		c.Logins = map[string]counter{}
	}
	return c
}

// ends is when the last counter is over.
func (c counters) ends() time.Time {
	last := c.All.Ends
	for _, of := range c.Logins {
		if of.Ends.After(last) {
			last = of.Ends
		}
	}
	return last
}

func (c counters) empty() bool {
	for _, of := range c.Logins {
		if of.Count > 0 {
			return false
		}
	}
	return c.All.Count == 0
}

// add counts one attempt at an account.
func (c counter) add(now time.Time) (counter, span) {
	s := span{before: c.Until}
	c.Count++
	c.Ends = now.Add(quietFree)
	if wait := delay(c.Count, Free); wait > 0 {
		c.Until = now.Add(wait)
		c.Ends = c.Until.Add(quietLocked)
	}
	s.after = c.Until
	return c, s
}

// addClient counts one attempt of a client. The free ones are those of an hour:
// behind one address there may be people who mistype all day long.
func (c counter) addClient(now time.Time) (counter, span) {
	s := span{before: c.Until}
	if c.Count == 0 {
		c.Ends = now.Add(quietFree)
	}
	c.Count++
	if wait := delay(c.Count, FreeClient); wait > 0 {
		c.Until = now.Add(wait)
		if c.Until.After(c.Ends) {
			c.Ends = c.Until
		}
	}
	s.after = c.Until
	return c, s
}

// remove takes one attempt back, and what it made the next ones wait.
func (c counter) remove(s span) counter {
	if c.Count <= 1 {
		return counter{}
	}
	c.Count--
	if c.Until.Equal(s.after) {
		c.Until = s.before
	}
	return c
}

// delay is how long others wait after the attempt with this number.
func delay(count, free int) time.Duration {
	over := count - free
	if over < 0 {
		return 0
	}
	delay := first
	for ; over > 0 && delay < longest; over-- {
		delay *= 2
	}
	return min(delay, longest)
}
