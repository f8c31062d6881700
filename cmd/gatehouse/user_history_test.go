package main

import (
	"errors"
	"log/slog"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
	"gatehouse/provision"
)

func TestWriteHistory(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	value := func(source string, values ...string) *provision.HistoryValue {
		return &provision.HistoryValue{Values: values, Source: source}
	}
	h := provision.History{Truncated: true, Entries: []provision.HistoryEntry{
		{
			Decision: "d1", Time: at, Event: provision.EventCreated, Actor: provision.Actor{Kind: provision.ActorConnection, Name: "acme"},
			More: 1, Changes: []provision.HistoryChange{
				{Field: "username", New: value("", "ada")},
				{Field: "email", New: &provision.HistoryValue{Values: []string{"ada@corp.example"}, Source: "acme", Verified: true}},
			},
		},
		{
			Decision: "d2", Time: at.Add(time.Hour), Event: provision.EventLinked, Why: "the same e-mail\x1b[31m",
			Actor: provision.Actor{Kind: provision.ActorPerson}, More: 2, Changes: []provision.HistoryChange{
				{Field: "links", Source: "partner", Issuer: "https://id.example", Added: value("", "s\r1")},
				{Field: "groups", Source: "partner", Removed: value("", "ops"), Added: &provision.HistoryValue{Values: []string{"a", "b"}, More: 7}},
				{Field: "attribute", Name: "bio", Old: value("local", "short"), New: &provision.HistoryValue{Values: []string{"lo\u202eng"}, Source: "partner", Cut: 3000}},
				{Field: "attribute", Name: "gone", Old: value("acme")},
			},
		},
		{Time: at.Add(2 * time.Hour), Event: string(auth.EventPasswordSet), Actor: provision.Actor{Kind: provision.ActorAdministrator, Name: "root"}},
		{Decision: "d4", Time: at.Add(3 * time.Hour), Event: provision.EventDisabled, Why: "not seen for 90 days", Actor: provision.Actor{Kind: provision.ActorRule, Name: "inactive"}},
		{Decision: "d6", Time: at.Add(4 * time.Hour), Event: provision.EventHistoryLost, Actor: provision.Actor{Kind: provision.ActorDoctor}},
		{Decision: "d5", Time: at.Add(4 * time.Hour), Event: provision.EventChanged, Actor: provision.Actor{Kind: provision.ActorAdministrator}},
	}}
	want := `2026-03-01T09:00:00Z  created by connection acme  [d1]
    username: ada
    email: ada@corp.example (from acme, verified)
    (1 other value that cannot be told any more, or did not fit in)
Earlier entries were dropped; what the account was when it was made is not known any more.
2026-03-01T10:00:00Z  linked by the person: the same e-mail�[31m  [d2]
    links to partner (https://id.example): added s�1
    groups from partner: removed ops, added a, b (7 more values)
    bio: short (from local) -> lo�ng (from partner, 3000 bytes cut)
    gone: blank (from acme) -> none
    (2 other changes that did not fit in)
2026-03-01T11:00:00Z  password set by administrator root
2026-03-01T12:00:00Z  disabled by rule inactive: not seen for 90 days  [d4]
2026-03-01T13:00:00Z  what happened before was lost, noted by the doctor  [d6]
2026-03-01T13:00:00Z  changed by an administrator  [d5]
`
	var got strings.Builder
	if err := writeHistory(&got, h); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
}

// Whose name stands in the history is not for the environment to say: anybody
// may set that.
func TestAdministrator(t *testing.T) {
	for _, name := range []string{"USER", "LOGNAME", "SUDO_USER", "USERNAME"} {
		t.Setenv(name, "somebody-else")
	}
	uid := strconv.Itoa(os.Geteuid())
	want := "uid " + uid
	if known, err := user.LookupId(uid); err == nil {
		want = known.Username
	}
	if got := administrator(t.Context()); got != want {
		t.Errorf("administrator %q, want %q", got, want)
	}
}

// An enrolment that cannot be noted stands, and the log says so: the person
// holds the factor, and another one would be refused.
func TestEnrolmentIsNoted(t *testing.T) {
	down := false
	st := &storetest.Faulty{Store: &memory.Store{}, Before: func(_, key string) error {
		if down && strings.HasPrefix(key, "history:") {
			return store.Down("write", errors.New("no more room"))
		}
		return nil
	}}
	var log strings.Builder
	s := &state{process: newProcess(st, &store.LocalBus{}, slog.New(slog.NewTextHandler(&log, nil))), cfg: &config.Config{}}
	if err := s.openKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.directory = &provision.Directory{Store: st, Index: s.index, Log: s.log}
	ada, err := s.directory.Add(t.Context(), provision.New{Username: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	last := func() provision.HistoryEntry {
		h, err := s.directory.History(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		return h.Entries[len(h.Entries)-1]
	}
	noted := chronicle{s}

	down = true
	noted.Happened(t.Context(), ada.ID, auth.EventFactorEnrolled, "totp")
	down = false
	if last := last(); last.Event != provision.EventCreated || !strings.Contains(log.String(), "could not be noted") {
		t.Errorf("%+v; log: %s", last, log.String())
	}
	noted.Happened(t.Context(), ada.ID, auth.EventFactorEnrolled, "totp")
	if e := last(); e.Event != string(auth.EventFactorEnrolled) || e.Actor.Kind != provision.ActorPerson || e.Why != "totp" {
		t.Errorf("%+v", e)
	}
}

// An event without words of its own would be printed as it rests in the history.
func TestEveryEventHasAHeadline(t *testing.T) {
	source, err := os.ReadFile("../../auth/event.go")
	if err != nil {
		t.Fatal(err)
	}
	events := regexp.MustCompile(`Event += "([a-z_]+)"`).FindAllSubmatch(source, -1)
	if len(events) < 10 {
		t.Fatalf("only %d events are read", len(events))
	}
	for _, m := range events {
		if event := string(m[1]); strings.HasPrefix(headline(provision.HistoryEntry{Event: event}), event) {
			t.Errorf("no words for %s", event)
		}
	}
}
