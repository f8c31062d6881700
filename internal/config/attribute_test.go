package config

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// with returns the first connection of a file that has one, with more keys.
func with(t *testing.T, keys string) *Connection {
	t.Helper()
	c, _ := load(t, "c.yaml", "connections: [{id: a, issuer: 'https://id.example', client_id: x, client_secret: s, "+keys+"}]")
	return &c.Connections[0]
}

// Each way to write the mapping of an attribute.
func TestAttributeForms(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Attribute // without its name
		none     bool
	}{
		{"a path", "x: a.b", Attribute{From: []string{"a.b"}}, false},
		{"a number is a path too", "x: 7", Attribute{From: []string{"7"}}, false},
		{"a list of paths", "x: [b, a]", Attribute{From: []string{"b", "a"}}, false},
		{"from a path", "x: {from: a}", Attribute{From: []string{"a"}}, false},
		{"from a list of paths", "x: {from: [b, a]}", Attribute{From: []string{"b", "a"}}, false},
		{"a constant", "x: {constant: a}", Attribute{Constant: []string{"a"}}, false},
		{"a constant list", "x: {constant: [b, a]}", Attribute{Constant: []string{"b", "a"}}, false},
		{"constants are text", "x: {constant: [0123, true, 2026-01-02]}", Attribute{Constant: []string{"0123", "true", "2026-01-02"}}, false},
		{"a variable", "x: {constant: '${SET}'}", Attribute{Constant: []string{"10.1.0.0/16"}}, false},
		{"a policy", "x: {from: a, mode: preserve, on_absent: keep}", Attribute{From: []string{"a"}, Mode: ModePreserve, OnAbsent: AbsentKeep}, false},
		{"a policy in the other letter case", "x: {from: a, mode: IMPORT_ONCE, on_absent: DELETE_IF_MINE}", Attribute{From: []string{"a"}, Mode: ModeImportOnce, OnAbsent: AbsentDeleteIfMine}, false},
		{"an empty policy", "x: {from: a, mode: '', on_absent: }", Attribute{From: []string{"a"}}, false},
		{"a constant with a mode", "x: {constant: a, mode: session_only}", Attribute{Constant: []string{"a"}, Mode: ModeSessionOnly}, false},
		{"empty", "x: ''", Attribute{}, true},
		{"null", "x: ", Attribute{}, true},
		{"an empty list", "x: []", Attribute{}, true},
		{"an empty variable", "x: '${EMPTY}'", Attribute{}, true},
		{"from nothing", "x: {from: ''}", Attribute{}, true},
		{"from an empty list", "x: {from: [], mode: override}", Attribute{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{"department", AttrName} {
				got, there := with(t, "attributes: {"+name+tt.in[1:]+"}").Attribute(name)
				if there == tt.none {
					t.Fatalf("%s is there: %v", name, there)
				}
				if tt.want.Name = name; tt.none {
					tt.want.Name = ""
				}
				if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("want (-) and got (+):\n%s", diff)
				}
			}
		})
	}
}

// Each of the four known names is left out by an empty path or list, and only
// by that.
func TestKnownAttributesLeftOut(t *testing.T) {
	for _, name := range []string{AttrUsername, AttrEmail, AttrName, AttrGroups} {
		for _, empty := range []string{"''", "[]", "", "{from: []}"} {
			c := with(t, fmt.Sprintf("attributes: {%s: %s, title: t}", name, empty))
			if c.maps(name) || len(c.Attributes) != 4 || !c.maps("title") {
				t.Errorf("%s: %s leaves %v", name, empty, c.Attributes)
			}
		}
	}
}

// The policy of an attribute: what attribute_sync expands into, under what the
// attribute says itself.
func TestPolicy(t *testing.T) {
	for _, tt := range []struct{ sync, attribute, mode, onAbsent string }{
		{SyncOverrideAll, "from: d", ModeOverride, AbsentDelete},
		{SyncPreserveLocal, "from: d", ModeOverride, AbsentDeleteIfMine},
		{SyncNone, "from: d", ModeImportOnce, AbsentKeep},

		{SyncOverrideAll, "from: d, mode: override", ModeOverride, AbsentDelete},
		{SyncPreserveLocal, "from: d, mode: override", ModeOverride, AbsentDeleteIfMine},
		{SyncNone, "from: d, mode: override", ModeOverride, AbsentKeep},

		{SyncOverrideAll, "from: d, mode: preserve", ModePreserve, AbsentDeleteIfMine},
		{SyncPreserveLocal, "from: d, mode: preserve", ModePreserve, AbsentDeleteIfMine},
		{SyncNone, "from: d, mode: preserve", ModePreserve, AbsentDeleteIfMine},

		{SyncOverrideAll, "from: d, mode: import_once", ModeImportOnce, AbsentKeep},
		{SyncPreserveLocal, "from: d, mode: import_once", ModeImportOnce, AbsentKeep},
		{SyncNone, "from: d, mode: import_once", ModeImportOnce, AbsentKeep},

		{SyncOverrideAll, "from: d, mode: session_only", ModeSessionOnly, AbsentDeleteIfMine},
		{SyncPreserveLocal, "from: d, mode: session_only", ModeSessionOnly, AbsentDeleteIfMine},
		{SyncNone, "from: d, mode: session_only", ModeSessionOnly, AbsentDeleteIfMine},

		{SyncOverrideAll, "from: d, on_absent: keep", ModeOverride, AbsentKeep},
		{SyncPreserveLocal, "from: d, on_absent: delete", ModeOverride, AbsentDelete},
		{SyncNone, "from: d, on_absent: delete_if_mine", ModeImportOnce, AbsentDeleteIfMine},
		{SyncOverrideAll, "from: d, mode: override, on_absent: delete_if_mine", ModeOverride, AbsentDeleteIfMine},
		{SyncNone, "from: d, mode: override, on_absent: delete", ModeOverride, AbsentDelete},
		{SyncOverrideAll, "from: d, mode: preserve, on_absent: keep", ModePreserve, AbsentKeep},
		{SyncPreserveLocal, "from: d, mode: preserve, on_absent: delete", ModePreserve, AbsentDelete},
		{SyncOverrideAll, "from: d, mode: import_once, on_absent: delete", ModeImportOnce, AbsentDelete},

		{SyncOverrideAll, "constant: d", ModeOverride, AbsentDelete},
		{SyncNone, "constant: d, mode: preserve", ModePreserve, AbsentDeleteIfMine},
	} {
		t.Run(tt.sync+" "+tt.attribute, func(t *testing.T) {
			c := with(t, "jit: {attribute_sync: "+tt.sync+"}, attributes: {department: {"+tt.attribute+"}}")
			if mode, onAbsent := c.Policy("department"); mode != tt.mode || onAbsent != tt.onAbsent {
				t.Errorf("got %s and %s, want %s and %s", mode, onAbsent, tt.mode, tt.onAbsent)
			}
		})
	}
	// Of one that is not mapped, only what becomes of it counts.
	for sync, want := range map[string]string{SyncOverrideAll: AbsentDelete, SyncPreserveLocal: AbsentDeleteIfMine, SyncNone: AbsentKeep} {
		if _, onAbsent := with(t, "jit: {attribute_sync: "+sync+"}").Policy("department"); onAbsent != want {
			t.Errorf("%s of what is not mapped: %s, want %s", sync, onAbsent, want)
		}
	}
}
