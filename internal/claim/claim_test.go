package claim

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLookup(t *testing.T) {
	claims := map[string]any{
		"email":                    "ann@acme.example",
		"null":                     nil,
		"https://x.example/groups": []any{"staff"},
		"a.b":                      "the dotted name",
		"a":                        map[string]any{"b": "below a", "c": map[string]any{"d": "deep"}},
		"resource_access":          map[string]any{"my.client": map[string]any{"roles": "of a dotted client"}},
		"text":                     "no object",
	}
	for _, c := range []struct {
		path string
		want any
		ok   bool
	}{
		{"email", "ann@acme.example", true},
		{"https://x.example/groups", []any{"staff"}, true},
		{"a.b", "the dotted name", true},
		{"a.c.d", "deep", true},
		{"resource_access.my.client.roles", "of a dotted client", true},
		{"null", nil, false},
		{"text.more", nil, false},
		{"a.", nil, false},
		{".a", nil, false},
		{"", nil, false},
		{"missing.at.all", nil, false},
	} {
		got, ok := Lookup(claims, c.path)
		if ok != c.ok || !cmp.Equal(got, c.want) {
			t.Errorf("Lookup(%q) = %v, %v; want %v, %v", c.path, got, ok, c.want, c.ok)
		}
	}
}

func TestLocate(t *testing.T) {
	inner := map[string]any{"email": "x", "email_verified": true}
	at, ok := Locate(map[string]any{"profile": inner}, "profile.email")
	want := Place{Top: "profile", Object: inner, Name: "email"}
	if !ok || !cmp.Equal(at, want) {
		t.Errorf("Locate = %+v, %v; want %+v", at, ok, want)
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		in   any
		want string
		ok   bool
	}{
		{"a", "a", true},
		{"", "", true},
		{true, "true", true},
		{json.Number("12345678901234567890"), "12345678901234567890", true},
		{float64(3), "3", true},
		{nil, "", false},
		{[]any{"a"}, "", false},
		{map[string]any{}, "", false},
	} {
		if got, ok := Text(c.in); got != c.want || ok != c.ok {
			t.Errorf("Text(%v) = %q, %v; want %q, %v", c.in, got, ok, c.want, c.ok)
		}
	}
}
