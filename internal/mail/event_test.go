package mail

import (
	"os"
	"regexp"
	"testing"

	"gatehouse/auth"
)

// The owner of an account is told of every event, but for those that open nothing
// to anybody: a set-up link is told of when it is used.
func TestEveryEventIsTold(t *testing.T) {
	source, err := os.ReadFile("../../auth/event.go")
	if err != nil {
		t.Fatal(err)
	}
	events := regexp.MustCompile(`Event += "([a-z_]+)"`).FindAllSubmatch(source, -1)
	if len(events) < 10 {
		t.Fatalf("only %d events are read", len(events))
	}
	silent := map[auth.Event]bool{auth.EventSetupLink: true, auth.EventUnlocked: true, auth.EventEnrolmentForced: true}
	for _, m := range events {
		event := auth.Event(m[1])
		if said, told := happened(event, ""); told == silent[event] || told && (said.subject == "" || said.said == "") {
			t.Errorf("%s: told %v, %+v", event, told, said)
		}
	}
}
