package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

func (h *house) history(who string) History {
	h.t.Helper()
	history, err := h.directory.History(h.t.Context(), who)
	if err != nil {
		h.t.Fatalf("History(%s): %v", who, err)
	}
	return history
}

// told is a history in lines.
func told(h History) []string {
	var lines []string
	for _, e := range h.Entries {
		line := strings.TrimSpace(fmt.Sprintf("%s by %s %s", e.Event, e.Actor.Kind, e.Actor.Name))
		if e.Why != "" {
			line += " because " + e.Why
		}
		lines = append(lines, line)
		for _, c := range e.Changes {
			line := "  " + strings.TrimSpace(strings.Join([]string{c.Field, c.Name, c.Source, c.Issuer}, " ")) + ":"
			for _, v := range []struct {
				sign string
				*HistoryValue
			}{{"was", c.Old}, {"is", c.New}, {"-", c.Removed}, {"+", c.Added}} {
				if v.HistoryValue != nil {
					line += fmt.Sprintf(" %s %s", v.sign, strings.Join(v.Values, ","))
					if v.Source != "" {
						line += " (" + v.Source + ")"
					}
					if v.Verified {
						line += " verified"
					}
				}
			}
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return lines
}

func TestHistoryTellsTheStory(t *testing.T) {
	operator := func(ctx context.Context) context.Context {
		return WithActor(ctx, Actor{Kind: ActorAdministrator, Name: "root"}, "")
	}
	tests := []struct {
		name string
		do   func(h *house)
		want []string
	}{
		{
			"came through a connection, and again", func(h *house) {
				h.resolve(identity("acme", "alice"))
				h.resolve(identity("acme", "alice"))
			},
			[]string{
				"created by connection acme", "username: is alice", "email: is alice@people.example (acme) verified",
				"links acme https://acme.example: + alice", "groups acme: + staff",
				"attribute department: is research (acme)", "attribute name: is Name of alice (acme)",
			},
		},
		{
			"changed at the provider", func(h *house) {
				h.resolve(identity("acme", "alice", email("", false), attributes(map[string][]string{"a": {"1"}, "b": {"2"}})))
				h.resolve(identity("acme", "alice", email("", false), groups("ops", "dev"), attributes(map[string][]string{"a": {"1", "3"}, "c": {}})))
			},
			[]string{
				"created by connection acme", "username: is alice", "links acme https://acme.example: + alice", "groups acme: + staff",
				"attribute a: is 1 (acme)", "attribute b: is 2 (acme)",
				"changed by connection acme because the identity is linked to it", "groups acme: - staff + ops,dev",
				"attribute a: was 1 (acme) is 1,3 (acme)", "attribute b: was 2 (acme)", "attribute c: is (acme)",
			},
		},
		{
			"another e-mail, whose announcement is no change", func(h *house) {
				id := identity("acme", "alice", groups(), attributes(map[string][]string{"a": {"1"}}))
				h.resolve(id)
				id.Email = "al@people.example"
				h.resolve(id)
			},
			[]string{
				"created by connection acme", "username: is alice", "email: is alice@people.example (acme) verified",
				"links acme https://acme.example: + alice", "attribute a: is 1 (acme)",
				"changed by connection acme because the identity is linked to it",
				"email: was alice@people.example (acme) verified is al@people.example (acme) verified",
			},
		},
		{
			"added, linked and cut off", func(h *house) {
				v, err := h.directory.Add(operator(h.t.Context()), New{Username: "al", Email: "alice@people.example"})
				if err != nil {
					h.t.Fatal(err)
				}
				h.resolve(identity("partner", "alice", attributes(map[string][]string{"a": {"1"}})))
				if _, err := h.directory.Unlink(operator(h.t.Context()), v.ID, "partner", nil); err != nil {
					h.t.Fatal(err)
				}
			},
			[]string{
				"created by administrator root", "username: is al", "email: is alice@people.example (local) verified",
				"linked by connection partner because it has the same verified e-mail",
				"links partner https://partner.example: + alice", "groups partner: + staff", "attribute a: is 1 (partner)",
				"unlinked by administrator root", "links partner https://partner.example: - alice", "groups partner: - staff",
			},
		},
		{
			"linked by the person's own proof", func(h *house) {
				h.conn("acme").JIT.LinkExisting = config.LinkConfirm
				h.open()
				v := h.add(New{Username: "al", Email: "alice@people.example"})
				h.creds.passwords[v.ID] = true
				h.resolve(identity("acme", "alice")) // must be proved: no change
				id := identity("acme", "alice", groups(), attributes(map[string][]string{"a": {"1"}}))
				if _, err := h.resolver.ResolveConfirmed(h.t.Context(), id, v.ID); err != nil {
					h.t.Fatal(err)
				}
			},
			[]string{
				"created by administrator", "username: is al", "email: is alice@people.example (local) verified",
				"linked by person because it has the same verified e-mail, and the person has proved it",
				"links acme https://acme.example: + alice", "attribute a: is 1 (acme)",
			},
		},
		{
			"an administrator's day", func(h *house) {
				ctx, d := operator(h.t.Context()), h.directory
				v := h.add(New{Username: "al", Groups: []string{"ops"}, Attributes: map[string][]string{"a": {"1"}}})
				mail, groups := "al@people.example", []string{"dev"}
				edit := Edit{Email: &mail, Groups: &groups, Attributes: map[string][]string{"b": {"2"}}, Unset: []string{"a"}}
				_, err := d.Set(ctx, v.ID, edit)
				_, again := d.Set(ctx, v.ID, Edit{Email: &mail, Groups: &groups}) // nothing left to do
				_, noted := d.Note(ctx, v.ID, auth.EventPasswordSet)
				_, disabled := d.Disable(WithActor(ctx, Actor{Kind: ActorRule, Name: "inactive"}, "not seen for 90 days"), v.ID)
				_, reset := d.Note(ctx, v.ID, auth.EventFactorsReset)
				_, enabled := d.Enable(ctx, v.ID)
				_, enrolled := d.Note(WithActor(ctx, Actor{Kind: ActorPerson}, ""), v.ID, auth.EventFactorEnrolled)
				if err := errors.Join(err, again, noted, disabled, reset, enabled, enrolled); err != nil {
					h.t.Fatal(err)
				}
			},
			[]string{
				"created by administrator", "username: is al", "groups local: + ops", "attribute a: is 1 (local)",
				"changed by administrator root", "email: is al@people.example (local) verified", "groups local: - ops + dev",
				"attribute a: was 1 (local)", "attribute b: is 2 (local)",
				"password_set by administrator root",
				"disabled by rule inactive because not seen for 90 days", "status: was active is disabled",
				"second_factors_reset by administrator root",
				"enabled by administrator root", "status: was disabled is active",
				"second_factor_enrolled by person",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t, nil)
			tt.do(h)
			live := audit(t, h)
			if len(live) != 1 {
				t.Fatalf("%d accounts", len(live))
			}
			history := h.history(live[0].ID)
			got := told(history)
			for i := range got {
				got[i] = strings.TrimSpace(got[i])
			}
			if d := cmp.Diff(tt.want, got); d != "" || history.Truncated {
				t.Errorf("truncated: %v; history (-want +got):\n%s", history.Truncated, d)
			}
		})
	}
}

// The decision that a sign-in answers with is the one in the history, and each
// answer has one: a person reads it out from a page, an administrator looks it
// up.
func TestDecisions(t *testing.T) {
	h := newHouse(t, nil)
	h.conn("partner").JIT.Create = false
	h.open()
	seen := map[string]bool{}
	fresh := func(decision string) {
		t.Helper()
		if decision == "" || seen[decision] {
			t.Errorf("decision %q is none, or was made before", decision)
		}
		seen[decision] = true
	}
	first := h.resolve(identity("acme", "alice"))
	same := h.resolve(identity("acme", "alice"))
	later := h.resolve(identity("acme", "alice", groups("ops")))
	passed := h.resolve(identity("guest", "alice"))
	local := h.resolve(auth.Identity{Connection: auth.Local, Subject: first.Account})
	for _, o := range []auth.Outcome{first, same, later, passed, local} {
		fresh(o.Decision)
	}
	for _, id := range []auth.Identity{
		identity("partner", "bob"), identity("unknown", "bob"), {Connection: auth.Local, Subject: "nobody"},
	} {
		_, err := h.resolver.Resolve(t.Context(), id)
		denied, ok := errors.AsType[*auth.Denied](err)
		if !ok {
			t.Fatalf("%v", err)
		}
		fresh(denied.Decision)
	}
	entries := h.history("alice").Entries
	if len(entries) != 2 || entries[0].Decision != first.Decision || entries[1].Decision != later.Decision || entries[1].Prev != first.Decision {
		t.Errorf("decisions %q and %q, history %+v", first.Decision, later.Decision, entries)
	}
	v, err := h.directory.Disable(t.Context(), "alice")
	if err != nil || v.Decision != h.history("alice").Entries[2].Decision {
		t.Errorf("%+v, %v", v, err)
	}
	fresh(v.Decision)
	noted, err := h.directory.Note(t.Context(), first.Account, auth.EventPasswordSet)
	if err != nil || noted != h.history("alice").Entries[3].Decision {
		t.Errorf("%q, %v", noted, err)
	}
	fresh(noted)
}

// What anybody can make grow has a bound: a provider that changes a value at
// each sign-in, or sends huge ones, fills no store.
func TestHistoryIsBounded(t *testing.T) {
	sets := func(n int, values func(i int) map[string][]string) func(h *house) {
		return func(h *house) {
			for i := range n {
				h.resolve(identity("acme", "alice", attributes(values(i))))
			}
		}
	}
	tests := []struct {
		name    string
		do      func(h *house)
		entries int // 0: as many as fit
	}{
		{"many changes", sets(130, func(i int) map[string][]string { return map[string][]string{"n": {fmt.Sprint(i)}} }), maxHistory + 1},
		{"exactly as many as fit", sets(maxHistory+1, func(i int) map[string][]string { return map[string][]string{"n": {fmt.Sprint(i)}} }), maxHistory + 1},
		{"long values", sets(90, func(i int) map[string][]string {
			return map[string][]string{"n": {fmt.Sprint(i) + strings.Repeat("ä", 50_000)}, "m": {strings.Repeat("<", 100) + fmt.Sprint(i)}}
		}), 0},
		{"many attributes", sets(60, func(i int) map[string][]string {
			all := map[string][]string{}
			for n := range 300 {
				all[fmt.Sprint("a", n)] = []string{fmt.Sprint(i, strings.Repeat("x", 100))}
			}
			return all
		}), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t, nil)
			tt.do(h)
			audit(t, h)
			history := h.history("alice")
			if n := len(history.Entries); tt.entries > 0 && n != tt.entries || n < 5 {
				t.Errorf("%d entries", n)
			}
			exact := tt.name == "exactly as many as fit"
			if history.Truncated == exact || (len(history.Entries[0].Changes) == 0) == exact || history.Entries[0].Event != EventCreated {
				t.Errorf("truncated: %v; %q", history.Truncated, told(history)[:2])
			}
			if n := len(dump(t, h.store)[historyKey(history.Account)]); n > maxHistoryBytes+100 {
				t.Errorf("the record has %d bytes", n)
			}
		})
	}
}

func TestHistoryCutsValues(t *testing.T) {
	h := newHouse(t, nil)
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprint("g", i))
	}
	h.resolve(identity("acme", "alice"))
	h.resolve(identity("acme", "alice", groups(append(many, strings.Repeat("long", 100))...),
		attributes(map[string][]string{"bio": {strings.Repeat("x", 255) + "äöü"}, "list": many})))
	audit(t, h)
	history := h.history("alice")
	changes := map[string]HistoryChange{}
	for _, c := range history.Entries[1].Changes {
		changes[c.Field+c.Name] = c
	}
	if v := changes["attributebio"].New; v == nil || v.Values[0] != strings.Repeat("x", 255) || v.Cut != len("äöü") {
		t.Errorf("a long value, cut in the middle of a character: %+v", v)
	}
	if v := changes["attributelist"].New; v == nil || len(v.Values) != maxValues || v.More != 20-maxValues {
		t.Errorf("a long list: %+v", v)
	}
	if v := changes["groups"].Added; v == nil || len(v.Values) != maxValues || v.More != 21-maxValues {
		t.Errorf("many groups: %+v", v)
	}
	// Which of the groups were there before can no longer be told: history says
	// so, and claims nothing.
	born := history.Entries[0]
	if born.More != 1 || slices.ContainsFunc(born.Changes, func(c HistoryChange) bool { return c.Field == fieldGroups }) {
		t.Errorf("creation: %+v", born)
	}
}

func TestHistoryOfNobody(t *testing.T) {
	h := newHouse(t, nil)
	if _, err := h.directory.History(t.Context(), "nobody"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := h.directory.Note(t.Context(), "nobody", auth.EventPasswordSet); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("%v", err)
	}
	m := &mortal{left: 1}
	d, _ := h.replica(m.store(h.store))
	if _, err := d.History(t.Context(), "nobody"); !errors.Is(err, auth.ErrStoreDown) {
		t.Errorf("%v", err)
	}
}
