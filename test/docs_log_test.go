package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// documentedEvents are the rows of the tables of docs/operations.md that say
// what is in the log: the keys of each event, those that are always there and
// those that may be alike.
func documentedEvents(t testing.TB) (requests, decisions map[string][]string) {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## What the log says\n")
	first, second, two := strings.Cut(section, "\nDecisions, ")
	second, _, three := strings.Cut(second, "\n`duration`")
	if !found || !two || !three {
		t.Fatal("docs/operations.md has no tables of the log")
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := func(table string) map[string][]string {
		all := map[string][]string{}
		for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\| (.*?) \\|").FindAllStringSubmatch(table, -1) {
			var keys []string
			for _, key := range quoted.FindAllStringSubmatch(row[2], -1) {
				keys = append(keys, key[1])
			}
			for _, event := range quoted.FindAllStringSubmatch(row[1], -1) {
				all[event[1]] = keys
			}
		}
		return all
	}
	return rows(first), rows(second)
}

// auditCall is where an event is written; what stands between the parentheses
// and the event is the same everywhere.
var (
	auditCall = regexp.MustCompile(`(?:auditlog\.Write|\.audit)\((?:[a-z.]*(?:ctx|Context\(\)), [a-zA-Z.()]+|r|v), ("[^"]+"|[^,)]+)`)
	failCall  = regexp.MustCompile(`\.fail\(w, r, ("[^"]+"|[a-zA-Z]+),`)
)

// TestEventsAreDocumented: each decision that the program writes has a row,
// and each row is written somewhere.
func TestEventsAreDocumented(t *testing.T) {
	_, decisions := documentedEvents(t)
	documented := map[string]bool{}
	for event := range decisions {
		documented[event] = true
	}
	// Where the event is no text of its own: what it can be.
	named := map[string][]string{
		"event":        nil, // handed through by audit and fail
		"signInFailed": {"sign_in_failed"},
		"string(event": {"password_set", "password_reset"},
	}
	written := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || within(s.pkg, "test") {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(s.path)))
		if err != nil {
			t.Fatal(err)
		}
		calls := append(auditCall.FindAllStringSubmatch(string(text), -1), failCall.FindAllStringSubmatch(string(text), -1)...)
		if n := strings.Count(string(text), "auditlog.Write("); n > 0 && len(calls) < n {
			t.Errorf("%s: of %d calls of auditlog.Write %d are understood", s.path, n, len(calls))
		}
		for _, call := range calls {
			event, literal := strings.CutPrefix(call[1], `"`)
			if literal {
				written[strings.TrimSuffix(event, `"`)] = true
				continue
			}
			events, known := named[event]
			if !known {
				t.Errorf("%s writes the event %s, which this test does not know", s.path, event)
			}
			for _, e := range events {
				written[e] = true
			}
		}
	}
	if diff := cmp.Diff(written, documented); diff != "" {
		t.Errorf("events (-written +documented):\n%s", diff)
	}
}

// checkLog fails the test where a line of a gateway's log has a key that is
// not documented, or a decision has no mark.
func checkLog(t testing.TB, output string) {
	t.Helper()
	requests, decisions := documentedEvents(t)
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var got map[string]any
		decode(t, line, &got)
		event, _ := got["msg"].(string)
		keys, known := decisions[event]
		if _, marked := got["audit"]; marked != known {
			t.Errorf("a decision that is documented: %v; marked: %v: %s", known, marked, line)
		}
		if !known {
			if keys, known = requests[event]; !known {
				continue // of the process, in free text
			}
		}
		for key := range got {
			if !slices.Contains([]string{"time", "level", "msg", "audit"}, key) && !slices.Contains(keys, key) {
				t.Errorf("the key %s of %s is not documented: %s", key, event, line)
			}
		}
	}
}
