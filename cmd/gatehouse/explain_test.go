package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const explainConfig = `
connections:
  - id: acme
    issuer: https://id.acme.example
    client_id: gatehouse
    client_secret: not shown
    email_domains: [acme.example]
    groups_allowed: [staff]
    attributes: {department: org.department}
  - id: partner
    issuer: https://id.partner.example
    client_id: gatehouse
    client_secret: not shown
    jit: {enabled: false}
`

func runExplainOn(t *testing.T, conf, claims string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, talk strings.Builder
	code = runExplain(append([]string{"--config", file, "--claims", "-"}, args...), strings.NewReader(claims), &out, &talk)
	return code, out.String(), talk.String()
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		name, conn, claims string
		conf               string
		code               int
		want               []string // lines of stdout, spaces folded
	}{
		{
			name: "an account is made", conn: "acme", code: exitOK,
			claims: `{"sub": "17", "email": "Ann@acme.example", "email_verified": true, "preferred_username": "ann",
				"name": "Ann A.", "groups": ["staff", "root"], "org": {"department": ["x,y", "z"]}}`,
			want: []string{
				"verdict created", "by link 17: none", "by e-mail Ann@acme.example: none", "by username ann: free",
				"left out group root", "it is not in groups_allowed", "account ann",
				"attribute email: none -> Ann@acme.example (acme)", "written: verified [override/delete]",
				"attribute department: none -> x,y, z (acme)", "written: the account is new [override/delete]",
				"attribute name: none -> Ann A. (acme)", "group staff (acme)", "written: the connection gives it", "groups staff",
				"second factor not owed: mfa.enforce is local: who comes through a connection owes none",
				"header X-Forwarded-User: ann", "header X-Forwarded-Email: Ann@acme.example", "header X-Forwarded-Groups: staff",
				"header X-Forwarded-Attr-Department: x%2Cy,z",
			},
		},
		{
			name: "JIT off passes through", conn: "partner", code: exitOK,
			claims: `{"sub": "17", "email": "p@partner.example", "preferred_username": "pat"}`,
			want: []string{
				"verdict pass_through", "account none", "header X-Forwarded-User: partner:17", "header X-Forwarded-Email:",
				"header X-Forwarded-Preferred-Username: pat",
			},
		},
		{
			name: "refused", conn: "acme", code: exitFailed, claims: `{"sub": "17", "email": "ann@acme.example"}`,
			want: []string{"verdict denied (email_domain)"},
		},
		{
			name: "no subject", conn: "acme", code: exitFailed, claims: `{"email": "ann@acme.example"}`,
			want: []string{"verdict denied (invalid_answer)"},
		},
		{
			name: "no account to hold a factor", conn: "partner", code: exitFailed, claims: `{"sub": "17"}`,
			conf: "mfa: {enforce: all}\n", want: []string{"verdict denied (factor_impossible)"},
		},
		{
			name: "a factor is owed", conn: "acme", code: exitOK, conf: "mfa: {enforce: all}\n",
			claims: `{"sub": "17", "email": "ann@acme.example", "email_verified": "true"}`,
			want:   []string{"second factor owed: mfa.enforce is all; the account has none, and this sign-in enrols one"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runExplainOn(t, tt.conf+explainConfig, tt.claims, "--connection", tt.conn)
			if code != tt.code || stderr != "" {
				t.Errorf("exit code %d, want %d; stderr %q", code, tt.code, stderr)
			}
			lines := map[string]bool{}
			for line := range strings.Lines(stdout) {
				lines[strings.Join(strings.Fields(line), " ")] = true
			}
			for _, want := range tt.want {
				if !lines[want] {
					t.Errorf("no line %q in\n%s", want, stdout)
				}
			}
		})
	}
}

// A file that is too long is not read in part.
func TestExplainSaysThatAFileIsTooLong(t *testing.T) {
	_, _, stderr := runExplainOn(t, explainConfig, `{"sub": "17"}`+strings.Repeat(" ", maxClaims), "--connection", "acme")
	if !strings.Contains(stderr, "more than 1048576 bytes") {
		t.Errorf("%q", stderr)
	}
}

func TestExplainForPrograms(t *testing.T) {
	code, stdout, _ := runExplainOn(t, explainConfig, `{"sub": "17", "email": "ann@acme.example", "email_verified": true}`, "--connection", "acme", "--json")
	var e explanation
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v: %s", code, err, stdout)
	}
	if !e.Admitted || e.Account == nil || !strings.HasPrefix(e.Account.Username, "acme-") || e.Attributes == nil || e.Groups == nil {
		t.Errorf("%s", stdout)
	}
	if diff := cmp.Diff(explainedHeader{"X-Forwarded-User", e.Account.Username}, e.Headers[0]); diff != "" {
		t.Error(diff)
	}
}

func TestExplainRefusesWhatItCannotRead(t *testing.T) {
	for _, tt := range []struct {
		name, claims string
		args         []string
		code         int
	}{
		{"no connection", `{}`, nil, exitUsage},
		{"unknown connection", `{}`, []string{"--connection", "nobody"}, exitUsage},
		{"a name too many", `{}`, []string{"--connection", "acme", "x"}, exitUsage},
		{"unknown flag", `{}`, []string{"--lively"}, exitUsage},
		{"not JSON", `nothing`, []string{"--connection", "acme"}, exitFailed},
		{"not an object", `[]`, []string{"--connection", "acme"}, exitFailed},
		{"two documents", `{} {}`, []string{"--connection", "acme"}, exitFailed},
		{"a name twice", `{"sub": "1", "sub": "2"}`, []string{"--connection", "acme"}, exitFailed},
		{"not UTF-8", "{\"sub\": \"\xff\"}", []string{"--connection", "acme"}, exitFailed},
		{"too deep", `{"sub": ` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, []string{"--connection", "acme"}, exitFailed},
		{"too much", `{"sub": "` + strings.Repeat("x", maxClaims) + `"}`, []string{"--connection", "acme"}, exitFailed},
		{"no such file", ``, []string{"--connection", "acme", "--claims", "/nowhere/claims.json"}, exitFailed},
		{"a folder", ``, []string{"--connection", "acme", "--claims", t.TempDir()}, exitFailed},
		{"live, not JSON", `nothing`, []string{"--connection", "acme", "--live"}, exitFailed},
		{"live, unknown connection", `{}`, []string{"--connection", "nobody", "--live"}, exitUsage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runExplainOn(t, explainConfig, tt.claims, tt.args...)
			if code != tt.code || stdout != "" || stderr == "" {
				t.Errorf("exit code %d, want %d; stdout %q, stderr %q", code, tt.code, stdout, stderr)
			}
		})
	}
}
