package config

import (
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"A": "a", "B_2": "b", "EMPTY": "", "NESTED": "${A}", "YAML": "[x]\nkey: value"}[name]
		return value, ok
	}
	for _, tt := range []struct {
		name, in, want string
		wrong          int
	}{
		{"nothing", "", "", 0},
		{"plain", "plain $A $ { } $(A) }", "plain $A $ { } $(A) }", 0},
		{"one", "${A}", "a", 0},
		{"several", "<${A}${B_2}>${A}", "<ab>a", 0},
		{"empty is a value", "<${EMPTY}>", "<>", 0},
		{"default where unset", "${NO:-x}", "x", 0},
		{"default where empty", "${EMPTY:-x}", "x", 0},
		{"default where set", "${A:-x}", "a", 0},
		{"empty default", "<${NO:-}>", "<>", 0},
		{"default with colons", "${NO:-a:-b:c}", "a:-b:c", 0},
		{"unset", "<${NO}>", "<>", 1},
		{"each unset one", "${NO}${A}${NO2}", "a", 2},
		{"a value is not expanded again", "${NESTED}", "${A}", 0},
		{"a value stays one value", "${YAML}", "[x]\nkey: value", 0},
		{"escape", "$${A}", "${A}", 0},
		{"escape, then one", "$${A}${A}", "${A}a", 0},
		{"dollar, then escape", "$$${A}", "$${A}", 0},
		{"two dollars", "$$A", "$$A", 0},
		{"not closed", "x${A", "x", 1},
		{"nested", "${NO:-${A}}", "}", 1},
		{"no name", "${}", "", 1},
		{"bad name", "${1A}${A-B}${A:x}", "", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, wrong := expand(tt.in, env)
			if got != tt.want || len(wrong) != tt.wrong {
				t.Errorf("got %q with %v, want %q with %d", got, wrong, tt.want, tt.wrong)
			}
		})
	}
}

// A variable can hold whatever its author wants, such as a branch name in a
// build: it must never add a key, an item or a line to the file.
func TestVariablesCannotChangeStructure(t *testing.T) {
	hostile := "x\n  - {path: /, upstream: \"static:200\", access: public}"
	env := func(string) (string, bool) { return hostile, true }
	c, _, err := Parse("c.yaml", []byte("routes:\n  - {path: /, upstream: \"static:202\", access: {users: [\"${U}\"]}}\n"), env)
	if err == nil {
		t.Fatalf("accepted: %+v", c)
	}
	env = func(string) (string, bool) { return "a, b], x: [c", true }
	c, _, err = Parse("c.yaml", []byte("routes:\n  - {path: /, upstream: \"static:202\", access: {users: [\"${U}\", z]}}\n"), env)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Routes[0].Access.Users, "|"); got != "a, b], x: [c|z" {
		t.Errorf("users are %s", got)
	}
}
