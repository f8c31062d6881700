package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is found into the golden files")

var goldenEnv = map[string]string{
	"SET": "10.1.0.0/16", "EMPTY": "", "SECRET": "hunter2", "LINES": "one\ntwo", "LIST": "[{id: acme}]",
}

func lookup(name string) (string, bool) {
	value, ok := goldenEnv[name]
	return value, ok
}

// golden calls find with each file of a folder and compares what it returns
// with the .want next to it.
func golden(t *testing.T, folder string, find func(t *testing.T, file string) string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := find(t, file) + "\n"
			wantFile := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("want (-) and got (+); -update takes it over:\n%s", diff)
			}
		})
	}
}

// Every bad file and all that is wrong in it. What is given as a password or
// key is the word hunter2, in some places where it does not belong: no
// message may show it.
func TestProblems(t *testing.T) {
	golden(t, "bad", func(t *testing.T, file string) string {
		c, warnings, err := Load(file, lookup)
		var problems Problems
		if !errors.As(err, &problems) || c != nil || warnings != nil {
			t.Fatalf("not refused: %v, %v", warnings, err)
		}
		for i, p := range problems {
			if p.File != file || p.Line < 1 || p.What == "" || p.Do == "" {
				t.Errorf("incomplete: %+v", p)
			}
			if i > 0 && p.Line < problems[i-1].Line {
				t.Errorf("out of order: %v", p)
			}
		}
		if n := strings.Count(err.Error(), "\n") + 1; n != len(problems) {
			t.Errorf("%d lines for %d problems", n, len(problems))
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Error("a secret is shown")
		}
		return err.Error()
	})
}

// Every file that is valid and probably not meant as it is.
func TestWarnings(t *testing.T) {
	golden(t, "warn", func(t *testing.T, file string) string {
		_, warnings, err := Load(file, lookup)
		if err != nil {
			t.Fatal(err)
		}
		lines := make([]string, len(warnings))
		for i, w := range warnings {
			lines[i] = w.String()
			if w.File != file || w.Line < 1 || w.Path == "" || w.Code == "" || w.Message == "" {
				t.Errorf("incomplete: %+v", w)
			}
		}
		return strings.Join(lines, "\n")
	})
}
