package web

import (
	"testing"

	"gatehouse/auth"
)

func TestRequirementInWords(t *testing.T) {
	type q = auth.Requirement
	groups := q{Kind: auth.RequireGroups, Values: []string{"staff"}}
	for _, tt := range []struct {
		in   q
		want string
	}{
		{groups, "membership in the group staff"},
		{q{Kind: auth.RequireGroups, Values: []string{"a", "b"}}, "membership in one of the groups a, b"},
		// Who else may pass is nobody's business.
		{q{Kind: auth.RequireUsers, Values: []string{"zed"}}, "a place on its list of people"},
		{q{Kind: auth.RequireEmails, Values: []string{"zed@acme.example"}}, "a place on its list of people"},
		{q{Kind: auth.RequireAddresses, Values: []string{"10.0.0.0/8"}}, "a network on its list"},
		{q{Kind: auth.RequireEmailDomains, Values: []string{"acme.example", "b.example"}}, "a verified e-mail address at acme.example or b.example"},
		{q{Kind: auth.RequireConnections, Values: []string{"acme"}}, "a sign-in by acme"},
		{q{Kind: auth.RequireLocal, Values: []string{"true"}}, "a sign-in with a password of this site"},
		{q{Kind: auth.RequireLocal, Values: []string{"false"}}, "a sign-in by your organisation, without a password of this site"},
		{q{Kind: auth.RequireAMR, Values: []string{"mfa"}}, "a sign-in with a second factor"},
		{q{Kind: auth.RequireAMR, Values: []string{"hwk", "pop"}}, "a sign-in by one of the methods hwk, pop"},
		{q{Kind: auth.RequireACR, Values: []string{"gold"}}, "a sign-in of the level gold"},
		{q{Kind: auth.RequireAny, Parts: []q{groups, {Kind: auth.RequireAll, Parts: []q{groups, {Kind: auth.RequireAMR, Values: []string{"mfa"}}}}}}, "one of these: membership in the group staff; or membership in the group staff, and a sign-in with a second factor"},
		{q{Kind: auth.RequireNot, Parts: []q{groups}}, "that this does not hold, and is known not to: membership in the group staff"},
		{q{Kind: auth.RequireNot, Parts: []q{{Kind: auth.RequireAll}}}, "that this does not hold, and is known not to: a sign-in"},
		{q{Kind: auth.RequireNobody}, "something that nobody has"},
	} {
		if got := requirement(tt.in); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.in, got, tt.want)
		}
	}
}
