package provision

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// entries makes a log of "decision<prev" words.
func logOf(t *testing.T, words string, at time.Time) historyLog {
	t.Helper()
	l := historyLog{Version: accountVersion}
	for _, w := range strings.Fields(words) {
		decision, prev, _ := strings.Cut(w, "<")
		l.Entries = append(l.Entries, HistoryEntry{Decision: decision, Prev: prev, Time: at})
	}
	return l
}

func (l historyLog) words() string {
	var words []string
	for _, e := range l.Entries {
		words = append(words, e.Decision+"<"+e.Prev)
	}
	return strings.Join(words, " ")
}

// The account was at o, and went on to 1, 2, 3.
func TestHistoryLogAppend(t *testing.T) {
	now := newClock().Now()
	var crowd, long, pushed []string
	for i := range maxWaiting {
		crowd = append(crowd, fmt.Sprintf("w%d<1", i))
	}
	for i := range maxHistory {
		long = append(long, fmt.Sprintf("%d<%d", i+1, i))
		pushed = append(pushed, fmt.Sprintf("%d<%d", i+2, i+1))
	}
	tests := []struct {
		name, log, entry, want string
		age                    time.Duration // of what is in the log
		err                    error
	}{
		{"the first", "", "1<o", "1<o", 0, nil},
		{"the next", "1<o", "2<1", "1<o 2<1", 0, nil},
		{"again after a conflict", "1<o x<o", "x<1", "1<o x<1", 0, nil},
		{"again, because somebody's announcement was cleared", "1<o x<1", "x<1", "1<o x<1", 0, nil},
		// Its owner may be about to make the change: without the entry, it would be in no history.
		{"another waits", "1<o w<1", "2<1", "1<o w<1 2<1", 0, nil},
		{"another has waited for an hour", "1<o w<1", "2<1", "1<o w<1 2<1", time.Hour, nil},
		{"the others have lost", "1<o w<o v<o 2<1", "3<2", "1<o 2<1 3<2", 0, nil},
		{"of the first there is nothing to judge a latecomer by", "v<o 2<1 w<1", "3<2", "2<1 v<o 3<2", 0, nil},
		// We are slow: others have gone on to 3 from the 1 that we saw.
		{"we are behind", "1<o 2<1 3<2 w<3", "x<1", "1<o 2<1 3<2 w<3 x<1", 0, nil},
		{"we are behind, and our 1 is forgotten", "8<7 9<8", "x<1", "8<7 9<8 x<1", 0, nil},
		{"a crowd is at work", "1<o " + strings.Join(crowd, " "), "2<1", "", 0, errBusy},
		{"a crowd has died", "1<o " + strings.Join(crowd, " "), "2<1", "1<o 2<1", time.Hour, nil},
		{"it is full", strings.Join(long, " "), "101<100", strings.Join(pushed, " "), 0, nil},
		{"it is full, and others wait", strings.Join(long, " ") + " w<100", "101<100", strings.Replace(strings.Join(pushed, " "), " 101<", " w<100 101<", 1), 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := logOf(t, tt.log, now.Add(-tt.age))
			e := logOf(t, tt.entry, now).Entries[0]
			err := l.append(e, e.Prev)
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if d := cmp.Diff(tt.want, l.words()); err == nil && d != "" {
				t.Errorf("log (-want +got):\n%s", d)
			}
		})
	}
}

func TestHistoryLogChain(t *testing.T) {
	l := logOf(t, "1<o v<o 2<1 w<2 3<2", time.Time{})
	for decision, want := range map[string]string{
		"3": "1<o 2<1 3<2", "2": "1<o 2<1", "o": "", "lost": "", "": "",
	} {
		if got := (historyLog{Entries: l.chain(decision)}).words(); got != want {
			t.Errorf("chain of %q: %q, want %q", decision, got, want)
		}
	}
}

// A record that this binary cannot read is not written over.
func TestHistoryOfAnotherVersion(t *testing.T) {
	for _, value := range []string{`{"v":2,"entries":[]}`, `{`, `[]`} {
		h := newHouse(t, nil)
		o := h.resolve(identity("acme", "alice"))
		if err := h.store.Create(t.Context(), historyKey(o.Account), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := h.directory.History(t.Context(), o.Account); err == nil {
			t.Errorf("%s was read", value)
		}
		if _, err := h.directory.Disable(t.Context(), o.Account); err == nil {
			t.Errorf("%s was written over", value)
		}
		if got := dump(t, h.store)[historyKey(o.Account)]; got != value {
			t.Errorf("%s became %s", value, got)
		}
	}
}
