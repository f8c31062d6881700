package oauth2proxy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"gatehouse/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sources are the files of an archive as somebody would give them.
func sources(t *testing.T, files map[string]string) Sources {
	t.Helper()
	src := Sources{
		FileName:  "oauth2-proxy.cfg",
		PublicURL: strings.TrimSpace(files["public-url"]),
		ReadFile: func(name string) ([]byte, error) {
			text, ok := files[name]
			if !ok {
				return nil, os.ErrNotExist
			}
			return []byte(text), nil
		},
	}
	if text, ok := files["oauth2-proxy.cfg"]; ok {
		src.File = []byte(text)
	}
	if text, ok := files["alpha.yaml"]; ok {
		src.Alpha = []byte(text)
	}
	src.Environ = lines(files["env"])
	flags, _, _, err := ParseFlags(lines(files["flags"]))
	if err != nil {
		t.Fatal(err)
	}
	src.Flags = flags
	return src
}

func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// TestGolden: configurations as people have them, what becomes of each, and
// what gatehouse check would say of it, which is mostly nothing.
func TestGolden(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 5 {
		t.Fatalf("golden files: %q, %v", names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, kept := map[string]string{}, []txtar.File{}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
				if f.Name != "config.yaml" && f.Name != "said" {
					kept = append(kept, f)
				}
			}
			result, err := Translate(sources(t, files))
			if err != nil {
				t.Fatal(err)
			}
			said := words(t, result, files)
			if *update {
				archive.Files = append(kept, txtar.File{Name: "said", Data: []byte(said)}, txtar.File{Name: "config.yaml", Data: result.Config})
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(files["config.yaml"], string(result.Config)); diff != "" {
				t.Errorf("config.yaml (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(files["said"], said); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

// words is what is said beside the configuration, and of it by its loader when
// the variables that it wants are set.
func words(t *testing.T, result Result, files map[string]string) string {
	t.Helper()
	var b strings.Builder
	for _, v := range result.Variables {
		fmt.Fprintf(&b, "variable %s\n", v)
	}
	for _, why := range result.Closed {
		fmt.Fprintf(&b, "closed: %s\n", why)
	}
	for _, v := range result.Ignored {
		fmt.Fprintf(&b, "ignored: %s\n", v)
	}
	dir := t.TempDir()
	for _, folder := range lines(files["folders"]) {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if strings.HasSuffix(name, ".secret") {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, warnings, err := config.Parse(filepath.Join(dir, "config.yaml"), []byte(strings.ReplaceAll(string(result.Config), "file:/", "file:"+dir+"/")), func(name string) (string, bool) {
		for _, v := range result.Variables {
			for _, line := range lines(files["env"]) {
				if value, ok := strings.CutPrefix(line, name+"="); ok && v == name && !strings.HasPrefix(name, variablePrefix) {
					return value, true
				}
			}
			if v == name {
				return map[string]string{
					"GATEHOUSE_PUBLIC_URL": "https://apps.acme.example",
					"GATEHOUSE_SECRET_KEY": strings.Repeat("k", 44),
				}[name] + strings.Repeat("a secret", len(name)/len("GATEHOUSE_PUBLIC_URL!")), true
			}
		}
		return "", false
	})
	if err != nil {
		fmt.Fprintf(&b, "%s\n", strings.ReplaceAll(err.Error(), dir+"/", ""))
	}
	for _, w := range warnings {
		fmt.Fprintf(&b, "warning %s at %s\n", w.Code, w.Path)
	}
	return b.String()
}
