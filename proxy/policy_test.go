package proxy

import (
	"testing"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

func TestAccess(t *testing.T) {
	yes, no := true, false
	type access = config.Access
	ann := &auth.Person{User: "ann", Email: "Ann@Acme.example", Groups: []string{"staff", "dev"}, Connection: "local", Account: "1", AMR: []string{"pwd", "otp"}}
	bob := &auth.Person{User: "acme:7", Groups: []string{"dev"}, Connection: "acme"}
	unsaid := &auth.Person{User: "acme:8", Connection: "acme"}                         // a source that sent no groups
	lonely := &auth.Person{User: "carl", Connection: "local", Account: "3"}            // an account without groups
	odd := &auth.Person{User: "o", Email: "a@acme.example@evil", Groups: []string{""}} // no honest domain
	empty := &auth.Person{}
	for _, tt := range []struct {
		name string
		rule access
		in   []*auth.Person
		out  []*auth.Person
	}{
		{"authenticated", access{}, []*auth.Person{ann, bob, unsaid, lonely, odd}, nil},
		{"groups", access{Groups: []string{"staff", "ops"}}, []*auth.Person{ann}, []*auth.Person{bob, unsaid, lonely, odd, empty}},
		{"group names are not folded", access{Groups: []string{"Staff"}}, nil, []*auth.Person{ann}},
		{"users", access{Users: []string{"ann"}}, []*auth.Person{ann}, []*auth.Person{bob, empty}},
		{"emails ignore ASCII case", access{Emails: []string{"aNN@acme.EXAMPLE"}}, []*auth.Person{ann}, []*auth.Person{bob, odd}},
		{"domain", access{EmailDomains: []string{"ACME.example"}}, []*auth.Person{ann}, []*auth.Person{bob, odd, empty}},
		{"domain is not a suffix", access{EmailDomains: []string{"example", "e.example", ""}}, nil, []*auth.Person{ann, bob, odd, empty}},
		{"connections", access{Connections: []string{"acme"}}, []*auth.Person{bob}, []*auth.Person{ann, empty}},
		{"local", access{Local: &yes}, []*auth.Person{ann, lonely}, []*auth.Person{bob, empty}},
		{"not local", access{Local: &no}, []*auth.Person{bob}, []*auth.Person{ann, empty}},
		{"amr", access{AMR: []string{"otp", "hwk"}}, []*auth.Person{ann}, []*auth.Person{bob}},
		{"all keys must hold", access{Groups: []string{"dev"}, Local: &yes}, []*auth.Person{ann}, []*auth.Person{bob, lonely}},
		{"any", access{Any: []access{{Users: []string{"acme:7"}}, {Groups: []string{"staff"}}}}, []*auth.Person{ann, bob}, []*auth.Person{unsaid, lonely}},
		{"all", access{All: []access{{Groups: []string{"dev"}}, {Groups: []string{"staff"}}}}, []*auth.Person{ann}, []*auth.Person{bob}},
		{"any over public", access{Any: []access{{Public: true}, {Groups: []string{"x"}}}}, []*auth.Person{ann, empty}, nil},
		// Attack: not knowing is no proof. A person whose source leaves the
		// claim out must not pass a rule that keeps its bearers out.
		{"not groups", access{Not: &access{Groups: []string{"staff"}}}, []*auth.Person{bob, lonely}, []*auth.Person{ann, unsaid}},
		{"not email", access{Not: &access{Emails: []string{"x@y.example"}}}, []*auth.Person{ann}, []*auth.Person{bob, unsaid}},
		{"not domain", access{Not: &access{EmailDomains: []string{"evil"}}}, []*auth.Person{ann}, []*auth.Person{odd, bob}},
		{"not amr", access{Not: &access{AMR: []string{"pwd"}}}, nil, []*auth.Person{ann, bob}},
		{"not connection", access{Not: &access{Connections: []string{"acme"}}}, []*auth.Person{ann}, []*auth.Person{bob, empty}},
		{"not any", access{Not: &access{Any: []access{{Emails: []string{"x@y.example"}}, {Users: []string{"zed"}}}}}, []*auth.Person{ann}, []*auth.Person{bob}},
		{"not not", access{Not: &access{Not: &access{Groups: []string{"staff"}}}}, []*auth.Person{ann}, []*auth.Person{bob, unsaid, lonely}},
		// An empty list names nobody; read as "no rule" it would admit everybody.
		{"empty groups", access{Groups: []string{}}, nil, []*auth.Person{ann, empty}},
		{"empty all", access{All: []access{}}, nil, []*auth.Person{ann}},
		{"empty any", access{Any: []access{}}, nil, []*auth.Person{ann}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := compileAccess(tt.rule)
			for _, p := range tt.in {
				if !m.admits(p) {
					t.Errorf("%q is denied", p.User)
				}
			}
			for _, p := range tt.out {
				if m.admits(p) {
					t.Errorf("%q is admitted", p.User)
				}
			}
		})
	}
}
