package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever the file holds, Load answers: with a configuration or with
// problems, each of which has a line of the file and fits on one line. What
// is accepted is in normal form, so that accepting it twice changes nothing.
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
