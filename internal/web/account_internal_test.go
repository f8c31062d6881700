package web

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Each event of an account has words of its own on the account page: another
// would be shown as it rests in the history.
func TestEveryEventHasWords(t *testing.T) {
	source, err := os.ReadFile("../../auth/event.go")
	if err != nil {
		t.Fatal(err)
	}
	events := regexp.MustCompile(`Event += "([a-z_]+)"`).FindAllSubmatch(source, -1)
	if len(events) < 10 {
		t.Fatalf("only %d events are read", len(events))
	}
	for _, m := range events {
		if event := string(m[1]); eventName(event) == strings.ReplaceAll(event, "_", " ") {
			t.Errorf("no words for %s", event)
		}
	}
}
