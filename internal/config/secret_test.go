package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const secretsFile = `
secrets: {keys: ["hunter2-hunter2-hunter2-hunter2-hunter2"]}
store: {redis: {password: hunter2}}
connections:
  - {id: acme, issuer: "https://id.acme.example", client_id: x, client_secret: "${S}"}
`

// A configuration ends in logs, crash reports and support mails: no way of
// printing it shows a secret.
func TestSecretsAreNotShown(t *testing.T) {
	c, _, err := Parse("c.yaml", []byte(secretsFile), func(string) (string, bool) { return "hunter2", true })
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Connections[0].ClientSecret.Reveal(); got != "hunter2" {
		t.Fatalf("the test is blind: %q", got)
	}
	values := map[string]any{
		"pointer": c, "value": *c, "keys": c.Secrets, "redis": *c.Store.Redis,
		"connection": c.Connections[0], "secret": c.Connections[0].ClientSecret, "secret's pointer": &c.Connections[0].ClientSecret,
	}
	for name, v := range values {
		dumps := map[string]string{}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%08.3f"} {
			dumps[verb] = fmt.Sprintf(verb, v)
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		dumps["json"] = string(encoded)
		if encoded, err = yaml.Marshal(v); err != nil {
			t.Fatal(err)
		}
		dumps["yaml"] = string(encoded)
		if encoded, err = xml.Marshal(c.Connections[0].ClientSecret); err != nil {
			t.Fatal(err)
		}
		dumps["xml"] = string(encoded)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", slog.Group("g", "v", v))
		dumps["slog"] = log.String()
		for how, dump := range dumps {
			for _, form := range []string{"hunter2", "68756e74657232", "68756E74657232", "104 117 110"} {
				if strings.Contains(dump, form) {
					t.Errorf("%s of the %s shows a secret: %s", how, name, dump)
				}
			}
		}
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := strings.Repeat("a", 32), strings.Repeat("ü", 32)
	write("secret", " with space \r\n")
	write("keys", first+"\r\n\r\n"+second+"\r\n")
	write("c.yaml", `
secrets: {keys_file: keys}
store: {redis: {password_file: "${DIR}/secret", password: ""}}
connections:
  - {id: acme, issuer: "https://id.acme.example", client_id: x, client_secret_file: ./secret}
`)
	c, _, err := Load(filepath.Join(dir, "c.yaml"), func(string) (string, bool) { return dir, true })
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]Secret{"client": c.Connections[0].ClientSecret, "redis": c.Store.Redis.Password} {
		if got.Reveal() != " with space " {
			t.Errorf("the secret of %s is %q", name, got.Reveal())
		}
	}
	if keys := c.Secrets.Keys; len(keys) != 2 || keys[0].Reveal() != first || keys[1].Reveal() != second {
		t.Errorf("%d keys", len(keys))
	}
}

// A wrong path, such as a device, must not fill the memory.
func TestFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte("#"), maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(big, nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
	_, _, err := Parse(filepath.Join(dir, "c.yaml"), []byte("secrets: {keys_file: big}"), nil)
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	_, _, err := Load(missing, nil)
	if want := "read configuration " + missing + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
