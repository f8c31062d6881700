package oidc

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/test/badidp"
)

// mapping is the usual mapping with some of it replaced.
func mapping(replaced ...config.Attribute) config.Connection {
	conn := config.Connection{ID: "acme", Attributes: usual[:len(usual):len(usual)]}
next:
	for _, r := range replaced {
		for i, a := range conn.Attributes {
			if a.Name == r.Name {
				conn.Attributes = append(conn.Attributes[:i:i], conn.Attributes[i+1:]...)
				conn.Attributes = append(conn.Attributes, r)
				continue next
			}
		}
		conn.Attributes = append(conn.Attributes, r)
	}
	return conn
}

// without is the usual mapping without one attribute.
func without(name string) config.Connection {
	conn := mapping()
	conn.Attributes = slices.DeleteFunc(slices.Clone(conn.Attributes), func(a config.Attribute) bool { return a.Name == name })
	return conn
}

func TestMapClaims(t *testing.T) {
	type attrs = map[string][]string
	title := config.Attribute{Name: "title", From: []string{"title", "job_title", "role"}}
	mails := config.Attribute{Name: "email", From: []string{"mail", "profile.email", "email"}}
	either := config.Attribute{Name: "groups", From: []string{"groups", "roles"}}
	tests := []struct {
		name   string
		conn   config.Connection
		claims string // without sub
		want   auth.Identity
	}{
		{"nothing sent", mapping(), `{}`, auth.Identity{}},
		{
			"everything blank", mapping(), `{"preferred_username":"","email":"","name":"","groups":[]}`,
			auth.Identity{Groups: []string{}, Attributes: attrs{"name": {}}},
		},
		{"null is absent", mapping(), `{"name":null,"groups":null,"email":null,"email_verified":null}`, auth.Identity{}},
		{"one group as a string", mapping(), `{"groups":"staff"}`, auth.Identity{Groups: []string{"staff"}}},
		{"a blank group", mapping(), `{"groups":["", " "]}`, auth.Identity{Groups: []string{}}},
		{"groups with a comma stay whole", mapping(), `{"groups":["a,b"]}`, auth.Identity{Groups: []string{"a,b"}}},
		{"same group twice", mapping(), `{"groups":["b","a","b"]}`, auth.Identity{Groups: []string{"b", "a"}}},
		{
			"values of all kinds", mapping(config.Attribute{Name: "x", From: []string{"x"}}), `{"x":["s",12345678901234567890,1.50,1e3,true,false,null]}`,
			auth.Identity{Attributes: attrs{"x": {"s", "12345678901234567890", "1.50", "1e3", "true", "false"}}},
		},
		{"a number as username", mapping(), `{"preferred_username":4711}`, auth.Identity{Username: "4711"}},
		{"e-mail in a list of one", mapping(config.Attribute{Name: "email", From: []string{"emails"}}), `{"emails":["p@x.example"]}`, auth.Identity{Email: "p@x.example"}},

		{
			"dots descend", mapping(config.Attribute{Name: "groups", From: []string{"realm_access.roles"}}), `{"realm_access":{"roles":["a"]}}`,
			auth.Identity{Groups: []string{"a"}},
		},
		{
			"a name that is the whole path wins", mapping(config.Attribute{Name: "x", From: []string{"a.b"}}), `{"a.b":"whole","a":{"b":"inner"}}`,
			auth.Identity{Attributes: attrs{"x": {"whole"}}},
		},
		{
			"a name that is a URL", mapping(config.Attribute{Name: "groups", From: []string{"https://x.example/groups"}}), `{"https://x.example/groups":["a"]}`,
			auth.Identity{Groups: []string{"a"}},
		},
		{
			"a URL, then a name inside", mapping(config.Attribute{Name: "x", From: []string{"https://x.example/claims.unit"}}), `{"https://x.example/claims":{"unit":"u"}}`,
			auth.Identity{Attributes: attrs{"x": {"u"}}},
		},
		{
			"a client id with dots", mapping(config.Attribute{Name: "groups", From: []string{"resource_access.my.app.roles"}}), `{"resource_access":{"my.app":{"roles":["a"]}}}`,
			auth.Identity{Groups: []string{"a"}},
		},
		{"a path into a string", mapping(config.Attribute{Name: "x", From: []string{"name.first"}}), `{"name":"n"}`, auth.Identity{Attributes: attrs{"name": {"n"}}}},
		{"a path of dots", mapping(config.Attribute{Name: "x", From: []string{"..."}}), `{"":{"":"x"}}`, auth.Identity{}},

		{"verified", mapping(), `{"email":"p@x.example","email_verified":true}`, auth.Identity{Email: "p@x.example", EmailVerified: true}},
		{"verified as a string", mapping(), `{"email":"p@x.example","email_verified":"true"}`, auth.Identity{Email: "p@x.example", EmailVerified: true}},
		{"not verified", mapping(), `{"email":"p@x.example","email_verified":false}`, auth.Identity{Email: "p@x.example"}},
		{"TRUE is not true", mapping(), `{"email":"p@x.example","email_verified":"TRUE"}`, auth.Identity{Email: "p@x.example"}},
		{"1 is not true", mapping(), `{"email":"p@x.example","email_verified":1}`, auth.Identity{Email: "p@x.example"}},
		{"[true] is not true", mapping(), `{"email":"p@x.example","email_verified":[true]}`, auth.Identity{Email: "p@x.example"}},
		{"verified, of no address", mapping(), `{"email_verified":true}`, auth.Identity{}},
		{
			"verified, of a claim with another name", mapping(config.Attribute{Name: "email", From: []string{"mail"}}), `{"mail":"p@x.example","email_verified":true}`,
			auth.Identity{Email: "p@x.example", EmailVerified: true},
		},
		// The person may edit mail, and has verified email: that one is not this one.
		{
			"verified, of another address", mapping(config.Attribute{Name: "email", From: []string{"mail"}}), `{"mail":"ceo@x.example","email":"p@x.example","email_verified":true}`,
			auth.Identity{Email: "ceo@x.example"},
		},
		{
			"verified, elsewhere in the answer", mapping(config.Attribute{Name: "email", From: []string{"profile.email"}}), `{"profile":{"email":"ceo@x.example"},"email_verified":true}`,
			auth.Identity{Email: "ceo@x.example"},
		},
		{
			"verified, beside it", mapping(config.Attribute{Name: "email", From: []string{"profile.email"}}), `{"profile":{"email":"p@x.example","email_verified":true}}`,
			auth.Identity{Email: "p@x.example", EmailVerified: true},
		},

		{
			"how and when", mapping(), `{"amr":["pwd",7,"","otp"],"acr":"2","auth_time":1700000000}`,
			auth.Identity{AMR: []string{"pwd", "otp"}, ACR: "2", AuthTime: time.Unix(1700000000, 0).UTC()},
		},
		{"how and when, of wrong types", mapping(), `{"amr":{"a":1},"acr":7,"auth_time":"now"}`, auth.Identity{}},
		{"amr as a string", mapping(), `{"amr":"pwd"}`, auth.Identity{AMR: []string{"pwd"}}},

		// A list of paths.
		{"the first that is sent", mapping(title), `{"job_title":"b","role":"c"}`, auth.Identity{Attributes: attrs{"title": {"b"}}}},
		{"the first of all", mapping(title), `{"role":"c","job_title":"b","title":"a"}`, auth.Identity{Attributes: attrs{"title": {"a"}}}},
		{"none of them", mapping(title), `{"titles":"a"}`, auth.Identity{}},
		{"blank is sent", mapping(title), `{"title":"","job_title":"b"}`, auth.Identity{Attributes: attrs{"title": {}}}},
		{"an empty list is sent", mapping(title), `{"title":[],"job_title":"b"}`, auth.Identity{Attributes: attrs{"title": {}}}},
		{"null is not", mapping(title), `{"title":null,"job_title":"b"}`, auth.Identity{Attributes: attrs{"title": {"b"}}}},
		{
			"blank groups are no reason to look further", mapping(config.Attribute{Name: "groups", From: []string{"groups", "roles"}}),
			`{"groups":[],"roles":["admins"]}`,
			auth.Identity{Groups: []string{}},
		},
		{
			"verified, of the path that counts", mapping(mails), `{"mail":"p@x.example","email_verified":true}`,
			auth.Identity{Email: "p@x.example", EmailVerified: true},
		},
		// The person may edit mail, which comes first; what is verified is email.
		{
			"verified, of a path that does not", mapping(mails), `{"mail":"ceo@x.example","email":"p@x.example","email_verified":true}`,
			auth.Identity{Email: "ceo@x.example"},
		},
		{
			"verified, beside a path that does not", mapping(mails), `{"profile":{"email":"p@x.example","email_verified":true},"mail":"ceo@x.example"}`,
			auth.Identity{Email: "ceo@x.example"},
		},
		{
			"verified, elsewhere than the path that counts", mapping(mails), `{"profile":{"email":"ceo@x.example"},"email_verified":true}`,
			auth.Identity{Email: "ceo@x.example"},
		},
		{"a first path that is blank has no address", mapping(mails), `{"mail":"","email":"p@x.example","email_verified":true}`, auth.Identity{}},

		// Constants.
		{
			"a constant", mapping(config.Attribute{Name: "tenant", Constant: []string{"acme", "b"}}), `{"tenant":"evil"}`,
			auth.Identity{Attributes: attrs{"tenant": {"acme", "b"}}},
		},
		{"constant groups", mapping(config.Attribute{Name: "groups", Constant: []string{"partners"}}), `{"groups":["admins"]}`, auth.Identity{Groups: []string{"partners"}}},
		// Everybody would be one person.
		{
			"a constant e-mail is not verified", mapping(config.Attribute{Name: "email", Constant: []string{"p@x.example"}}), `{"":"p@x.example","email_verified":true}`,
			auth.Identity{Email: "p@x.example"},
		},
		{"a constant beats what is withheld", mapping(config.Attribute{Name: "groups", Constant: []string{"g"}}), `{"hasgroups":true}`, auth.Identity{Groups: []string{"g"}}},

		// Groups that the provider keeps elsewhere.
		{
			"groups withheld", mapping(), `{"_claim_names":{"groups":"s"},"_claim_sources":{"s":{"endpoint":"https://evil.example"}}}`,
			auth.Identity{Withheld: true},
		},
		{"withheld, the first of two paths", mapping(either), `{"_claim_names":{"groups":"s"}}`, auth.Identity{Withheld: true}},
		{"withheld, the second of two paths", mapping(either), `{"_claim_names":{"roles":"s"}}`, auth.Identity{Withheld: true}},
		{"withheld, and another path is sent", mapping(either), `{"_claim_names":{"groups":"s"},"roles":["a"]}`, auth.Identity{Groups: []string{"a"}}},
		{
			"withheld, the head of a path", mapping(config.Attribute{Name: "groups", From: []string{"realm_access.roles"}}), `{"_claim_names":{"realm_access":"s"}}`,
			auth.Identity{Withheld: true},
		},
		{"named and sent all the same", mapping(), `{"_claim_names":{"groups":"s"},"groups":["a"]}`, auth.Identity{Groups: []string{"a"}}},
		{"null, and named", mapping(), `{"_claim_names":{"groups":"s"},"groups":null}`, auth.Identity{Withheld: true}},
		{"another claim is kept elsewhere", mapping(), `{"_claim_names":{"address":"s"}}`, auth.Identity{}},
		{"a name of null", mapping(), `{"_claim_names":{"groups":null}}`, auth.Identity{}},
		{"_claim_names is no object", mapping(), `{"_claim_names":["groups"]}`, auth.Identity{}},
		{"groups are not mapped", without("groups"), `{"_claim_names":{"groups":"s"},"hasgroups":true}`, auth.Identity{}},
		{"hasgroups", mapping(), `{"hasgroups":true}`, auth.Identity{Withheld: true}},
		{"hasgroups as a string", mapping(), `{"hasgroups":"true"}`, auth.Identity{Withheld: true}},
		{"hasgroups, and they are there", mapping(), `{"hasgroups":true,"groups":["a"]}`, auth.Identity{Groups: []string{"a"}}},
		{"hasgroups says no", mapping(), `{"hasgroups":false}`, auth.Identity{}},
		{"hasgroups does not speak of roles", mapping(config.Attribute{Name: "groups", From: []string{"roles"}}), `{"hasgroups":true}`, auth.Identity{}},
		{"groups:src1", mapping(), `{"groups:src1":{"endpoint":"https://evil.example"}}`, auth.Identity{Withheld: true}},
		{"the name of a source in place of groups", mapping(), `{"groups":"src1","_claim_sources":{"src1":{"endpoint":"https://evil.example"}}}`, auth.Identity{Withheld: true}},
		{"a group that is called like a source", mapping(), `{"groups":["src1"],"_claim_sources":{"src1":{}}}`, auth.Identity{Groups: []string{"src1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := DecodeClaims([]byte(tt.claims))
			if err != nil {
				t.Fatal(err)
			}
			claims["sub"] = "subject-1"
			got, err := MapClaims(tt.conn, "https://id.example", claims)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Claims, claims) {
				t.Error("the raw claims are missing")
			}
			got.Claims = nil
			tt.want.Connection, tt.want.Issuer, tt.want.Subject = "acme", "https://id.example", "subject-1"
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMapClaimsRefuses(t *testing.T) {
	long := strings.Repeat("v", maxValue+1)
	deep := strings.Repeat(`[`, 9_990) + strings.Repeat(`]`, 9_990)
	tests := []struct{ name, claims, want string }{
		{"no subject", `{}`, "sub"},
		{"a subject of another type", `{"sub":7}`, "sub"},
		{"a subject that is a list", `{"sub":["s"]}`, "sub"},
		{"an object", `{"sub":"s","name":{"first":"n"}}`, "name"},
		{"an object among groups", `{"sub":"s","groups":["a",{"b":1}]}`, "groups"},
		{"a list among groups", `{"sub":"s","groups":[["a"]]}`, "groups"},
		{"two e-mail addresses", `{"sub":"s","email":["a@x.example","b@x.example"]}`, "email"},
		{"e-mail is a number", `{"sub":"s","email":7}`, "email"},
		{"e-mail is true", `{"sub":"s","email":[true]}`, "email"},
		{"two usernames", `{"sub":"s","preferred_username":["a","b"]}`, "preferred_username"},
		{"e-mail is false", `{"sub":"s","email":false}`, "email"},
		{"e-mail is a number in a list", `{"sub":"s","email":[7]}`, "email"},
		{"e-mail is an object", `{"sub":"s","email":{"value":"a@x.example"}}`, "email"},
		{"e-mail is a list in a list", `{"sub":"s","email":[["a@x.example"]]}`, "email"},
		{"username is true", `{"sub":"s","preferred_username":true}`, "preferred_username"},
		{"username is an object", `{"sub":"s","preferred_username":{}}`, "preferred_username"},
		{"username is a list in a list", `{"sub":"s","preferred_username":[["a"]]}`, "preferred_username"},
		{"groups is true", `{"sub":"s","groups":true}`, "groups"},
		{"groups hold false", `{"sub":"s","groups":["a",false]}`, "groups"},
		{"groups is an object", `{"sub":"s","groups":{"a":true}}`, "groups"},
		{"an attribute is an object", `{"sub":"s","x":{}}`, "x"},
		{"an attribute is a list in a list", `{"sub":"s","x":[[]]}`, "x"},
		{"deep lists", `{"sub":"s","groups":` + deep + `}`, "groups"},
		{"deep objects", `{"sub":"s","x":` + strings.Repeat(`{"x":`, 9_990) + `1` + strings.Repeat(`}`, 9_990) + `}`, "x"},
		{"the first path is bad and the second good", `{"sub":"s","x":{},"y":"good"}`, "x"},
		{"a value of 100 kB", `{"sub":"s","x":"` + strings.Repeat("v", 100<<10) + `"}`, "x"},
		{"a number of 100,000 digits", `{"sub":"s","x":` + strings.Repeat("9", 100_000) + `}`, "x"},
		{"a huge value", `{"sub":"s","name":"` + long + `"}`, "name"},
		{"huge in total", `{"sub":"s","groups":["` + strings.Repeat(long[2:]+`","`, 5) + `"]}`, "groups"},
		{"too many values", `{"sub":"s","groups":[` + strings.Repeat("1,", maxValues) + `1]}`, "groups"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := DecodeClaims([]byte(tt.claims))
			if err != nil {
				t.Fatal(err)
			}
			got, err := MapClaims(mapping(config.Attribute{Name: "x", From: []string{"x", "y"}}), "https://id.example", claims)
			if !errors.Is(err, auth.ErrInvalidAnswer) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ErrInvalidAnswer that names %s", err, tt.want)
			}
			if !cmp.Equal(got, auth.Identity{}) {
				t.Errorf("an identity came with the error: %+v", got)
			}
		})
	}
}

// What is unusual and no reason to refuse.
func TestMapClaimsBears(t *testing.T) {
	deep := strings.Repeat(`{"x":`, 9_990) + `1` + strings.Repeat(`}`, 9_990)
	tests := []struct {
		name, claims string
		groups       int
		x            string
	}{
		{"10,000 groups", `{"sub":"s","groups":[` + strings.Repeat(`"g",`, maxValues-1) + `"h"]}`, 2, ""},
		{"depth in a claim that is not mapped", `{"sub":"s","other":` + deep + `}`, 0, ""},
		{"100 kB in a claim that is not mapped", `{"sub":"s","other":"` + strings.Repeat("v", 100<<10) + `"}`, 0, ""},
		{"a number that no computer holds", `{"sub":"s","x":1e400000}`, 0, "1e400000"},
		{"auth_time that no calendar holds", `{"sub":"s","auth_time":1e400}`, 0, ""},
		{"control and bidi characters", `{"sub":"s","x":"a\r\n\u202e\u0000b"}`, 0, "a\r\n\u202e\x00b"},
		{"half a surrogate pair", `{"sub":"s","x":"a\ud800"}`, 0, "a\ufffd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := DecodeClaims([]byte(tt.claims))
			if err != nil {
				t.Fatal(err)
			}
			got, err := MapClaims(mapping(config.Attribute{Name: "x", From: []string{"x"}}), "https://id.example", claims)
			if err != nil || len(got.Groups) != tt.groups || strings.Join(got.Attributes["x"], "|") != tt.x {
				t.Errorf("got %d groups, x %q, %v", len(got.Groups), got.Attributes["x"], err)
			}
		})
	}
}

func TestDecodeClaims(t *testing.T) {
	tests := []struct{ name, in, want string }{ // the error, or "" for none
		{"an object", `{"a":[{"b":1},{"b":2}],"c":{"a":null,"b":"b"}, "b":"a"}`, ""},
		{"blanks around", " {} \n", ""},
		{"ten thousand levels", strings.Repeat(`{"a":`, 9_999) + `{}` + strings.Repeat(`}`, 9_999), ""},
		{"more levels", strings.Repeat(`{"a":`, 10_000) + `{}` + strings.Repeat(`}`, 10_000), "levels"},
		{"a list", `[]`, "not a JSON object"},
		{"null", `null`, "not a JSON object"},
		{"a string", `"a"`, "not a JSON object"},
		{"nothing", ``, "not a JSON object"},
		{"half", `{"a":`, "not a JSON object"},
		{"two", `{}{}`, "more than one"},
		{"a brace too many", `{}}`, "more than one"},
		// Each is read as another person by one of two readers.
		{"a name twice", `{"sub":"a","sub":"b"}`, "twice"},
		{"a name twice, spelled otherwise", `{"sub":"a","\u0073ub":"b"}`, "twice"},
		{"a name twice, the value the same", `{"sub":"a","sub":"a"}`, "twice"},
		{"a name twice, inside", `{"a":[{"b":{"c":1,"d":[{}],"c":2}}]}`, "twice"},
		{"a name twice, the first an object", `{"a":{"b":1},"a":2}`, "twice"},
		{"two broken names", `{"\ud800":1,"\udfff":2}`, "twice"},
		{"not UTF-8", "{\"a\":\"\xff\"}", "UTF-8"},
		{"a number that is none", `{"a":NaN}`, "not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := DecodeClaims([]byte(tt.in))
			if tt.want == "" {
				if err != nil || claims == nil {
					t.Errorf("got %v, %v", claims, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || claims != nil {
				t.Errorf("got %v, %v; want an error with %q", claims, err, tt.want)
			}
		})
	}
}

// Entra leaves groups out of a token when there are too many and says where
// to ask. Nobody is asked, and the log says why the groups are missing.
func TestGroupsKeptElsewhere(t *testing.T) {
	idp := badidp.Start(t)
	idp.SetFault("quirk: groups kept elsewhere")
	p, out := connect(t, idp.URL())
	id, _, err := signIn(t, p, pending)
	if err != nil {
		t.Fatal(err)
	}
	if id.Groups != nil || !id.Withheld || idp.Astray() != 0 || idp.Count(badidp.PathUserinfo) != 0 {
		t.Errorf("groups %v, withheld %t, %d requests astray, %d to userinfo", id.Groups, id.Withheld, idp.Astray(), idp.Count(badidp.PathUserinfo))
	}
	if !strings.Contains(out.String(), "claims=[groups]") {
		t.Errorf("the log does not say so:\n%s", out)
	}
}

func FuzzMapClaims(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"s","email":"a@x.example","email_verified":true,"groups":["a"],"name":"n"}`,
		`{"sub":"s","a":{"b":{"c":1}},"a.b":{"c":2},"a.b.c":3}`, `{"sub":"s","groups":[[],{},null]}`, `{"sub":"s","email":[["x"]]}`,
		`{"sub":"\ud800"}`, `{"sub":"s","_claim_names":[]}`, `{"sub":"s","auth_time":1e400,"amr":[{}]}`, `{"email":{"email_verified":true}}`,
	} {
		f.Add([]byte(seed), "a.b.c")
	}
	f.Fuzz(func(t *testing.T, payload []byte, path string) {
		if strings.Count(path, ".") > 20 {
			return
		}
		var loose map[string]any // as `gatehouse explain` may decode it: numbers are float64
		if json.Unmarshal(payload, &loose) == nil {
			_, _ = MapClaims(mapping(config.Attribute{Name: "x", From: []string{path}}), "i", loose)
		}
		claims, err := DecodeClaims(payload)
		if err != nil {
			return
		}
		for _, conn := range []config.Connection{
			mapping(config.Attribute{Name: "x", From: []string{path}}),
			mapping(config.Attribute{Name: "email", From: []string{path}}),
		} {
			distributed(conn, claims)
			merge(conn, claims, claims)
			id, err := MapClaims(conn, "i", claims)
			if err != nil {
				if !errors.Is(err, auth.ErrInvalidAnswer) {
					t.Errorf("got %v, want ErrInvalidAnswer", err)
				}
				continue
			}
			if id.Subject != claims["sub"] || id.Subject == "" || len(id.Subject) > maxSubject {
				t.Errorf("subject %q", id.Subject)
			}
			if id.EmailVerified && id.Email == "" {
				t.Error("no address is verified")
			}
			for name, list := range id.Attributes {
				if list == nil || len(list) > maxValues {
					t.Errorf("attribute %s: %d values, nil %t", name, len(list), list == nil)
				}
			}
		}
	})
}
