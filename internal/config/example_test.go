package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const exampleFile = "../../config.yaml"

// The file in the repository runs as it is.
func TestExampleFile(t *testing.T) {
	c, warnings, err := Load(exampleFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	if c.Store.Redis != nil || !c.Local.Enabled || len(c.Connections) > 0 || len(c.Routes) != 1 {
		t.Errorf("it should run by itself: %+v", c)
	}

	// What it shows are the defaults: a reader may leave out any of it.
	zero, _, err := Parse(exampleFile, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	short, _, err := Parse(exampleFile, []byte("routes: [{upstream: 'http://127.0.0.1:8080'}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	short.Routes[0].Line = c.Routes[0].Line
	zero.Routes = short.Routes
	ignore := cmpopts.IgnoreFields(Server{}, "AdminListenSet", "AdminSocketSet")
	if diff := cmp.Diff(zero, c, ignore, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("default (-) and shown (+):\n%s", diff)
	}
}

// uncommented is the file with its examples taken in: lines with a "#" that
// no space follows.
func uncommented(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^( *)#([-a-z])`).ReplaceAllString(string(data), "$1$2")
	return strings.Replace(text, "  embedded: {path: data/gatehouse.db}\n", "", 1)
}

// The examples in the file are valid too.
func TestExampleFileUncommented(t *testing.T) {
	env := map[string]string{"ACME_CLIENT_SECRET": "s"}
	c, _, err := Parse(exampleFile, []byte(uncommented(t)), func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Store.Redis == nil || len(c.Connections) != 1 || len(c.Routes) != 2 || len(c.Routes[1].Access.Groups) != 1 {
		t.Errorf("an example was not taken in: %+v", c)
	}
	if acme := c.Connections[0]; len(acme.GroupMapping) != 2 || len(acme.Attributes) != 8 || len(acme.Tests) != 1 || len(acme.Tests[0].Claims) != 5 {
		t.Errorf("an example was not taken in: %+v", acme)
	}
}

// Every key that is known is in the file.
func TestExampleFileIsComplete(t *testing.T) {
	text := uncommented(t)
	notBuilt := []string{"admin", "identity_headers.access_token", "identity_headers.assertion"}
	l := newLoader(exampleFile, func(string) (string, bool) { return "s", true })
	root, ok := l.parse([]byte(text))
	if !ok {
		t.Fatal(l.problems)
	}
	l.config(root)
	if len(l.keys) < 100 {
		t.Fatalf("only %d keys are known", len(l.keys))
	}
	for path := range l.keys {
		if slices.ContainsFunc(notBuilt, func(p string) bool { return path == p || strings.HasPrefix(path, p+".") }) {
			continue
		}
		name := path[strings.LastIndexByte(path, '.')+1:]
		if !regexp.MustCompile(`(?m)(^|[ {#-])` + name + `:`).MatchString(text + "embedded:") {
			t.Errorf("%s is not mentioned", path)
		}
	}
}
