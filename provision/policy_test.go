package provision

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// TestPolicies holds every policy of one attribute against every account that
// matters to it. before and want are value@source; sent is what comes now, "-"
// that it is absent. The account is linked to acme and partner, not to former.
func TestPolicies(t *testing.T) {
	const absent = "-"
	type cell struct{ before, sent, want string }
	for _, c := range []struct {
		name         string
		mode, absent string
		ranking      string // attribute_sources
		protected    bool
		cells        []cell
	}{
		{name: "override", mode: config.ModeOverride, absent: config.AbsentKeep, cells: []cell{
			{"", "new", "new@acme"},
			{"old@acme", "new", "new@acme"},
			{"old@local", "new", "new@acme"},
			{"old@partner", "new", "new@acme"},
			{"old@acme", "", "@acme"},
			{"old@acme", absent, "old@acme"},
			{"old@local", absent, "old@local"},
		}},
		{name: "override, delete_if_mine", mode: config.ModeOverride, absent: config.AbsentDeleteIfMine, cells: []cell{
			{"old@acme", absent, ""},
			{"@acme", absent, ""},
			{"old@local", absent, "old@local"},
			{"old@partner", absent, "old@partner"},
		}},
		{name: "override, delete", mode: config.ModeOverride, absent: config.AbsentDelete, cells: []cell{
			{"old@acme", absent, ""},
			{"old@local", absent, ""},
			{"old@partner", absent, ""},
			{"old@local", "", "@acme"},
		}},
		{name: "preserve", mode: config.ModePreserve, cells: []cell{
			{"", "new", "new@acme"},
			{"old@acme", "new", "new@acme"},
			{"old@local", "new", "old@local"},
			{"@local", "new", "@local"},
			{"old@partner", "new", "old@partner"},
			{"old@acme", absent, ""},
			{"old@local", absent, "old@local"},
		}},
		{name: "preserve, delete", mode: config.ModePreserve, absent: config.AbsentDelete, cells: []cell{
			{"old@local", "new", "old@local"},
			{"old@local", absent, ""},
		}},
		{name: "import_once", mode: config.ModeImportOnce, cells: []cell{
			{"", "new", ""},
			{"old@acme", "new", "old@acme"},
			{"old@local", "new", "old@local"},
			{"old@acme", absent, "old@acme"},
		}},
		{name: "import_once, delete_if_mine", mode: config.ModeImportOnce, absent: config.AbsentDeleteIfMine, cells: []cell{
			{"old@acme", "new", "old@acme"},
			{"old@acme", absent, ""},
		}},
		// What is for sessions only was perhaps stored before it was.
		{name: "session_only", mode: config.ModeSessionOnly, cells: []cell{
			{"", "new", ""},
			{"old@acme", "new", ""},
			{"old@acme", absent, ""},
			{"old@local", "new", "old@local"},
			{"old@partner", absent, "old@partner"},
		}},
		{name: "ranked first", mode: config.ModeOverride, absent: config.AbsentDelete, ranking: "acme partner local", cells: []cell{
			{"", "new", "new@acme"},
			{"old@partner", "new", "new@acme"},
			{"old@local", "new", "new@acme"},
			{"old@former", "new", "new@acme"},
			{"old@acme", absent, ""},
			// Whoever is ranked keeps what they gave: else two take turns for ever.
			{"old@partner", absent, "old@partner"},
			{"old@local", absent, "old@local"},
			{"old@former", absent, ""},
		}},
		{name: "ranked last", mode: config.ModeOverride, absent: config.AbsentDelete, ranking: "former partner local acme", cells: []cell{
			{"", "new", "new@acme"},
			{"old@partner", "new", "old@partner"},
			{"old@local", "new", "old@local"},
			{"old@acme", "new", "new@acme"},
			// Nobody signs in through it any more.
			{"old@former", "new", "new@acme"},
			{"old@elsewhere", "new", "new@acme"},
			{"old@partner", absent, "old@partner"},
			{"old@elsewhere", absent, ""},
		}},
		{name: "ranked, local not in the list", mode: config.ModeOverride, absent: config.AbsentDelete, ranking: "partner acme", cells: []cell{
			{"old@local", "new", "new@acme"},
			{"old@local", absent, ""},
		}},
		{name: "ranked last, preserve", mode: config.ModePreserve, ranking: "partner acme", cells: []cell{
			{"old@partner", "new", "old@partner"},
			{"old@local", "new", "old@local"},
		}},
		{name: "not in the list", mode: config.ModeOverride, absent: config.AbsentDelete, ranking: "partner local", cells: []cell{
			{"", "new", ""},
			{"old@partner", "new", "old@partner"},
			{"old@acme", "new", "old@acme"},
			{"old@acme", absent, "old@acme"},
			{"old@elsewhere", absent, "old@elsewhere"},
		}},
		{name: "protected", mode: config.ModeOverride, absent: config.AbsentDelete, protected: true, cells: []cell{
			{"", "new", ""},
			{"old@local", "new", "old@local"},
			{"old@acme", "new", "old@acme"},
			{"old@local", absent, "old@local"},
			{"old@acme", absent, "old@acme"},
		}},
	} {
		for _, in := range c.cells {
			t.Run(c.name+"/"+in.before+"/"+in.sent, func(t *testing.T) {
				conn, all := jitConnection("acme"), config.JITProvisioning{}
				conn.Attributes = []config.Attribute{{Name: "x", From: []string{"x"}, Mode: c.mode, OnAbsent: c.absent}}
				if c.ranking != "" {
					all.AttributeSources = map[string][]string{"x": strings.Fields(c.ranking)}
				}
				if c.protected {
					all.ProtectedAttributes = []string{"x"}
				}
				a := existing(linkTo("acme", "alice"), linkTo("partner", "alice"))
				if in.before != "" {
					a.Attributes["x"] = parseAttribute(in.before)
				}
				identity := auth.Identity{Connection: "acme", Username: "alice", Attributes: map[string][]string{}}
				switch in.sent {
				case absent:
				case "":
					identity.Attributes["x"] = []string{}
				default:
					identity.Attributes["x"] = []string{in.sent}
				}
				compiled := newConnection(conn, all)
				id := admittedTo(t, compiled, identity)
				b := synced(a, compiled, id, false, noon.Add(time.Hour))
				got := ""
				if x, has := b.Attributes["x"]; has {
					got = printAttribute(x)
				}
				if got != in.want {
					t.Errorf("%q became %q, want %q", in.before, got, in.want)
				}
			})
		}
	}
}

// The account is made with everything that the connection may give, whatever
// the policies say of later answers.
func TestPoliciesAtCreation(t *testing.T) {
	conn := jitConnection("acme")
	conn.JIT.AttributeSync = config.SyncNone
	id := identity("acme", "alice", func(id *auth.Identity) {
		id.Attributes = map[string][]string{}
		for _, name := range []string{"plain", "override", "preserve", "once", "session", "protected", "mine", "theirs"} {
			id.Attributes[name] = []string{"v"}
		}
	})
	for name, mode := range map[string]string{
		"override": config.ModeOverride, "preserve": config.ModePreserve, "once": config.ModeImportOnce, "session": config.ModeSessionOnly,
	} {
		conn.Attributes = append(conn.Attributes, config.Attribute{Name: name, From: []string{name}, Mode: mode})
	}
	compiled := newConnection(conn, config.JITProvisioning{
		ProtectedAttributes: []string{"protected"},
		AttributeSources:    map[string][]string{"mine": {"local", "acme"}, "theirs": {"partner"}},
	})
	a := provisioned(compiled, admittedTo(t, compiled, id), noon)
	var got []string
	for name := range a.Attributes {
		got = append(got, name)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"mine", "once", "override", "plain", "preserve"}, got); diff != "" {
		t.Error(diff)
	}
}

// The e-mail follows attribute_sync, and attribute_sources.
func TestEmailSources(t *testing.T) {
	const other = "new@people.example"
	own := Email{Address: "alice@people.example", Verified: true, Source: "acme", Time: noon}
	theirs, locals := own, own
	theirs.Source, locals.Source = "partner", auth.Local
	later := noon.Add(time.Hour)
	taken := Email{other, true, "acme", later}
	for _, c := range []struct {
		name, ranking string
		before        Email
		sent          string
		want          Email
	}{
		{"first", "acme partner", theirs, other, taken},
		{"last", "partner acme", theirs, other, theirs},
		{"last, none there", "partner acme", Email{}, other, taken},
		{"last, after an administrator", "local acme", locals, other, locals},
		{"an administrator is not in the list", "partner acme", locals, other, taken},
		{"not in the list", "partner", own, other, own},
		{"not in the list, silent", "partner", own, "", own},
		{"silent", "acme", own, "", Email{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := newConnection(jitConnection("acme"), config.JITProvisioning{AttributeSources: map[string][]string{"email": strings.Fields(c.ranking)}})
			a := existing(linkTo("acme", "alice"), linkTo("partner", "alice"), func(a *Account) { a.Email = c.before })
			id := admitted{Identity: auth.Identity{Connection: "acme", Username: "alice", Email: c.sent, EmailVerified: c.sent != ""}}
			if diff := cmp.Diff(c.want, synced(a, conn, id, false, later).Email); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A protected group is not a provider's: neither given nor taken away.
func TestProtectedGroupsInSync(t *testing.T) {
	for _, mode := range []string{config.GroupsSync, config.GroupsOverride, config.GroupsMerge} {
		conn := jitConnection("acme")
		conn.JIT.GroupSync = mode
		compiled := newConnection(conn, config.JITProvisioning{ProtectedGroups: []string{"root"}})
		for _, source := range []string{auth.Local, "acme", "partner"} {
			a := existing(func(a *Account) { a.Groups = []Group{{Name: "root", Source: source, Time: noon}} })
			for _, sent := range [][]string{nil, {}, {"staff"}, {"root"}} {
				id := admittedTo(t, compiled, identity("acme", "alice", groups(sent...)))
				b := synced(a, compiled, id, false, noon.Add(time.Hour))
				kept := slices.DeleteFunc(b.Groups, func(g Group) bool { return g.Name == "staff" })
				if diff := cmp.Diff(a.Groups, kept); diff != "" {
					t.Errorf("%s, root from %s, %q sent: %s", mode, source, sent, diff)
				}
			}
		}
	}
}

// A constant is the file's word: an answer that says nothing says nothing with
// it, too.
func TestConstantsAreNoAnswer(t *testing.T) {
	conn := jitConnection("acme")
	conn.Attributes = []config.Attribute{
		{Name: "tenant", Constant: []string{"acme"}}, {Name: config.AttrGroups, Constant: []string{"partners"}},
	}
	a := existing(func(a *Account) {
		a.Attributes["desk"] = Attribute{Values: []string{"12"}, Source: auth.Local, Time: noon}
	})
	silence := admitted{Identity: auth.Identity{
		Connection: "acme", Groups: []string{"partners"}, Attributes: map[string][]string{"tenant": {"acme"}},
	}}
	if b := synced(a, compiled(conn), silence, false, noon.Add(time.Hour)); !b.equal(a) {
		t.Errorf("silence made %s of %s", b.encode(), a.encode())
	}
	silence.Attributes["title"] = []string{"clerk"}
	b := synced(a, compiled(conn), silence, false, noon.Add(time.Hour))
	if _, kept := b.Attributes["desk"]; kept || b.Attributes["tenant"].Source != "acme" || !slices.Contains(b.GroupNames(), "partners") {
		t.Errorf("an answer made %s", b.encode())
	}
}
