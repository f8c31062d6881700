package provision

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

func TestNormalizeEmail(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "alice@acme.example", "alice@acme.example"},
		{"the spelling stays", "Alice@ACME.Example", "Alice@ACME.Example"},
		{"spaces around", "  alice@acme.example ", "alice@acme.example"},
		{"signs that are allowed", "o'brien+tag_x.y%z@acme.example", "o'brien+tag_x.y%z@acme.example"},
		{"composed", "zoe\u0308@acme.example", "zo\u00eb@acme.example"},
		{"other alphabets keep their case", "\u0416@acme.example", "\u0416@acme.example"},
		// The Kelvin sign is canonically K: NFC says so, and no other fold is done.
		{"canonical equivalence", "\u212a@acme.example", "K@acme.example"},
		{"no compatibility folding", "\uff41lice@acme.example", "\uff41lice@acme.example"},
		{"Turkish dotless i stays", "al\u0131ce@acme.example", "al\u0131ce@acme.example"},

		{"empty", "", ""},
		{"no @", "alice", ""},
		{"no local part", "@acme.example", ""},
		{"no domain", "alice@", ""},
		// A mail server and an application may see different addresses in these.
		{"two @", "alice@evil.example@acme.example", ""},
		{"quoted", `"alice@evil.example"@acme.example`, ""},
		{"quote", `al"ice@acme.example`, ""},
		{"comment", "alice(evil)@acme.example", ""},
		{"angle brackets", "Alice <alice@acme.example>", ""},
		{"list", "alice@acme.example,eve", ""},
		{"semicolon in disguise, NFC makes it one", "alice\u037e@acme.example", ""},
		{"address literal", "alice@[192.0.2.1]", ""},
		{"space inside", "al ice@acme.example", ""},
		{"line break", "alice@acme.example\n", ""},
		{"header injection", "alice@acme.example\r\nX-Admin: 1", ""},
		{"NUL", "alice\x00@acme.example", ""},
		{"tab", "\talice@acme.example", ""},
		{"zero-width space", "alice\u200b@acme.example", ""},
		{"zero-width joiner", "alice\u200d@acme.example", ""},
		{"byte order mark", "\ufeffalice@acme.example", ""},
		{"bidi override", "alice\u202e@acme.example", ""},
		{"soft hyphen", "al\u00adice@acme.example", ""},
		{"variation selector", "alice\ufe0f@acme.example", ""},
		{"Hangul filler", "alice\u3164@acme.example", ""},
		{"no-break space", "alice\u00a0@acme.example", ""},
		{"not UTF-8", "alice\xff@acme.example", ""},
		{"domain ends in a dot", "alice@acme.example.", ""},
		{"empty label", "alice@acme..example", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := NormalizeEmail(c.in)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("NormalizeEmail(%q) = %q, %v; want %q", c.in, got, err, c.want)
			}
		})
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, s := range []string{"a@b", "A@B.c", " a@b ", "a@b@c", "\u212a@b", "e\u0301@b", "\u200b@b", "a\u037e@b", "\"a\"@b", "\xff@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := NormalizeEmail(s)
		if err != nil {
			return
		}
		if again, err := NormalizeEmail(e); err != nil || again != e {
			t.Errorf("NormalizeEmail(%q) = %q, and of that %q, %v", s, e, again, err)
		}
		if strings.Count(e, "@") != 1 || !norm.NFC.IsNormalString(e) ||
			strings.ContainsAny(e, " \r\n\t\x00\",<>()") || strings.ContainsFunc(e, unseen) {
			t.Errorf("NormalizeEmail(%q) = %q", s, e)
		}
	})
}

func TestNormalizeUsername(t *testing.T) {
	const mail = "alice@acme.example"
	for _, c := range []struct{ name, in, email, want string }{
		{"plain", "alice", mail, "alice"},
		{"case is kept", "Alice", "", "Alice"},
		{"a space inside", "Alice Smith", "", "Alice Smith"},
		{"composed", "Zoe\u0308", "", "Zo\u00eb"},
		{"the verified e-mail", "Alice@acme.example", mail, "Alice@acme.example"},

		{"empty", "", mail, ""},
		// {connection}:{subject} is a pass-through user.
		{"colon", "guest:17", mail, ""},
		{"fullwidth colon", "guest\uff1a17", mail, ""},
		// Whoever may choose a username would be anybody whose address they know.
		{"another e-mail", "boss@acme.example", mail, ""},
		{"an e-mail, none verified", "alice@acme.example", "", ""},
		{"fullwidth @", "boss\uff20acme.example", mail, ""},
		{"small @", "boss\ufe6bacme.example", mail, ""},
		{"control", "al\x00ice", "", ""},
		{"line break", "alice\n", "", ""},
		{"zero-width", "ali\u200bce", "", ""},
		{"bidi", "\u202eecila", "", ""},
		{"not UTF-8", "\xff", "", ""},
		// It would answer to what names another account.
		{"an account's id", "abcdefghijklmnopqrstuvwxyz", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := NormalizeUsername(c.in, c.email)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("NormalizeUsername(%q) = %q, %v; want %q", c.in, got, err, c.want)
			}
		})
	}
}

func FuzzNormalizeUsername(f *testing.F) {
	for _, s := range []string{"alice", "a:b", "a@b", "\uff20", "e\u0301", " x ", "\u037e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := NormalizeUsername(s, "")
		if err != nil {
			return
		}
		if again, err := NormalizeUsername(u, ""); err != nil || again != u || foldUsername(again) != foldUsername(u) {
			t.Errorf("NormalizeUsername(%q) = %q, and of that %q, %v", s, u, again, err)
		}
		if u == "" || strings.ContainsAny(compatible(u), ":@\r\n\x00") {
			t.Errorf("NormalizeUsername(%q) = %q", s, u)
		}
	})
}

func TestAdmit(t *testing.T) {
	verified := email("Alice@Acme.example", true)
	unverified := email("Alice@Acme.example", false)
	for _, c := range []struct {
		name string
		conn func(*config.Connection)
		id   func(*auth.Identity)
		want string // email verified username, or the reason
	}{
		{"as claimed", nil, verified, "Alice@Acme.example true alice"},
		{"not verified", nil, unverified, "Alice@Acme.example false alice"},
		{"always", func(c *config.Connection) { c.TrustEmail = config.TrustAlways }, unverified, "Alice@Acme.example true alice"},
		{"always, but no e-mail", func(c *config.Connection) { c.TrustEmail = config.TrustAlways }, email("a@b@c", true), " false alice"},
		{"never", func(c *config.Connection) { c.TrustEmail = config.TrustNever }, verified, "Alice@Acme.example false alice"},
		{"no e-mail", nil, email("", true), " false alice"},
		// The unverified address must not come in by another header either.
		{"username is the unverified e-mail", nil, func(id *auth.Identity) {
			unverified(id)
			id.Username = "alice@acme.EXAMPLE"
		}, "Alice@Acme.example false "},
		{"username is the verified e-mail", nil, func(id *auth.Identity) {
			verified(id)
			id.Username = "Alice@acme.example"
		}, "Alice@Acme.example true Alice@acme.example"},

		{"domain", domains("acme.example"), verified, "Alice@Acme.example true alice"},
		{"domain in capitals in the file", domains("ACME.example"), verified, "Alice@Acme.example true alice"},
		{"other domain", domains("other.example"), verified, "email_domain"},
		{"subdomain is another", domains("example"), verified, "email_domain"},
		{"suffix is another", domains("cme.example"), verified, "email_domain"},
		// P7: an unverified e-mail satisfies no policy.
		{"domain, unverified", domains("acme.example"), unverified, "email_domain"},
		{"domain, no e-mail", domains("acme.example"), email("", true), "email_domain"},

		{"required group", requireGroups("staff"), verified, "Alice@Acme.example true alice"},
		{"one of them is enough", requireGroups("other", "staff"), verified, "Alice@Acme.example true alice"},
		{"missing group", requireGroups("lead"), verified, "requirement"},
		{"groups are compared exactly", requireGroups("Staff"), verified, "requirement"},
		{"no groups sent", requireGroups("staff"), func(id *auth.Identity) { id.Groups = nil }, "requirement"},
		// Which groups applications see does not decide who comes in.
		{"required and not passed on", func(c *config.Connection) {
			requireGroups("staff")(c)
			c.Groups = &[]string{}
		}, verified, "Alice@Acme.example true alice"},
		// The gate knows the provider's names, and not what is made of them.
		{"required by its name at the provider", func(c *config.Connection) {
			requireGroups("staff")(c)
			c.GroupMapping = map[string][]string{"staff": {"people"}}
		}, verified, "Alice@Acme.example true alice"},
		{"required by its name here", func(c *config.Connection) {
			requireGroups("people")(c)
			c.GroupMapping = map[string][]string{"staff": {"people"}}
		}, verified, "requirement"},

		// "No groups" would take rights away, and open what is for those without.
		{"groups withheld", nil, withheldGroups, "groups_withheld"},
		{"groups withheld, JIT off", func(c *config.Connection) { c.JIT.Enabled = false }, withheldGroups, "groups_withheld"},
		{"groups withheld, and one is required", requireGroups("staff"), withheldGroups, "groups_withheld"},
		{"groups withheld, and a claim is required", requireClaim("tenant", "one"), withheldGroups, "groups_withheld"},
		{"groups withheld from somebody of another domain", domains("other.example"), withheldGroups, "email_domain"},

		{"claim", requireClaim("tenant", "one"), claims(`{"tenant": "one"}`), "alice@people.example true alice"},
		{"one of the values", requireClaim("tenant", "two", "one"), claims(`{"tenant": "one"}`), "alice@people.example true alice"},
		{"other value", requireClaim("tenant", "one"), claims(`{"tenant": "two"}`), "requirement"},
		{"no claim", requireClaim("tenant", "one"), claims(`{}`), "requirement"},
		{"null", requireClaim("tenant", ""), claims(`{"tenant": null}`), "requirement"},
		{"list", requireClaim("roles", "b"), claims(`{"roles": ["a", "b"]}`), "alice@people.example true alice"},
		{"boolean", requireClaim("member", "true"), claims(`{"member": true}`), "alice@people.example true alice"},
		{"number", requireClaim("level", "9007199254740993"), claims(`{"level": 9007199254740993}`), "alice@people.example true alice"},
		{"nested", requireClaim("org.unit", "x"), claims(`{"org": {"unit": "x"}}`), "alice@people.example true alice"},
		{"a name with dots", requireClaim("https://x.example/roles.all", "x"), claims(`{"https://x.example/roles.all": "x"}`), "alice@people.example true alice"},
		{"an object is no value", requireClaim("org", "x"), claims(`{"org": {"x": "x"}}`), "requirement"},
		{"a list in a list is no value", requireClaim("org", "x"), claims(`{"org": [["x"]]}`), "requirement"},
		{"no claims at all", requireClaim("tenant", "one"), verified, "requirement"},
		// Whoever may type an address at the provider would come in with it.
		{"claim is the unverified e-mail", requireClaim("email", "boss@acme.example"), func(id *auth.Identity) {
			claims(`{"email": "boss@acme.example"}`)(id)
			email("boss@acme.example", false)(id)
		}, "requirement"},
		// It is another address that is verified: of a list of paths only one counts.
		{"claim is another e-mail than the verified one", func(c *config.Connection) {
			requireClaim("email", "boss@acme.example")(c)
			c.Attributes = []config.Attribute{{Name: config.AttrEmail, From: []string{"mail", "email"}}}
		}, func(id *auth.Identity) {
			claims(`{"mail": "eve@acme.example", "email": "boss@acme.example"}`)(id)
			email("eve@acme.example", true)(id)
		}, "requirement"},
		{"claim is a list of the verified e-mail", requireClaim("email", "boss@acme.example"), func(id *auth.Identity) {
			claims(`{"email": ["boss@acme.example"]}`)(id)
			email("boss@acme.example", true)(id)
		}, "boss@acme.example true alice"},
		{"claim is a list with the verified e-mail", requireClaim("email", "boss@acme.example"), func(id *auth.Identity) {
			claims(`{"email": ["boss@acme.example", "eve@acme.example"]}`)(id)
			email("eve@acme.example", true)(id)
		}, "requirement"},
		{"claim is the verified e-mail", requireClaim("email", "boss@acme.example"), func(id *auth.Identity) {
			claims(`{"email": "boss@acme.example"}`)(id)
			email("boss@acme.example", true)(id)
		}, "boss@acme.example true alice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := jitConnection("acme")
			if c.conn != nil {
				c.conn(&conn)
			}
			id := identity("acme", "alice", c.id)
			got, err := admit(compiled(conn), id)
			text := got.Email + " " + map[bool]string{true: "true", false: "false"}[got.EmailVerified] + " " + got.Username
			var denied *auth.Denied
			if errors.As(err, &denied) {
				text = string(denied.Reason)
			}
			if text != c.want {
				t.Errorf("admit: %q, want %q", text, c.want)
			}
		})
	}
}

func withheldGroups(id *auth.Identity) { id.Groups, id.Withheld = nil, true }

func domains(names ...string) func(*config.Connection) {
	return func(c *config.Connection) { c.EmailDomains = names }
}

func requireGroups(names ...string) func(*config.Connection) {
	return func(c *config.Connection) { c.Require.Groups = names }
}

func requireClaim(path string, values ...string) func(*config.Connection) {
	return func(c *config.Connection) { c.Require.Claims = map[string][]string{path: values} }
}

func claims(document string) func(*auth.Identity) {
	return func(id *auth.Identity) {
		d := json.NewDecoder(strings.NewReader(document))
		d.UseNumber()
		if err := d.Decode(&id.Claims); err != nil {
			panic(err)
		}
	}
}

func TestGroupsAllowed(t *testing.T) {
	mapping := map[string][]string{
		"cn=adm,ou=x": {"admins"}, "staff-eu": {"staff", "europe"}, "a": {"b"}, "b": {"a"}, "CN=ADM": {"root"},
	}
	for _, c := range []struct {
		name      string
		mapping   map[string][]string
		allowed   *[]string
		protected []string
		sent      []string
		want      []string
	}{
		{name: "no list: all", sent: []string{"a", "b", "a", ""}, want: []string{"a", "b"}},
		{name: "a list", allowed: &[]string{"b", "c"}, sent: []string{"a", "b"}, want: []string{"b"}},
		{name: "an empty list: none", allowed: &[]string{}, sent: []string{"a"}, want: []string{}},
		{name: "nothing sent stays nothing sent", allowed: &[]string{"a"}},
		{name: "blank stays blank", sent: []string{}, want: []string{}},

		{name: "mapped", mapping: mapping, sent: []string{"cn=adm,ou=x", "staff-eu"}, want: []string{"admins", "staff", "europe"}},
		{name: "unmapped names stay", mapping: mapping, sent: []string{"crew", "cn=adm,ou=x"}, want: []string{"crew", "admins"}},
		{name: "mapped to what is there", mapping: mapping, sent: []string{"staff", "staff-eu"}, want: []string{"staff", "europe"}},
		{name: "mapped once", mapping: mapping, sent: []string{"a"}, want: []string{"b"}},
		{name: "swapped", mapping: mapping, sent: []string{"a", "b"}, want: []string{"b", "a"}},
		{name: "exactly", mapping: mapping, sent: []string{"CN=ADM,OU=X"}, want: []string{"CN=ADM,OU=X"}},
		{name: "mapped, none sent", mapping: mapping},
		{name: "mapped, blank", mapping: mapping, sent: []string{}, want: []string{}},
		{name: "allowed by the name here", mapping: mapping, allowed: &[]string{"admins"}, sent: []string{"cn=adm,ou=x", "staff-eu"}, want: []string{"admins"}},
		// Otherwise whoever names a group at the provider goes around the list.
		{name: "allowed by the provider's name alone", mapping: mapping, allowed: &[]string{"cn=adm,ou=x"}, sent: []string{"cn=adm,ou=x"}, want: []string{}},

		{name: "protected", protected: []string{"admins"}, sent: []string{"staff", "admins"}, want: []string{"staff"}},
		{name: "protected, and allowed", protected: []string{"admins"}, allowed: &[]string{"admins"}, sent: []string{"admins"}, want: []string{}},
		{name: "protected, by way of the mapping", protected: []string{"admins"}, mapping: mapping, sent: []string{"cn=adm,ou=x"}, want: []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := jitConnection("acme")
			conn.Groups, conn.GroupMapping = c.allowed, c.mapping
			for _, conn.JIT.Enabled = range []bool{true, false} {
				compiled := newConnection(conn, config.JITProvisioning{ProtectedGroups: c.protected})
				got := admittedTo(t, compiled, identity("acme", "alice", groups(c.sent...))).Groups
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("JIT %t: %s", conn.JIT.Enabled, diff)
				}
			}
		})
	}
}

// Protected attributes are not supplied, JIT on or off; the identity that was
// given stays as it was.
func TestProtectedAttributesAreDropped(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		conn := jitConnection("acme")
		conn.JIT.Enabled = enabled
		id := identity("acme", "alice")
		before := len(id.Attributes)
		got := admittedTo(t, newConnection(conn, config.JITProvisioning{ProtectedAttributes: []string{"department", "other"}}), id)
		if diff := cmp.Diff(map[string][]string{"name": {"Name of alice"}}, got.Attributes); diff != "" || len(id.Attributes) != before {
			t.Errorf("JIT %t: %s, of %v", enabled, diff, id.Attributes)
		}
	}
}

func TestUserTemplate(t *testing.T) {
	for _, c := range []struct {
		name, template string
		id             auth.Identity
		want           string
	}{
		{"default", "", identity("guest", "17"), "guest:17"},
		{"username", "{username}", identity("guest", "17", username("gus")), "gus"},
		{"literal text", "g-{username}!", identity("guest", "17", username("gus")), "g-gus!"},
		{"verified e-mail", "{email}", identity("guest", "17", email("g@x.example", true)), "g@x.example"},
		// An application would sign in the wrong person, or "".
		{"unverified e-mail", "{email}", identity("guest", "17", email("g@x.example", false)), "guest:17"},
		{"missing username", "{username}", identity("guest", "17", username("")), "guest:17"},
		// The subject 1 of acme is somebody else.
		{"a username that is another's user", "{username}", identity("guest", "17", username("acme:1")), "guest:17"},
		{"a subject with a colon", "{subject}", identity("guest", "urn:x:17"), "guest:urn:x:17"},
		{"after the connection a colon is safe", "{connection}:{username}", identity("guest", "17", username("a:b")), "guest:a:b"},
		// Who may choose a username takes the subject of somebody who has none.
		{"a username that is another's subject", "{connection}:{username}", identity("guest", "17", username("18")), "guest:18"},
		{"whose that subject is", "{connection}:{username}", identity("guest", "18", username("")), "guest::18"},
		{"a username that is the default of another", "{connection}:{username}", identity("guest", "17", username(":18")), "guest::17"},
		{"the same by a literal", "guest:{username}", identity("guest", "18", username("")), "guest::18"},
		{"an e-mail that is another's subject", "{connection}:{email}", identity("guest", "g@x.example", email("g@x.example", false)), "guest::g@x.example"},
		{"a username and the subject", "{connection}:{username}-{subject}", identity("guest", "g-17", username("")), "guest::g-17"},
		{"the default, written out", "{connection}:{subject}", identity("guest", ":17"), "guest::17"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parseUserTemplate(c.template).render(c.id); got != c.want {
				t.Errorf("render = %q, want %q", got, c.want)
			}
		})
	}
}
