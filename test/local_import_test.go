package test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

// TestImportedPassword: people who come from another program sign in with the
// password that they had, which rests as argon2id from then on, and again.
func TestImportedPassword(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"embedded", "redis"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			application := servers.StartApp(t)
			more := []string{"mfa: {enforce: off}"}
			if store == "redis" {
				more = append(more, redisStore(servers.Redis(t, servers.RedisOptions{}), "import:"))
			}
			g := servers.StartGateway(t, binary, localOnly(application.URL, more...))
			const (
				password = "old password of ada"
				hash     = "$2y$05$abcdefghijklmnopqrstuuHiIrmVNdfSvNInuaIGe0rsM22rQZ0Xq"
			)
			file := filepath.Join(g.Dir, "users.htpasswd")
			if err := os.WriteFile(file, []byte("ada@corp.example:"+hash+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if out := run(t, g, "user", "import", "--htpasswd", file); !strings.Contains(out, "line 1: ada@corp.example: added") {
				t.Errorf("import says %s", out)
			}
			imported := func() bool {
				return strings.Contains(run(t, g, "user", "show", "ada@corp.example"), "imported as bcrypt, not used since")
			}
			newVisitor(t, "").password(g, "ada@corp.example", password+"!").wants(t, http.StatusUnauthorized)
			if !imported() {
				t.Error("a wrong password changed the hash")
			}
			for range 2 {
				v := newVisitor(t, "")
				v.password(g, "Ada@Corp.Example", password).wants(t, http.StatusSeeOther)
				v.signedIn(g)
				if imported() {
					t.Error("the old hash is still there after a sign-in")
				}
			}
			if out := run(t, g, "user", "import", "--htpasswd", file); !strings.Contains(out, "there already, and not changed") || imported() {
				t.Errorf("the same file once more: %s", out)
			}
			if history := run(t, g, "user", "history", "ada@corp.example"); strings.Count(history, "password set by administrator") != 1 {
				t.Errorf("history:\n%s", history)
			}
			noSecrets(t, g, password, hash)
		})
	}
}
