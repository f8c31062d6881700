package main

import (
	"strings"
	"testing"
)

// Attack: a file of accounts that was made by somebody else, or that holds what
// its form did not ask for. However broken it is, its entries are within it, and
// no password or hash of it is told.
func FuzzReadImport(f *testing.F) {
	for _, s := range [][2]string{
		{"# people\r\nada:", "\r\n\nhunter2 hunter2\ncleo:\n"},
		{"", "\nada:x"},
		{`[{"username": "ada", "password_hash": "`, `"},` + "\n" + `{"username": "bea", "groups": 1, "Username": "bea"}]`},
		{`[{"username": "ada", "password_hash": "`, `", "password_hash": "x", "more": 1}]`},
		{`[{"username": "ada", "password_hash": ["`, `"]}]`},
		{"users:\n  ada:\n    password: '", "'\n    groups: [staff]\n  bea: {phone_number: '1'}\n  ada: x\n"},
		{"users:\n  ada:\n    password: &a [", "]\n    groups: *a\n"},
		{"users:\n  ada:\n    password: *", "\n"},
		{"users:\n  ada:\n    password: !", " x\n"},
		{"users:\n  ada:\n    disabled: ", "\n    password: x\n"},
		{"users: {ada: {password: ", "\n---\nusers: {}"},
	} {
		f.Add(s[0], s[1])
	}
	const secret = "hunter2secret"
	f.Fuzz(func(t *testing.T, before, after string) {
		file := []byte(before + secret + after)
		tells := func(text string) bool { return strings.Contains(text, secret) }
		for name, read := range map[string]func([]byte) ([]importEntry, error){"htpasswd": readHtpasswd, "accounts": readAccounts, "authelia": readAuthelia} {
			entries, err := read(file)
			if err != nil && tells(err.Error()) && !tells(before+after) {
				t.Errorf("%s: the error tells the password: %v", name, err)
			}
			if len(entries) > len(file) {
				t.Errorf("%s: %d entries in %d bytes", name, len(entries), len(file))
			}
			last := 1
			for _, r := range string(file) {
				if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) { // as YAML 1.1 has them
					last++
				}
			}
			for _, e := range entries {
				if e.line < 1 || e.line > last {
					t.Errorf("%s: an entry in line %d of %d", name, e.line, last)
				}
				// As a name it may be told, so that people find the place.
				if tells(e.hash) && !tells(before+after) && (tells(e.left) || e.problem != nil && tells(e.problem.Error())) {
					t.Errorf("%s: the password is told: %v, %s", name, e.problem, e.left)
				}
			}
		}
	})
}
