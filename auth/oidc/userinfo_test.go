package oidc

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/config"
	"gatehouse/test/badidp"
)

// What merge makes of both documents is what a list of paths is looked for in,
// and the e-mail keeps what stood beside it.
func TestMerge(t *testing.T) {
	mails := config.Attribute{Name: "email", From: []string{"mail", "profile.email", "email"}}
	type want struct {
		Email    string
		Verified bool
		Title    []string
		Groups   []string
	}
	tests := []struct {
		name, token, userinfo string
		want                  want
		withheld              bool
	}{
		{"the token wins", `{"title":"a","groups":["a"]}`, `{"title":"b","groups":["b"]}`, want{Title: []string{"a"}, Groups: []string{"a"}}, false},
		{"null in the token is absent", `{"title":null,"groups":null}`, `{"title":"b","groups":["b"]}`, want{Title: []string{"b"}, Groups: []string{"b"}}, false},
		{"blank in the token is sent", `{"title":"","groups":[]}`, `{"title":"b","groups":["b"]}`, want{Title: []string{}, Groups: []string{}}, false},
		{"the first path, in userinfo", `{"job_title":"a"}`, `{"title":"b"}`, want{Title: []string{"b"}}, false},
		{"the first path, in the token", `{"title":"a"}`, `{"job_title":"b"}`, want{Title: []string{"a"}}, false},
		{"inside one object", `{"job":{"level":1}}`, `{"job":{"title":"b","level":2}}`, want{Title: []string{"b"}}, false},
		{"the token's stands in the way", `{"job":"none"}`, `{"job":{"title":"b"}}`, want{}, false},
		{"the e-mail of the first path, and its word", `{"email":"a@x.example"}`, `{"mail":"b@x.example","email_verified":true}`, want{Email: "b@x.example", Verified: true}, false},
		{"the first path, the token's word", `{"email":"a@x.example","email_verified":true}`, `{"mail":"b@x.example"}`, want{Email: "b@x.example"}, false},
		{"the token's first path, userinfo's word", `{"mail":"a@x.example"}`, `{"email_verified":true,"email":"a@x.example"}`, want{Email: "a@x.example"}, false},
		{"inside, userinfo's word", `{"profile":{"email":"a@x.example"}}`, `{"profile":{"email_verified":true}}`, want{Email: "a@x.example"}, false},
		{"inside, the token's word", `{"profile":{"email_verified":true}}`, `{"profile":{"email":"b@x.example"}}`, want{Email: "b@x.example"}, false},
		{"inside, its own word", `{"profile":{"nick":"a","email_verified":false}}`, `{"profile":{"email":"b@x.example","email_verified":true}}`, want{Email: "b@x.example", Verified: true}, false},
		{"withheld by the token, sent by userinfo", `{"_claim_names":{"groups":"s"}}`, `{"groups":["b"]}`, want{Groups: []string{"b"}}, false},
		{"withheld by userinfo alone", `{"_claim_names":{"address":"s"}}`, `{"_claim_names":{"groups":"s"}}`, want{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := mapping(mails, config.Attribute{Name: "title", From: []string{"title", "job.title", "job_title"}})
			token, err := DecodeClaims([]byte(tt.token))
			if err != nil {
				t.Fatal(err)
			}
			userinfo, err := DecodeClaims([]byte(tt.userinfo))
			if err != nil {
				t.Fatal(err)
			}
			token["sub"], userinfo["sub"] = "subject-1", "subject-1"
			id, err := MapClaims(conn, "https://id.example", merge(conn, token, userinfo))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, want{id.Email, id.EmailVerified, id.Attributes["title"], id.Groups}); diff != "" || id.Withheld != tt.withheld {
				t.Errorf("withheld %t; (-want +got):\n%s", id.Withheld, diff)
			}
			before, _ := DecodeClaims([]byte(tt.token))
			before["sub"] = "subject-1"
			if diff := cmp.Diff(before, token); diff != "" {
				t.Errorf("the token's claims were changed:\n%s", diff)
			}
		})
	}
}

// TestUserinfo: userinfo is asked only for what the ID token lacks, cannot
// replace what the ID token says, and never lends its "verified" to an address
// of the ID token, or the other way round.
func TestUserinfo(t *testing.T) {
	type m = map[string]any
	type result struct {
		Email    string
		Verified bool
		Groups   []string
		AMR      []string
		Asked    int
	}
	tests := []struct {
		name            string
		token, userinfo m
		want            result
	}{
		{"not needed", m{"email": "a@x.example", "email_verified": true, "groups": []any{"g"}}, m{"groups": []any{"evil"}}, result{"a@x.example", true, []string{"g"}, nil, 0}},
		{"groups from there", m{"email": "a@x.example", "email_verified": true}, m{"groups": []any{"g"}}, result{"a@x.example", true, []string{"g"}, nil, 1}},
		{"all from there", m{}, m{"email": "a@x.example", "email_verified": true, "groups": []any{"g"}}, result{"a@x.example", true, []string{"g"}, nil, 1}},
		{"it has nothing either", m{}, m{}, result{"", false, nil, nil, 1}},
		{"it replaces nothing", m{"email": "a@x.example"}, m{"email": "b@x.example"}, result{"a@x.example", false, nil, nil, 1}},
		{"its verified, the token's address", m{"email": "a@x.example"}, m{"email_verified": true}, result{"a@x.example", false, nil, nil, 1}},
		{"its verified, even of the same address", m{"email": "a@x.example"}, m{"email": "a@x.example", "email_verified": true}, result{"a@x.example", false, nil, nil, 1}},
		{"the token's verified, its address", m{"email_verified": true}, m{"email": "b@x.example"}, result{"b@x.example", false, nil, nil, 1}},
		{"it does not tell of the sign-in", m{"email": "a@x.example"}, m{"amr": []any{"mfa"}, "acr": "9", "sid": "s"}, result{"a@x.example", false, nil, nil, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			idp := badidp.Start(t)
			claims := m{"sub": "subject-1", "preferred_username": "pat", "name": "Pat"}
			for name, v := range tt.token {
				claims[name] = v
			}
			idp.SetPersona("", claims, tt.userinfo)
			p, _ := connect(t, idp.URL())
			id, tokens, err := signIn(t, p, pending)
			if err != nil {
				t.Fatal(err)
			}
			got := result{id.Email, id.EmailVerified, id.Groups, id.AMR, idp.Count(badidp.PathUserinfo)}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tokens.IdPSession != "" || id.ACR != "" {
				t.Error("userinfo told of the sign-in")
			}
		})
	}
}

// A requirement of the connection may name a claim that only userinfo has.
func TestUserinfoForRequirement(t *testing.T) {
	idp := badidp.Start(t)
	idp.SetUserinfo(map[string]any{"employed": true})
	p, _ := connect(t, idp.URL())
	p.Connection.Require.Claims = map[string][]string{"employed": {"true"}}
	id, _, err := signIn(t, p, pending)
	if err != nil {
		t.Fatal(err)
	}
	if id.Claims["employed"] != any(true) {
		t.Errorf("got %v", id.Claims)
	}
}

// Of a list of paths, userinfo is asked for those that would count before the
// one that the ID token has, and for nothing that is kept elsewhere.
func TestUserinfoIsAskedForMissingPaths(t *testing.T) {
	conn := mapping(config.Attribute{Name: "title", From: []string{"title", "job_title"}}, config.Attribute{Name: "tenant", Constant: []string{"acme"}})
	const rest = `"preferred_username":"pat","email":"","name":"","groups":[]`
	tests := []struct {
		name, claims string
		want         bool
	}{
		{"the first is there", `{` + rest + `,"title":""}`, false},
		{"only the second", `{` + rest + `,"job_title":"b"}`, true},
		{"neither", `{` + rest + `}`, true},
		{"the first is null", `{` + rest + `,"title":null,"job_title":"b"}`, true},
		{"kept elsewhere", `{` + rest + `,"_claim_names":{"title":"s"},"job_title":"b"}`, false},
		{"groups kept elsewhere", `{"preferred_username":"pat","email":"","name":"","title":"","hasgroups":true}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := DecodeClaims([]byte(tt.claims))
			if err != nil {
				t.Fatal(err)
			}
			p := &Provider{Connection: conn}
			if got := p.needsUserinfo(&metadata{UserinfoURL: "https://id.example/userinfo"}, claims); got != tt.want {
				t.Errorf("asked: %t, want %t", got, tt.want)
			}
		})
	}
}
