package badidp

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
)

// shapeFaults are claims that no reader may make a person of: of a wrong type,
// nested too deep, too large, or such that two readers read different things.
var shapeFaults = map[Fault]row{
	"shape: e-mail a number":            claim("email", 7),
	"shape: e-mail true":                claim("email", true),
	"shape: e-mail an object":           claim("email", map[string]any{"value": "root@corp.example"}),
	"shape: e-mail a list in a list":    claim("email", []any{[]any{"root@corp.example"}}),
	"shape: username true":              claim("preferred_username", true),
	"shape: username an object":         claim("preferred_username", map[string]any{"name": "root"}),
	"shape: username a list in a list":  claim("preferred_username", []any{[]any{"root"}}),
	"shape: two usernames":              claim("preferred_username", []any{"pat", "root"}),
	"shape: groups true":                claim("groups", true),
	"shape: groups an object":           claim("groups", map[string]any{"admins": true}),
	"shape: groups a list in a list":    claim("groups", []any{[]any{"admins"}}),
	"shape: a boolean among groups":     claim("groups", []any{"staff", false}),
	"shape: an attribute an object":     claim("name", map[string]any{"first": "Pat"}),
	"shape: an attribute of 100 kB":     claim("name", strings.Repeat("n", 100<<10)),
	"shape: a number of 100,000 digits": inside("name", strings.Repeat("9", 100_000)),
	"shape: groups 9,000 levels deep":   inside("groups", strings.Repeat("[", 9_000)+strings.Repeat("]", 9_000)),
	"shape: more than 10,000 levels":    inside("other", strings.Repeat(`{"a":`, 10_100)+"1"+strings.Repeat("}", 10_100)),
	"shape: a name twice":               inside("sub", `"subject-2"`),
	"shape: a name twice, inside":       inside("other", `{"a":1,"b":[{"c":1,"c":1}]}`),
	"shape: not UTF-8":                  inside("other", "\"\xff\xfe\""),
	"shape: no JSON":                    inside("other", "NaN"),
	"shape: a token of 300 kB":          claim("other", strings.Repeat("o", 230<<10)),
	"shape: 300 kB of groups in userinfo": {claims: noGroups, userinfo: func(c map[string]any) {
		c["groups"] = slices.Repeat([]any{strings.Repeat("g", 100)}, 3_000)
	}},
	"shape: a name twice in userinfo": {claims: noGroups, path: PathUserinfo, serve: raw(`{"sub":"subject-2","groups":[],"sub":"subject-1"}`)},
	"shape: userinfo not UTF-8":       {claims: noGroups, path: PathUserinfo, serve: raw("{\"sub\":\"subject-1\",\"groups\":[\"\xff\"]}")},
	"shape: userinfo in two documents": {
		claims: noGroups, path: PathUserinfo,
		serve: raw(`{"sub":"subject-1","groups":["staff"]}{"sub":"subject-1","groups":["admins"]}`),
	},
}

// inside writes a claim, as it stands, behind the others.
func inside(name, value string) row {
	return row{sign: func(_ *IdP, k keypair, payload []byte) string {
		payload = bytes.TrimSuffix(payload, []byte("}"))
		return k.sign(nil, append(payload, `,"`+name+`":`+value+"}"...))
	}}
}

// raw answers with a document that no encoder would make.
func raw(document string) func(*IdP, http.ResponseWriter, *http.Request) {
	return func(_ *IdP, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(document))
	}
}
