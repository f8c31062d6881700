package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever the file holds, Load answers: with a configuration or with
// problems, each of which has a line of the file and fits on one line. What
// is accepted is in normal form, so that accepting it twice changes nothing,
// and the claims of its fixtures are what JSON makes of them.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "../../config.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(secretsFile))
	f.Add([]byte("connections: [{id: a, issuer: 'https://id.example', client_id: x, client_secret: s, tests: [{name: t, claims: {a: [1.50, -0, 1e999, ~, True, 2026-01-02, {b: \"\\0\", '': ${SET}}]}, expect: {headers: {X: ''}}}]}]"))
	f.Add([]byte("? [a]\n: b\n? &x y\n: *x\n"))
	f.Add([]byte("\xef\xbb\xbf%YAML 1.1\n---\nroutes: !!seq []\n...\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Files that the text names are looked up in an empty folder.
		file := filepath.Join("testdata", "none", "c.yaml")
		c, warnings, err := Parse(file, data, lookup)
		if err == nil {
			if c == nil {
				t.Fatal("neither a configuration nor an error")
			}
			for _, w := range warnings {
				checkLine(t, data, w.Line, w.String())
			}
			for _, conn := range c.Connections {
				for _, test := range conn.Tests {
					checkClaims(t, test.Claims)
				}
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 || c != nil {
			t.Fatalf("got %v", err)
		}
		for _, p := range problems {
			checkLine(t, data, p.Line, p.String())
		}
	})
}

func checkClaims(t *testing.T, claims map[string]any) {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatalf("claims are not JSON: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var again map[string]any
	if err := d.Decode(&again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(claims, again); diff != "" {
		t.Errorf("claims (-) and what JSON makes of them (+):\n%s", diff)
	}
}

func checkLine(t *testing.T, data []byte, line int, message string) {
	t.Helper()
	// YAML breaks lines at CR, NEL, LS and PS too.
	lines := 1
	for _, brk := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
		lines += strings.Count(string(data), brk)
	}
	if line < 1 || line > lines {
		t.Errorf("line %d of %d: %s", line, lines, message)
	}
	if strings.ContainsAny(message, "\n\r\x00\x1b") {
		t.Errorf("not one line: %q", message)
	}
}
