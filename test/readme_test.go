package test

import (
	"context"
	"debug/elf"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// document reads a file of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replaced is the text with each old text, which must be in it, replaced by the
// new one after it.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("no %q in:\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// TestConfigYAML: the repository's config.yaml works as it stands; only its
// ports are others here.
func TestConfigYAML(t *testing.T) {
	t.Parallel()
	r := (&servers.Gateway{Bin: binary, Dir: t.TempDir()}).Run(t, "", "check", "--strict", "--config", absolute(t, "../config.yaml"))
	if r.Code != 0 || r.Stdout != "" {
		t.Errorf("check --strict of config.yaml ended with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	application := servers.StartApp(t)
	g := servers.NewGateway(t, binary, replaced(t, document(t, "config.yaml"),
		"listen: 127.0.0.1:4180", "listen: {{addr}}", "127.0.0.1:4181", "{{admin}}", "http://127.0.0.1:8080", application.URL))
	_, port, _ := strings.Cut(g.Addr, ":")
	text, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	g.WriteConfig(t, replaced(t, string(text), "http://localhost:4180", "http://localhost:"+port))
	g.Start(t)
	g.URL = "http://localhost:" + port
	if !strings.Contains(g.Output(), "only one process can use it") {
		t.Errorf("the log does not say that the embedded store is for one process:\n%s", g.Output())
	}
	if strings.Contains(g.Output(), `"level":"WARN"`) {
		t.Errorf("the log has a warning:\n%s", g.Output())
	}
	// What its first lines promise.
	addUser(t, g, "ann")
	v := newVisitor(t, "")
	v.enrol(g, "ann")
	v.get(g.URL+"/x").wants(t, http.StatusOK)
	if got := application.Last(t); got.RequestURI != "/x" || got.Header.Get("X-Forwarded-User") != "ann" {
		t.Errorf("the application received\n%s", got.Head)
	}
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestREADMEExample: the configuration in the README is valid with the files
// that it names, and lets somebody in once its names stand for real servers.
func TestREADMEExample(t *testing.T) {
	t.Parallel()
	example := regexp.MustCompile(`(?m)^    # config\.yaml\n(?:    .*\n)+`).FindString(document(t, "README.md"))
	example = regexp.MustCompile(`(?m)^    `).ReplaceAllString(example, "")
	for _, part := range []string{"redis:", "connections:", "routes:"} {
		if !strings.Contains(example, part) {
			t.Fatalf("the example has no %s:\n%s", part, example)
		}
	}
	g := servers.NewGateway(t, binary, "")
	for name, secret := range map[string]string{
		"redis": "a password of Redis", "gatehouse": strings.Repeat("k", 43) + "=", "acme": badidp.ClientSecret,
	} {
		if err := os.WriteFile(filepath.Join(g.Dir, name), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	example = replaced(t, example, "/run/secrets/", g.Dir+"/")
	g.WriteConfig(t, example)
	if r := g.Run(t, "", "check", "--strict", "--config", g.Config); r.Code != 0 {
		t.Errorf("check --strict of the README's example ended with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}

	application, idp := servers.StartApp(t), badidp.Start(t)
	idp.SetClaims(map[string]any{"sub": "ann-1", "preferred_username": "ann", "email": "ann@acme.example", "email_verified": true})
	redis := servers.Redis(t, servers.RedisOptions{Password: "a password of Redis"})
	g.WriteConfig(t, replaced(t, example, "0.0.0.0:4180", g.Addr+"\n  admin_listen: {{admin}}", "https://app.example.com", g.URL,
		"redis:6379", redis.Addr, "https://id.acme.example", idp.URL(), "http://app:8080", application.URL))
	g.Start(t)
	newVisitor(t, "").get(g.URL+"/wanted").wants(t, http.StatusOK)
	if got := application.Last(t); got.RequestURI != "/wanted" || got.Header.Get("X-Forwarded-Email") != "ann@acme.example" {
		t.Errorf("the application received\n%s", got.Head)
	}
}

var (
	commandLine   = regexp.MustCompile(`(?m)^(?:    |\$ )?(?:go run ./cmd/)?gatehouse ([a-z-].*)$`)
	commandInline = regexp.MustCompile("`(?:go run ./cmd/)?gatehouse ([^`]+)`")
	commandJSON   = regexp.MustCompile(`(?m)^(?:HEALTHCHECK .*)?CMD (\[.*\])$`)
	word          = regexp.MustCompile(`"[^"]*"|[^\s"]+`)
)

// TestDocumentedCommands: every command that the documents show is one, with
// flags that it has.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../docs/*.md")
	if err != nil || len(names) < 5 {
		t.Fatalf("documents: %q, %v", names, err)
	}
	names = append(names, "../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md")
	var commands [][]string
	for _, name := range names {
		text := document(t, strings.TrimPrefix(name, "../"))
		found := append(commandLine.FindAllStringSubmatch(text, -1), commandInline.FindAllStringSubmatch(text, -1)...)
		for _, f := range found {
			line, _, _ := strings.Cut(f[1], " #") // what follows is for people
			var args []string
			for _, w := range word.FindAllString(line, -1) {
				args = append(args, strings.Trim(w, `"`))
			}
			commands = append(commands, args)
		}
	}
	for _, f := range commandJSON.FindAllStringSubmatch(document(t, "Dockerfile"), -1) {
		var args []string
		if err := json.Unmarshal([]byte(f[1]), &args); err != nil {
			t.Fatalf("%s: %v", f[0], err)
		}
		if args[0] == "/gatehouse" { // the entry point
			args = args[1:]
		}
		commands = append(commands, args)
	}
	if len(commands) < 20 {
		t.Fatalf("only %d commands are found: %q", len(commands), commands)
	}
	nowhere := &servers.Gateway{Bin: binary, Dir: t.TempDir()}
	for _, args := range commands {
		// The flags before --help are judged, and nothing is done.
		if r := nowhere.Run(t, "", append(args, "--help")...); r.Code != 0 {
			t.Errorf("gatehouse %q ended with %d:\n%s", args, r.Code, r.Stderr)
		}
	}
}

// TestDockerfile runs what the Dockerfile runs: its build gives one static
// binary, and its health check tells a living server from a dead one.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	dockerfile := document(t, "Dockerfile")
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(document(t, "go.mod"))
	if goVersion == nil || !strings.Contains(dockerfile, "FROM golang:"+goVersion[1]+"-") {
		t.Errorf("the image's Go is not that of go.mod, %v", goVersion)
	}
	out := t.TempDir()
	for _, run := range regexp.MustCompile(`(?m)^RUN (.*)$`).FindAllStringSubmatch(dockerfile, -1) {
		if run[1] == "go mod download" {
			continue // was needed to come here
		}
		cmd := exec.Command("sh", "-ec", strings.ReplaceAll(run[1], "/out", out))
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "VERSION=1.2.3-test")
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", run[1], err, said)
		}
	}
	for _, copied := range regexp.MustCompile(`(?m)^COPY --from=build (?:--chown=\S+ )?(\S+)`).FindAllStringSubmatch(dockerfile, -1) {
		if _, err := os.Stat(strings.Replace(copied[1], "/out", out, 1)); err != nil {
			t.Errorf("COPY: %v", err)
		}
	}
	static := filepath.Join(out, "gatehouse")
	f, err := elf.Open(static)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has %v", p.Type)
		}
	}

	application := servers.StartApp(t)
	g := servers.NewGateway(t, static, localOnly(application.URL))
	g.Plain = static
	if r := g.Run(t, "", "version"); r.Stdout != "gatehouse 1.2.3-test\n" {
		t.Errorf("version: %q", r.Stdout)
	}
	health := func() servers.Result { return g.Run(t, "", "health", "--config", g.Config) }
	if r := health(); r.Code != 1 {
		t.Errorf("health of no server: exit code %d", r.Code)
	}
	g.Start(t)
	if r := health(); r.Code != 0 {
		t.Errorf("health of a living server: exit code %d, %s", r.Code, r.Stderr)
	}
	g.Stop()
	servers.WaitFor(t, "health to see the end", func(context.Context) bool { return health().Code == 1 })
}

// TestREADMELinks: what the README points to is there.
func TestREADMELinks(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "../README.md", "../CONTRIBUTING.md") {
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(document(t, strings.TrimPrefix(name, "../")), -1) {
			u, err := url.Parse(link[1])
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if u.IsAbs() {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), u.Path)); err != nil {
				t.Errorf("%s points to nothing: %s", name, link[1])
			}
		}
	}
}
