package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "gatehouse"

// source is one Go file of the project, parsed as far as its imports.
type source struct {
	path  string // relative to the root, slashes
	pkg   string // directory relative to the root
	test  bool
	lines int
	file  *ast.File
}

// sources parses every Go file below the root. It reads the files itself:
// asking go list would let the test cache hide a violation.
func sources(t *testing.T) []source {
	t.Helper()
	const root = ".."
	var all []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "node_modules" || base == "testdata" || (strings.HasPrefix(base, ".") && name != root) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		all = append(all, source{
			path:  rel,
			pkg:   path.Dir(rel),
			test:  strings.HasSuffix(rel, "_test.go"),
			lines: strings.Count(string(text), "\n"),
			file:  f,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d Go files found: the walk is wrong", len(all))
	}
	return all
}

// within reports whether pkg is dir or lies below it.
func within(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// mayImport holds the dependency rules of the house (CONTRIBUTING.md).
func mayImport(from, to string) bool {
	ancestor := within(from, to)
	switch {
	case within(from, "cmd"):
		return !within(to, "test")
	case from == "auth":
		return false
	case within(from, "internal"):
		return to == "auth" || to == "internal/store" || ancestor
	case within(from, "auth"), within(from, "provision"), within(from, "proxy"):
		return to == "auth" || within(to, "internal") || ancestor
	case within(from, "test"):
		return within(to, "test")
	}
	return false
}

func TestMayImport(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"auth", "internal/store", false},
		{"auth/signin", "auth/session", false},
		{"auth/signin", "auth", true},
		{"auth/oidc", "internal/config", true},
		{"provision", "auth/session", false},
		{"provision/console", "provision", true},
		{"proxy", "provision", false},
		{"internal/config", "internal/web", false},
		{"internal/cache", "internal/store", true},
		{"internal/store/redis", "internal/store", true},
		{"internal/store/redis", "internal/store/bolt", false},
		{"cmd/gatehouse", "proxy", true},
		{"proxy", "cmd/gatehouse", false},
		{"test", "internal/store", false},
		{"elsewhere", "auth", false},
	} {
		if got := mayImport(c.from, c.to); got != c.want {
			t.Errorf("mayImport(%s, %s) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func TestImportsFollowTheRules(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.file.Imports {
			to, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), module+"/")
			if !ours {
				continue
			}
			// Tests may also use the real servers and what their package may.
			if s.test && !within(s.pkg, "test") && (within(to, "test") || within(to, "internal") || within(to, s.pkg)) {
				continue
			}
			if !mayImport(s.pkg, to) {
				t.Errorf("%s imports %s/%s", s.path, module, to)
			}
		}
	}
}

// TestTheDemonstrationIsApart: what only the demonstration needs is in its own
// package, which one file of the command asks for, and it links no module that
// the gateway does not link anyway.
func TestTheDemonstrationIsApart(t *testing.T) {
	const demonstration = "cmd/gatehouse/demo"
	gateway := map[string]bool{}
	needs := map[string]string{} // module: a file of the demonstration
	for _, s := range sources(t) {
		if s.test || within(s.pkg, "test") || s.pkg == "internal/store/storetest" {
			continue
		}
		for _, imp := range s.file.Imports {
			to := strings.Trim(imp.Path.Value, `"`)
			if to == module+"/"+demonstration && s.path != "cmd/gatehouse/demo.go" {
				t.Errorf("%s imports %s", s.path, to)
			}
			host, _, _ := strings.Cut(to, "/")
			if !strings.Contains(host, ".") {
				continue
			}
			parts := strings.Split(to, "/")
			to = strings.Join(parts[:min(len(parts), 3)], "/")
			if within(s.pkg, demonstration) {
				needs[to] = s.path
			} else {
				gateway[to] = true
			}
		}
	}
	if len(needs) == 0 {
		t.Fatalf("%s needs no module at all: it is not where it was", demonstration)
	}
	for to, by := range needs {
		if !gateway[to] {
			t.Errorf("%s imports %s, which the gateway does not need", by, to)
		}
	}
}

func TestEveryPackageHasOnePackageComment(t *testing.T) {
	comments := map[string]int{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		comments[s.pkg] += 0
		if s.file.Doc != nil {
			comments[s.pkg]++
		}
	}
	for pkg, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", pkg, n)
		}
	}
}

func TestNoFileIsLong(t *testing.T) {
	const most = 500
	for _, s := range sources(t) {
		if !s.test && s.lines > most {
			t.Errorf("%s has %d lines, want at most %d: if it needs sections, it is two files", s.path, s.lines, most)
		}
	}
}

// TestNoTestSkipsOrSleeps keeps the tests honest: a skip hides a missing
// component, a sleep hides a race.
func TestNoTestSkipsOrSleeps(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test && !within(s.pkg, "test") {
			continue
		}
		if s.path == "test/arch_test.go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(s.path)))
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			for _, bad := range []string{".Skip(", ".Skipf(", ".SkipNow(", "time.Sleep("} {
				// Inside a synctest bubble the clock is fake and a sleep is exact.
				if strings.Contains(line, bad) && !(bad == "time.Sleep(" && strings.Contains(string(text), `"testing/synctest"`)) {
					t.Errorf("%s:%d: %s", s.path, n+1, strings.TrimSpace(line))
				}
			}
		}
	}
}

// TestTheTopLevelIsFixed: the product's tree has just these directories.
func TestTheTopLevelIsFixed(t *testing.T) {
	allowed := map[string]bool{
		"cmd": true, "proxy": true, "auth": true, "provision": true, "test": true,
		"internal": true, "docs": true, "deploy": true, ".ci": true, ".git": true, "data": true,
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !allowed[e.Name()] {
			t.Errorf("directory %s at the top level", e.Name())
		}
	}
	for _, name := range []string{"config.yaml", "Dockerfile", "go.mod", "README.md", "CONTRIBUTING.md", "LICENSE", "CHANGELOG.md"} {
		if _, err := os.Stat(filepath.Join("..", name)); err != nil {
			t.Errorf("%s is missing", name)
		}
	}
}
