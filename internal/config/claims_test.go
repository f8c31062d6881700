package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fixtureClaims returns the claims of a fixture that has these lines.
func fixtureClaims(t *testing.T, claims string) map[string]any {
	t.Helper()
	c, _ := load(t, "c.yaml", "connections:\n- id: a\n  issuer: https://id.example\n  client_id: x\n  client_secret: s\n  tests:\n  - name: t\n    expect: {verdict: denied}\n    claims:\n      "+
		strings.ReplaceAll(claims, "\n", "\n      ")+"\n")
	return c.Connections[0].Tests[0].Claims
}

// A fixture means what the same answer would: claims are decoded as
// encoding/json decodes them with UseNumber.
func TestClaimsAreAsJSONHasThem(t *testing.T) {
	for _, tt := range []struct{ name, yaml, json string }{
		{"none", "{}", `{}`},
		{"texts", "a: x\nb: 'x'\nc: \"x\\ty\\n\"\nd: ''\ne: |\n  two\n  lines\nf: yes\ng: 0b", `{"a":"x","b":"x","c":"x\ty\n","d":"","e":"two\nlines\n","f":"yes","g":"0b"}`},
		{"quoted is text", "a: '1'\nb: \"true\"\nc: 'null'\nd: |-\n  1\ne: >-\n  true", `{"a":"1","b":"true","c":"null","d":"1","e":"true"}`},
		{"truth", "a: true\nb: False\nc: TRUE", `{"a":true,"b":false,"c":true}`},
		{"null", "a: ~\nb: null\nc:\nd: [~]", `{"a":null,"b":null,"c":null,"d":[null]}`},
		{"numbers", "a: 0\nb: -0\nc: 1.50\nd: -2.5e+10\ne: 1E5\nf: 0.1", `{"a":0,"b":-0,"c":1.50,"d":-2.5e+10,"e":1E5,"f":0.1}`},
		{"numbers that no float holds", "a: 12345678901234567890123456789\nb: 0.1234567890123456789012345\nc: 9007199254740993\nd: 1e999\ne: -1e-999", `{"a":12345678901234567890123456789,"b":0.1234567890123456789012345,"c":9007199254740993,"d":1e999,"e":-1e-999}`},
		{"times are text", "a: 2026-01-02\nb: 2026-01-02T15:04:05Z\nc: 2026-01-02 15:04:05", `{"a":"2026-01-02","b":"2026-01-02T15:04:05Z","c":"2026-01-02 15:04:05"}`},
		{"what other YAML takes for numbers or truth", "a: 1:30\nb: on\nc: y\nd: 1.2.3\ne: <<\nf: '='", `{"a":"1:30","b":"on","c":"y","d":"1.2.3","e":"<<","f":"="}`},
		{"nested", "a: {b: {c: [1, [x, {d: true}], []]}, e: {}}\n'https://x.example/groups': [staff, 7]", `{"a":{"b":{"c":[1,["x",{"d":true}],[]]},"e":{}},"https://x.example/groups":["staff",7]}`},
		{"JSON as it is", `{"sub": "1", "email_verified": true, "n": 1.0, "g": ["a", null], "": "blank name", "1": "digits"}`, `{"sub":"1","email_verified":true,"n":1.0,"g":["a",null],"":"blank name","1":"digits"}`},
		{"overage", "_claim_names: {groups: src1}\n_claim_sources: {src1: {endpoint: 'https://graph.example/x'}}", `{"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://graph.example/x"}}}`},
		{"variables are text", "a: ${SET}\nb: x-${EMPTY}-${NONE:-7}\nc: ${NONE:-7}\nd: ${NONE:-true}\ne: $${SET}\nf: ${LIST}", `{"a":"10.1.0.0/16","b":"x--7","c":"7","d":"true","e":"${SET}","f":"[{id: acme}]"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := json.NewDecoder(strings.NewReader(tt.json))
			d.UseNumber()
			var want map[string]any
			if err := d.Decode(&want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, fixtureClaims(t, tt.yaml)); diff != "" {
				t.Errorf("want (-) and got (+):\n%s", diff)
			}
		})
	}
}

// A variable that holds something else than text would reach the answer of a
// provider in no other way.
func TestClaimsRefuseWhatIsNotText(t *testing.T) {
	file := "connections: [{id: a, issuer: 'https://id.example', client_id: x, client_secret: s, tests: [{name: t, claims: {a: '${BYTES}'}, expect: {verdict: denied}}]}]"
	_, _, err := Parse("c.yaml", []byte(file), func(string) (string, bool) { return "\xff", true })
	if err == nil || !strings.Contains(err.Error(), "claims.a: is not text in UTF-8") {
		t.Errorf("got %v", err)
	}
}
