package proxy

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/clientip"
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
	high := &auth.Person{User: "h", ACR: "gold"}
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
		{"acr", access{ACR: []string{"gold", "silver"}}, []*auth.Person{high}, []*auth.Person{ann, empty}},
		{"not acr", access{Not: &access{ACR: []string{"gold"}}}, nil, []*auth.Person{high, ann}},
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
				if !m.admits(asker{person: p}) {
					t.Errorf("%q is denied", p.User)
				}
			}
			for _, p := range tt.out {
				if m.admits(asker{person: p}) {
					t.Errorf("%q is admitted", p.User)
				}
			}
		})
	}
}

// Attack: come through a proxy that says nothing of its clients, whose own
// address is one of those that may pass.
func TestAccessByAddress(t *testing.T) {
	office := netip.MustParseAddr("10.1.2.3")
	rule := config.Access{ClientAddresses: []string{"10.0.0.0/8", "2001:db8::/32"}}
	m, not := compileAccess(rule), compileAccess(config.Access{Not: &rule})
	for _, tt := range []struct {
		name      string
		peer      clientip.Peer
		want, out bool
	}{
		{"direct", clientip.Peer{Addr: office, Client: office}, true, false},
		{"elsewhere", clientip.Peer{Addr: netip.MustParseAddr("192.0.2.1"), Client: netip.MustParseAddr("192.0.2.1")}, false, true},
		{"told by a proxy", clientip.Peer{Addr: netip.MustParseAddr("192.0.2.1"), Client: office, Trusted: true}, true, false},
		{"elsewhere, told by a proxy of the office", clientip.Peer{Addr: office, Client: netip.MustParseAddr("192.0.2.1"), Trusted: true}, false, true},
		{"a proxy of the office that does not tell", clientip.Peer{Addr: office, Client: office, Trusted: true}, false, false},
		{"a socket", clientip.Peer{}, false, false},
		{"the other family", clientip.Peer{Client: netip.MustParseAddr("2001:db8::1")}, true, false},
	} {
		who := by(&auth.Person{}, tt.peer)
		if m.admits(who) != tt.want || not.admits(who) != tt.out {
			t.Errorf("%s: %v, and not: %v", tt.name, m.admits(who), not.admits(who))
		}
	}
}

// What is missing is what would have to change, and nothing that holds.
func TestMissing(t *testing.T) {
	m := compileAccess(config.Access{
		Groups: []string{"staff"}, AMR: []string{"mfa"},
		Any: []config.Access{{Users: []string{"zed"}}, {Groups: []string{"admins"}, EmailDomains: []string{"acme.example"}}},
		Not: &config.Access{Connections: []string{"partner"}},
	})
	who := asker{person: &auth.Person{User: "ann", Groups: []string{"staff"}, Connection: "acme", Account: "1"}}
	want := []auth.Requirement{
		{Kind: auth.RequireAMR, Values: []string{"mfa"}},
		{Kind: auth.RequireAny, Parts: []auth.Requirement{
			{Kind: auth.RequireUsers, Values: []string{"zed"}},
			{Kind: auth.RequireAll, Parts: []auth.Requirement{
				{Kind: auth.RequireGroups, Values: []string{"admins"}}, {Kind: auth.RequireEmailDomains, Values: []string{"acme.example"}},
			}},
		}},
	}
	if diff := cmp.Diff(want, m.missing(who)); diff != "" {
		t.Error(diff)
	}
	who.person = &auth.Person{User: "zed", Groups: []string{"staff"}, Connection: "acme", Account: "1", AMR: []string{"mfa"}}
	if got := m.missing(who); len(got) != 0 {
		t.Errorf("somebody who is admitted lacks %v", got)
	}
}

// Of somebody who lacks nothing but proof it is known what would do, and of
// others nothing is promised.
func TestRaise(t *testing.T) {
	local := auth.Person{User: "ann", Groups: []string{"staff"}, Connection: auth.Local, Account: "1", AMR: []string{"pwd"}}
	federated := auth.Person{User: "ann", Groups: []string{"staff"}, Connection: "acme", Account: "1"}
	mfa, gold := config.Access{AMR: []string{"mfa"}}, config.Access{ACR: []string{"gold", "lead"}}
	every := []string{"totp", "passkey", "email_code", "recovery_code"}
	for _, tt := range []struct {
		name              string
		rule              config.Access
		local, byProvider *auth.Raise
	}{
		{"a second factor", mfa, &auth.Raise{Factors: every}, &auth.Raise{}},
		{"a key", config.Access{AMR: []string{"pop"}}, &auth.Raise{Factors: []string{"passkey"}}, &auth.Raise{}},
		{"a level", gold, nil, &auth.Raise{ACR: []string{"gold", "lead"}}},
		{"either", config.Access{Any: []config.Access{gold, mfa}}, &auth.Raise{Factors: every}, &auth.Raise{}},
		{"both", config.Access{AMR: []string{"mfa"}, ACR: []string{"gold"}}, nil, &auth.Raise{ACR: []string{"gold"}}},
		{"a level and a group", config.Access{Groups: []string{"staff"}, ACR: []string{"gold"}}, nil, &auth.Raise{ACR: []string{"gold"}}},
		{"a level and a group of others", config.Access{Groups: []string{"admins"}, ACR: []string{"gold"}}, nil, nil},
		{"not that level", config.Access{ACR: []string{"gold", "lead"}, Not: &config.Access{ACR: []string{"lead"}}}, nil, &auth.Raise{ACR: []string{"gold"}}},
		{"a factor, and not by text message", config.Access{AMR: []string{"mfa"}, Not: &config.Access{AMR: []string{"sms"}}}, &auth.Raise{Factors: every}, &auth.Raise{}},
		{"a group of others", config.Access{Groups: []string{"admins"}}, nil, nil},
		{"a method that no factor is", config.Access{AMR: []string{"face"}}, nil, &auth.Raise{}},
	} {
		r := compileAccess(tt.rule)
		if diff := cmp.Diff(tt.local, r.raise(asker{person: &local})); diff != "" {
			t.Errorf("%s, who came in locally: %s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.byProvider, r.raise(asker{person: &federated})); diff != "" {
			t.Errorf("%s, who came by a provider: %s", tt.name, diff)
		}
	}
}
