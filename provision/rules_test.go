package provision

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// Attack: somebody whom an administrator has just shut out by a narrower
// require, email_domains, trust_email or groups_allowed goes on with the
// session, the groups and the e-mail that they had.
func TestSessionsEndWithTheRulesOfTheirConnection(t *testing.T) {
	policy := func(name, mode string) func(*config.Connection) {
		return func(c *config.Connection) {
			i := slices.IndexFunc(c.Attributes, func(a config.Attribute) bool { return a.Name == name })
			c.Attributes = slices.Clone(c.Attributes)
			c.Attributes[i].Mode = mode
		}
	}
	for _, c := range []struct {
		name   string
		change func(*config.Connection)
		on     bool // ends sessions where JIT is on
		off    bool
	}{
		{"nothing", func(*config.Connection) {}, false, false},
		{"groups_allowed: none", func(c *config.Connection) { c.Groups = &[]string{} }, true, true},
		{"groups_allowed: fewer", func(c *config.Connection) { c.Groups = &[]string{"staff"} }, true, true},
		{"groups_allowed: all", func(c *config.Connection) { c.Groups = nil }, true, true},
		{"groups_allowed: another order", func(c *config.Connection) { c.Groups = &[]string{"admins", "staff"} }, false, false},
		{"email_domains", domains("other.example"), true, true},
		{"require.groups", requireGroups("board"), true, true},
		{"require.claims", requireClaim("tenant", "one"), true, true},
		{"trust_email", func(c *config.Connection) { c.TrustEmail = config.TrustNever }, true, true},
		{"where groups come from", mapped("groups", "roles"), true, true},
		{"where the e-mail comes from", mapped("email", "mail"), true, true},
		// What an account has of an attribute is not in its session.
		{"where an attribute comes from", mapped("salary", "pay"), false, true},
		{"the user", func(c *config.Connection) { c.User = "{username}" }, false, true},
		{"where one that only sessions have comes from", mapped("risk", "score"), true, true},
		{"that an attribute is for sessions only", policy("title", config.ModeSessionOnly), true, false},
		{"that it no longer is", policy("risk", config.ModePreserve), true, false},
		{"when accounts take an attribute", policy("title", config.ModeImportOnce), false, false},
		{"group_mapping", func(c *config.Connection) { c.GroupMapping = map[string][]string{"staff": {"people"}} }, true, true},
		{"group_mapping: another order", func(c *config.Connection) {
			c.GroupMapping = map[string][]string{"crew": {"b", "a"}}
		}, false, false},
		{"group_mapping: one name more", func(c *config.Connection) {
			c.GroupMapping = map[string][]string{"crew": {"a", "b", "c"}}
		}, true, true},
		{"attribute_sync", func(c *config.Connection) { c.JIT.AttributeSync = config.SyncNone }, false, false},
		{"its name on the page", func(c *config.Connection) { c.Name = "Other" }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, nil)
			for _, id := range []string{"acme", "guest"} {
				c := h.conn(id)
				c.Groups, c.GroupMapping = &[]string{"staff", "admins"}, map[string][]string{"crew": {"a", "b"}}
				c.Attributes = []config.Attribute{
					{Name: "title", From: []string{"title"}}, {Name: "risk", From: []string{"risk"}, Mode: config.ModeSessionOnly},
				}
			}
			h.open()
			on, off := session(h.resolve(identity("acme", "alice"))), session(h.resolve(identity("guest", "gus")))
			partner := session(h.resolve(identity("partner", "bob")))
			for _, id := range []string{"acme", "guest"} {
				c.change(h.conn(id))
			}
			h.open()
			for _, s := range []struct {
				*auth.Session
				ends bool
			}{{on, c.on}, {off, c.off}, {partner, false}} {
				_, err := h.resolver.Person(t.Context(), s.Session)
				if errors.Is(err, auth.ErrUnauthenticated) != s.ends || err != nil != s.ends {
					t.Errorf("session through %s: %v, should end: %t", s.Identity.Connection, err, s.ends)
				}
			}
		})
	}
}

func mapped(name, path string) func(*config.Connection) {
	return func(c *config.Connection) {
		c.Attributes = slices.Clone(c.Attributes)
		for i := range c.Attributes {
			if c.Attributes[i].Name == name {
				c.Attributes[i].From = []string{path}
				return
			}
		}
		c.Attributes = append(c.Attributes, config.Attribute{Name: name, From: []string{path}})
	}
}

// Attack: what no provider may supply any more is still told to applications by
// sessions from before.
func TestSessionsEndWithWhatIsProtected(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*config.JITProvisioning)
		on     bool
		off    bool
	}{
		{"a group", func(p *config.JITProvisioning) { p.ProtectedGroups = []string{"staff"} }, true, true},
		{"an attribute that only sessions have", func(p *config.JITProvisioning) { p.ProtectedAttributes = []string{"risk"} }, true, true},
		// An account's is read on each request.
		{"an attribute of accounts", func(p *config.JITProvisioning) { p.ProtectedAttributes = []string{"title"} }, false, true},
		{"an attribute that is not mapped", func(p *config.JITProvisioning) { p.ProtectedAttributes = []string{"desk"} }, false, false},
		{"sources of one that only sessions have", func(p *config.JITProvisioning) { p.AttributeSources = map[string][]string{"risk": {"partner"}} }, true, false},
		{"sources of another", func(p *config.JITProvisioning) { p.AttributeSources = map[string][]string{"title": {"partner"}} }, false, false},
		{"quarantine", func(p *config.JITProvisioning) { p.Quarantine = time.Hour }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, nil)
			for _, id := range []string{"acme", "guest"} {
				h.conn(id).Attributes = []config.Attribute{
					{Name: "title", From: []string{"title"}}, {Name: "risk", From: []string{"risk"}, Mode: config.ModeSessionOnly},
				}
			}
			h.open()
			sessions := map[*auth.Session]bool{
				session(h.resolve(identity("acme", "alice"))): c.on, session(h.resolve(identity("guest", "gus"))): c.off,
			}
			c.change(&h.conf.JITProvisioning)
			h.open()
			for s, ends := range sessions {
				if _, err := h.resolver.Person(t.Context(), s); errors.Is(err, auth.ErrUnauthenticated) != ends {
					t.Errorf("session through %s: %v, should end: %t", s.Identity.Connection, err, ends)
				}
			}
		})
	}
}

// Attack: a cookie from before sessions bore the rules of their sign-in gets
// around them for the rest of its life.
func TestSessionWithoutRulesEnds(t *testing.T) {
	h := newHouse(t, nil)
	for _, connection := range []string{"acme", "guest"} {
		s := session(h.resolve(identity(connection, "alice")))
		s.Rules = ""
		if p, err := h.resolver.Person(t.Context(), s); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: %+v, %v", connection, p, err)
		}
	}
}

// Attack: a group that a connection may no longer give is used by coming in
// another way, by password or through another connection, where nothing
// synchronizes it.
func TestGroupsCountOnlyWhileTheirSourceMayGiveThem(t *testing.T) {
	all := []string{"local", "staff", "admins", "partners"}
	for _, c := range []struct {
		name   string
		change func(*config.Config)
		want   []string
	}{
		{"as given", func(*config.Config) {}, all},
		{"groups_allowed has one", func(c *config.Config) { c.Connection("acme").Groups = &[]string{"staff"} }, []string{"local", "staff", "partners"}},
		{"groups_allowed has none", func(c *config.Config) { c.Connection("acme").Groups = &[]string{} }, []string{"local", "partners"}},
		{"one is protected", func(c *config.Config) { c.JITProvisioning.ProtectedGroups = []string{"admins", "local"} }, []string{"local", "staff", "partners"}},
		{"the connection is disabled", func(c *config.Config) { c.Connection("acme").Disabled = true }, []string{"local", "partners"}},
		{"the connection is gone", func(c *config.Config) { c.Connections = c.Connections[1:] }, []string{"local", "partners"}},
		// Whoever runs the new issuer could otherwise inherit what the old one said.
		{"the issuer is another", func(c *config.Config) { c.Connection("acme").Issuer = "https://new.example" }, []string{"local", "partners"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, nil)
			h.add(New{Username: "alice", Email: "alice@people.example", Groups: []string{"local"}})
			h.resolve(identity("acme", "alice", groups("staff", "admins")))
			partner := h.resolve(identity("partner", "alice", groups("partners")))
			before := h.show("alice")
			c.change(h.conf)
			h.open()
			local := h.resolve(auth.Identity{Connection: auth.Local, Subject: partner.Account})
			partner = h.resolve(identity("partner", "alice", groups("partners")))
			for _, o := range []auth.Outcome{local, partner} {
				p, err := h.resolver.Person(t.Context(), session(o))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, p.Groups); diff != "" {
					t.Errorf("by %s: %s", p.Connection, diff)
				}
			}
			if diff := cmp.Diff(before.GroupSources, h.show("alice").GroupSources); diff != "" {
				t.Errorf("what is stored has changed: %s", diff)
			}
		})
	}
}

// Attack: an attribute that decides rights, such as a clearance, is protected
// because a provider gave it to whom it should not; the accounts keep it.
func TestAttributesCountOnlyWhileTheirSourceMayGiveThem(t *testing.T) {
	h := newHouse(t, nil)
	h.conn("acme").JIT.AttributeSync = config.SyncPreserveLocal
	h.open()
	given := h.resolve(identity("acme", "alice", attributes(map[string][]string{"clearance": {"secret"}, "Clearance": {"top"}, "desk": {"12"}})))
	h.add(New{Username: "bob", Attributes: map[string][]string{"clearance": {"secret"}}})
	h.conf.JITProvisioning.ProtectedAttributes = []string{"clearance"}
	for _, gone := range []bool{false, true} {
		if gone {
			h.conf.Connections = h.conf.Connections[1:]
		}
		h.open()
		for id, want := range map[string]map[string][]string{
			given.Account: {"desk": {"12"}}, h.show("bob").ID: {"clearance": {"secret"}},
		} {
			p, err := h.resolver.Person(t.Context(), session(h.resolve(auth.Identity{Connection: auth.Local, Subject: id})))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, p.Attributes); diff != "" {
				t.Errorf("the connection is gone: %t: %s", gone, diff)
			}
		}
	}
	if _, kept := h.show("alice").Attributes["clearance"]; !kept {
		t.Error("what is stored has changed")
	}
}

// Two configurations over one cache of accounts must not answer for each other.
func TestPersonIsOfItsResolver(t *testing.T) {
	h := newHouse(t, nil)
	s := session(h.resolve(identity("acme", "alice")))
	s.Identity.Connection, s.JIT, s.Rules = auth.Local, false, ""
	narrow := *h.conf
	narrow.Connections = slices.Clone(h.conf.Connections)
	narrow.Connections[0].Groups = &[]string{}
	for range 2 {
		for r, want := range map[*Resolver]int{h.resolver: 1, NewResolver(&narrow, h.directory): 0} {
			if p, err := r.Person(t.Context(), s); err != nil || len(p.Groups) != want {
				t.Errorf("%+v, %v; want %d groups", p, err, want)
			}
		}
	}
}

// Attack: an address that a provider made up is still told to applications
// after trust_email: never, because the account has kept it.
func TestEmailCountsOnlyWhileItsSourceIsBelieved(t *testing.T) {
	h := newHouse(t, nil)
	h.resolve(identity("acme", "eve", email("boss@people.example", true)))
	h.add(New{Username: "ann", Email: "ann@people.example"})
	h.resolve(identity("acme", "ann"))
	h.conn("acme").TrustEmail = config.TrustNever
	h.open()
	for name, want := range map[string]string{"eve": "", "ann": "ann@people.example"} {
		o := h.resolve(auth.Identity{Connection: auth.Local, Subject: h.show(name).ID})
		if p, err := h.resolver.Person(t.Context(), session(o)); err != nil || p.Email != want {
			t.Errorf("%s: %+v, %v; want the e-mail %q", name, p, err, want)
		}
	}
}

// Attack: somebody typed another person's address at a provider that was
// believed, and waits in an account with it. The person comes through their own
// provider, and would be signed in to the attacker's account.
func TestEmailMatchesOnlyWhileItsSourceIsBelieved(t *testing.T) {
	for _, disabled := range []bool{false, true} {
		for _, existing := range []string{config.LinkAuto, config.LinkAlways, config.LinkConfirm} {
			t.Run(fmt.Sprint(existing, disabled), func(t *testing.T) {
				h := newHouse(t, nil)
				eve := h.resolve(identity("acme", "eve", email("boss@people.example", true)))
				h.conn("acme").TrustEmail, h.conn("acme").Disabled = config.TrustNever, disabled
				h.conn("partner").JIT.LinkExisting = existing
				h.open()
				boss := identity("partner", "boss", email("Boss@people.example", true))
				if !disabled {
					// Only who can sign in as eve is eve.
					if o := h.resolve(boss); o.Verdict != auth.Confirm || !slices.Equal(o.Confirmation.Connections, []string{"acme"}) {
						t.Errorf("boss: %+v", o)
					}
				} else if got := h.refused(boss); got != auth.DeniedUnconfirmable {
					t.Errorf("boss: %s", got)
				}
				if x := h.explain(boss); !slices.ContainsFunc(x.Candidates, func(c Candidate) bool { return strings.Contains(c.Why, "trust_email: never now") }) {
					t.Errorf("explained as %+v", x.Candidates)
				}
				// Whoever has the account proves it.
				h.creds.passwords[eve.Account] = true
				if o := h.resolve(boss); o.Verdict != auth.Confirm {
					t.Errorf("boss: %+v", o)
				}
				// An administrator decides whose address it is.
				if _, err := h.directory.Set(t.Context(), eve.Account, Edit{Email: ptr("")}); err != nil {
					t.Fatal(err)
				}
				if o := h.resolve(boss); o.Verdict != auth.Created || h.show(o.Account).Email != boss.Email {
					t.Errorf("boss: %+v", o)
				}
				audit(t, h)
			})
		}
	}
	h := newHouse(t, nil)
	ann := h.resolve(identity("acme", "ann"))
	h.conn("acme").TrustEmail = config.TrustNever
	h.open()
	if _, err := h.directory.Set(t.Context(), ann.Account, Edit{Email: ptr("ann@people.example")}); err != nil {
		t.Fatal(err)
	}
	if o := h.resolve(identity("partner", "ann")); o.Verdict != auth.Linked || o.Account != ann.Account {
		t.Errorf("an administrator has vouched for the address: %+v", o)
	}
}

// Attack: somebody at a provider with open registration takes another person's
// address, or an account's id, for a username. Applications that know people
// by X-Forwarded-Preferred-Username would sign the wrong one in.
func TestPreferredUsernameWithoutAccount(t *testing.T) {
	for _, c := range []struct {
		name, username string
		email          func(*auth.Identity)
		want           string
	}{
		{"a plain name", "root", email("root@people.example", true), "root"},
		{"an address, no e-mail", "victim@corp.example", email("", false), ""},
		{"an address, another e-mail", "victim@corp.example", email("eve@corp.example", true), ""},
		{"an address, itself unverified", "victim@corp.example", email("victim@corp.example", false), ""},
		{"the verified e-mail", "Eve@corp.example", email("eve@corp.example", true), "Eve@corp.example"},
		{"the verified e-mail and a dot", "root@corp.example.", email("root@corp.example", true), ""},
		{"a zero-width space", "root\u200b@corp.example", email("root@corp.example", true), ""},
		{"a zero-width space in a name", "ro\u200bot", email("", false), ""},
		{"fullwidth @", "root\uff20corp.example", email("", false), ""},
		{"another's user", "acme:1", email("", false), ""},
		{"an account's id", "abcdefghijklmnopqrstuvwxyz", email("", false), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, nil)
			h.conn("guest").User = "{username}"
			h.open()
			s := session(h.resolve(identity("guest", "17", username(c.username), c.email)))
			user := c.want
			if user == "" {
				user = "guest:17"
			}
			p, err := h.resolver.Person(t.Context(), s)
			if err != nil || p.PreferredUsername != c.want || p.User != user {
				t.Errorf("%+v, %v; want preferred username %q and user %q", p, err, c.want, user)
			}
		})
	}
}
