package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

var fenced = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// TestProvisioningExamples: every configuration in docs/provisioning.md is
// valid, and its tests hold: what the page says is what happens.
func TestProvisioningExamples(t *testing.T) {
	t.Parallel()
	tests, blocks := 0, map[string][]string{}
	for _, m := range fenced.FindAllStringSubmatch(document(t, "docs/provisioning.md"), -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	for _, example := range blocks["yaml"] {
		g := &servers.Gateway{Bin: binary, Dir: t.TempDir()}
		file := filepath.Join(g.Dir, "config.yaml")
		if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		r := g.Run(t, "", "check", "--json", "--config", file)
		var v struct {
			OK       bool
			Tests    int
			Warnings []struct{ Code string }
		}
		decode(t, r.Stdout, &v)
		if r.Code != 0 || !v.OK || v.Tests == 0 {
			t.Errorf("check ended with %d, %d tests:\n%s\n%s", r.Code, v.Tests, r.Stdout, example)
		}
		for _, w := range v.Warnings {
			// The page says of the one example that it has this warning.
			if w.Code != "protected-supplied" || !strings.Contains(example, "clearance_level") {
				t.Errorf("a warning %s of\n%s", w.Code, example)
			}
		}
		tests += v.Tests
	}
	if len(blocks["yaml"]) < 10 || tests < 30 {
		t.Errorf("only %d examples with %d tests are found", len(blocks["yaml"]), tests)
	}

	// The one explanation that the page shows.
	if len(blocks["json"]) != 1 || len(blocks["text"]) != 1 {
		t.Fatalf("%d claims and %d explanations", len(blocks["json"]), len(blocks["text"]))
	}
	if !json.Valid([]byte(blocks["json"][0])) {
		t.Errorf("not JSON: %s", blocks["json"][0])
	}
	g := &servers.Gateway{Bin: binary, Dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(g.Dir, "config.yaml"), []byte(blocks["yaml"][1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := g.Run(t, blocks["json"][0], "explain", "--connection", "acme", "--claims", "-"); r.Code != 0 || r.Stdout != blocks["text"][0] {
		t.Errorf("explain ended with %d and printed\n%s", r.Code, r.Stdout)
	}
}

// TestProvisioningAnchors: what the page points to within itself, and what
// others point to in it, is there.
func TestProvisioningAnchors(t *testing.T) {
	t.Parallel()
	anchors := map[string]map[string]bool{}
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	for _, name := range []string{"provisioning.md", "operations.md", "configuration.md"} {
		anchors[name] = map[string]bool{}
		for _, m := range heading.FindAllStringSubmatch(document(t, "docs/"+name), -1) {
			drop := func(r rune) rune {
				if r == ' ' {
					return '-'
				}
				if r == '-' || r == '_' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
					return r
				}
				return -1
			}
			anchors[name][strings.Map(drop, strings.ToLower(m[1]))] = true
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([a-z]*(?:\.md)?)#([^)]*)\)`).FindAllStringSubmatch(document(t, "docs/provisioning.md"), -1) {
		page := m[1]
		if page == "" {
			page = "provisioning.md"
		}
		if !anchors[page][m[2]] {
			t.Errorf("%s has no #%s", page, m[2])
		}
	}
}
