package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tested is a configuration with tests of one connection. More are entries of
// that connection.
func tested(more, tests string) string {
	return `connections:
  - id: acme
    issuer: https://id.acme.example
    client_id: gatehouse
    client_secret: not shown
    groups_allowed: [staff, admins]
    attributes: {department: department, risk: {from: risk, mode: session_only}}
` + more + "    tests:\n" + tests
}

const annComes = `      - name: Ann
        claims: {sub: "1", preferred_username: ann, email: ann@acme.example, email_verified: true, groups: [staff, secret], department: R&D, risk: low}
`

func checkFixtures(t *testing.T, text string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, talk strings.Builder
	code = runCheck(append(args, "--config", file), &out, &talk)
	return code, strings.ReplaceAll(out.String(), file, "FILE"), strings.ReplaceAll(talk.String(), file, "FILE")
}

func TestFixturesHold(t *testing.T) {
	text := tested("", annComes+`        expect:
          verdict: created
          username: ann
          email: ann@acme.example
          groups: [staff]
          attributes: {department: [R&D], risk: low}
          headers: {x-forwarded-user: ann, X-Forwarded-Attr-Risk: low, X-Forwarded-Attr-Name: "", X-Nowhere: ""}
      - name: Ann has been added
        claims: {sub: "1", email: ann@acme.example, email_verified: true}
        account: {username: countess, email: Ann@acme.example, groups: [ops], attributes: {desk: "12"}}
        expect: {verdict: linked, username: countess, groups: [ops], attributes: {}}
      - name: Ann has come before
        claims: {sub: "1", preferred_username: other, email: ann@acme.example, email_verified: true}
        account: {username: ann, email: ann@acme.example, linked: {acme: "1"}}
        expect: {verdict: unchanged, username: ann}
      - name: she is somebody here
        claims: {sub: "1", email: ann@acme.example, email_verified: true}
        account: {username: ann, email: ann@acme.example, groups: [admins], has_password: true, has_factor: true}
        expect: {verdict: confirm, groups: [admins]}
      - name: nothing to prove it with
        claims: {sub: "1", email: ann@acme.example, email_verified: true}
        account: {username: ann, email: ann@acme.example, groups: [admins]}
        expect: {verdict: denied, reason: link_unconfirmable, username: "", groups: [], headers: {X-Forwarded-User: ""}}
      - name: she has left
        claims: {sub: "1"}
        account: {username: ann, linked: {acme: "1"}, disabled: true}
        expect: {verdict: denied, reason: account_disabled}
      - name: no subject
        claims: {email: ann@acme.example}
        expect: {verdict: denied, reason: invalid_answer}
`)
	code, stdout, stderr := checkFixtures(t, text, "--json")
	var v struct {
		OK    bool
		Tests int
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != exitOK || !v.OK || v.Tests != 7 {
		t.Errorf("exit code %d, %v\n%s", code, err, stdout)
	}
	if !strings.Contains(stderr, "valid, 7 tests passed") {
		t.Errorf("stderr %q", stderr)
	}
}

// The tests of a connection that is not enabled are those of the day on which
// it is.
func TestFixturesOfADisabledConnection(t *testing.T) {
	text := tested("    enabled: false\n", annComes+"        expect: {verdict: created}\n")
	if code, stdout, _ := checkFixtures(t, text); code != exitOK {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

func TestFixturesFail(t *testing.T) {
	const at = "FILE:9: connections[0].tests[0]."
	const do = `; correct the connection, or what the test "Ann" expects` + "\n"
	for _, tt := range []struct{ name, more, expect, want string }{
		{"verdict", "", "{verdict: linked}", at + "expect.verdict: is created, want linked" + do},
		{"username", "", "{username: bob}", at + `expect.username: is "ann", want "bob"` + do},
		{"email", "", `{email: ""}`, at + `expect.email: is "ann@acme.example", want ""` + do},
		{"groups", "", "{groups: [staff, admins]}", at + "expect.groups: is [staff], want [admins, staff]" + do},
		{"no groups", "", "{groups: []}", at + "expect.groups: is [staff], want []" + do},
		{"attributes", "", "{attributes: {department: [R&D]}}", at + "expect.attributes: is {department: [R&D], risk: [low]}, want {department: [R&D]}" + do},
		{"blank attribute", "", `{attributes: {department: [R&D], risk: ""}}`, at + "expect.attributes: is {department: [R&D], risk: [low]}, want {department: [R&D], risk: []}" + do},
		{
			"header", "", `{headers: {X-Forwarded-Groups: "", X-Forwarded-User: ann, X-Nowhere: x}}`,
			at + `expect.headers.X-Forwarded-Groups: is "staff", want ""` + do + at + `expect.headers.X-Nowhere: is "", want "x"` + do,
		},
		{"two at once", "", "{verdict: updated, username: bob}", at + "expect.verdict: is created, want updated" + do + at + `expect.username: is "ann", want "bob"` + do},
		// Of who is refused nothing else is said.
		{
			"denied", "    email_domains: [x.example]\n", "{verdict: created, username: ann}",
			"FILE:10: connections[0].tests[0].expect.verdict: is denied (email_domain: the e-mail is in another domain), want created" + do,
		},
		{
			"denied, and no verdict expected", "    email_domains: [x.example]\n", "{username: ann}",
			"FILE:10: connections[0].tests[0].expect.verdict: is denied (email_domain: the e-mail is in another domain), want somebody who comes in" + do,
		},
		{
			"reason", "    email_domains: [x.example]\n", "{verdict: denied, reason: requirement}",
			"FILE:10: connections[0].tests[0].expect.reason: is email_domain, want requirement" + do,
		},
		{
			"not denied", "", "{verdict: denied, reason: requirement}",
			at + "expect.verdict: is created, want denied" + do,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := checkFixtures(t, tested(tt.more, annComes+"        expect: "+tt.expect+"\n"))
			if diff := cmp.Diff(tt.want, stdout); diff != "" || code != exitFailed || !strings.Contains(stderr, "problem") {
				t.Errorf("exit code %d, %q (-want +got):\n%s", code, stderr, diff)
			}
		})
	}
}

func TestFixtureAccountsThatCannotBe(t *testing.T) {
	for account, want := range map[string]string{
		"{username: 'a:b'}":             "colon",
		"{username: stranger@x.example": "@",
	} {
		if !strings.HasSuffix(account, "}") {
			account += ", email: ann@acme.example}"
		}
		code, stdout, _ := checkFixtures(t, tested("", annComes+"        account: "+account+"\n        expect: {verdict: created}\n"))
		if code != exitFailed || !strings.Contains(stdout, "FILE:9: connections[0].tests[0].account: cannot be: ") || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit code %d\n%s", account, code, stdout)
		}
	}
}

// A file that is wrong is not tried, and a factor that nobody can hold counts.
func TestFixturesAndTheRestOfTheFile(t *testing.T) {
	code, stdout, _ := checkFixtures(t, "sever: {}\n"+tested("", annComes+"        expect: {verdict: linked}\n"))
	if code != exitFailed || strings.Contains(stdout, "tests[0]") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	text := "mfa: {enforce: all}\n" + tested("    jit: {enabled: false}\n", annComes+"        expect: {verdict: denied, reason: factor_impossible}\n")
	text = strings.Replace(text, ", mode: session_only", "", 1)
	if code, stdout, _ := checkFixtures(t, text); code != exitOK {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

// Where nobody can type a password it proves nothing.
func TestFixtureOfAPasswordThatCannotBeTyped(t *testing.T) {
	text := "local: {enabled: false}\n" + tested("    jit: {link_existing: confirm}\n", annComes+`        account: {username: ann, email: ann@acme.example, has_password: true}
        expect: {verdict: denied, reason: link_unconfirmable}
      - name: another way
        claims: {sub: "1", email: ann@acme.example, email_verified: true}
        account: {username: ann, email: ann@acme.example, has_password: true, linked: {other: "7"}}
        expect: {verdict: confirm}
`) + `  - id: other
    issuer: https://id.other.example
    client_id: gatehouse
    client_secret: not shown
`
	if code, stdout, _ := checkFixtures(t, text); code != exitOK {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}
