package test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// attributeValues are an account's attributes and who gave each, such as "R&D (acme)".
func attributeValues(a account) map[string][]string {
	all := map[string][]string{}
	for name, detail := range a.Attributes {
		all[name] = append([]string{"from " + detail.Source}, detail.Values...)
	}
	return all
}

// TestAttributeSync is the whole table of attribute_sync: what a sign-in does
// with what the provider says now, has said before, and with what an
// administrator has added. A connection is a row.
func TestAttributeSync(t *testing.T) {
	t.Parallel()
	// What each mode makes of the same story; SELF is the connection.
	overridden := map[string][]string{
		"name": {"from SELF", "Pat"}, "department": {"from SELF", "Ops"}, "title": {"from SELF"},
		"desk": {"from SELF", "4711"},
	}
	preserved := maps.Clone(overridden)
	preserved["room"], preserved["phone"] = []string{"from local", "12"}, []string{"from local", "1", "2"}
	untouched := map[string][]string{
		"name": {"from SELF", "Pat"}, "department": {"from local", "Sales"}, "title": {"from SELF", "Clerk"}, "floor": {"from SELF", "3"},
		"room": {"from local", "12"}, "phone": {"from local", "1", "2"},
	}
	type row struct {
		id, mode string // mode as written in the file; "": the key is left out
		want     map[string][]string
	}
	always := []row{
		{"override", "override_all", overridden},
		{"override-upper", "OVERRIDE_ALL", overridden},
		{"preserve", "preserve_local", preserved},
		{"preserve-upper", "PRESERVE_LOCAL", preserved},
		{"nothing", "none", untouched},
		{"nothing-upper", "NONE", untouched},
	}
	for _, global := range []struct {
		name, text string
		unset      map[string][]string
	}{
		{"switch off", "jit_provisioning: {preserve_locally_added_claims: false}", overridden},
		{"switch left out", "", overridden},
		{"switch on", "jit_provisioning: {preserve_locally_added_claims: true}", preserved},
		{"switch on as text", `jit_provisioning: {preserve_locally_added_claims: "TRUE"}`, preserved},
	} {
		t.Run(global.name, func(t *testing.T) {
			t.Parallel()
			rows := append(slices.Clone(always), row{"absent", "", global.unset}, row{"unset", "unset", global.unset}, row{"unset-upper", "UNSET", global.unset})
			app, idp := servers.StartApp(t), badidp.Start(t)
			var connections []string
			for _, r := range rows {
				jit := "jit: {enabled: true}"
				if r.mode != "" {
					jit = "jit: {attribute_sync: " + r.mode + "}"
				}
				connections = append(connections, connectionText(r.id, idp.URL(), jit,
					"attributes: {department: department, title: title, floor: floor, desk: desk, shelf: shelf}"))
			}
			g := servers.StartGateway(t, binary, configText(app.URL, connections, global.text))
			for _, r := range rows {
				t.Run(r.id, func(t *testing.T) { syncStory(t, g, app, idp, r.id, r.want) })
			}
		})
	}
}

// syncStory is what happens to one account: the provider gives department,
// title and floor; an administrator overwrites department and adds room and
// phone; then the provider gives another department, a blank title, no floor
// and, for the first time, a desk.
func syncStory(t *testing.T, g *servers.Gateway, app *servers.App, idp *badidp.IdP, connection string, want map[string][]string) {
	base := map[string]any{"name": "Pat"}
	idp.SetPersona(connection, person(connection, base), nil)
	base["department"], base["title"], base["floor"] = "R&D", "Clerk", 3
	idp.SetPersona(connection, person(connection, base), nil)
	comes(t, g, connection, connection)
	run(t, g, "user", "set", connection, "--attr", "department=Sales", "--attr", "room=12", "--attr", "phone=1", "--attr", "phone=2")
	before := showAccount(t, g, connection)

	idp.SetPersona(connection, person(connection, map[string]any{"name": "Pat", "department": "Ops", "title": "", "desk": 4711}), nil)
	v := comes(t, g, connection, connection)
	after := showAccount(t, g, connection)
	expected := map[string][]string{}
	for name, list := range want {
		expected[name] = append([]string{}, list...)
		if list[0] == "from SELF" {
			expected[name][0] = "from " + connection
		}
	}
	if diff := cmp.Diff(expected, attributeValues(after)); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	// What applications are told is that, and nothing else.
	headers := app.Last(t).Header
	for header, name := range map[string]string{"Department": "department", "Room": "room", "Floor": "floor", "Title": "title", "Desk": "desk", "Shelf": "shelf"} {
		got, had := headers.Get("X-Forwarded-Attr-"+header), ""
		if list := expected[name]; len(list) > 1 {
			had = list[1]
		}
		if got != had {
			t.Errorf("X-Forwarded-Attr-%s is %q, want %q", header, got, had)
		}
	}
	v.signedIn(g)
	// A sync touches nothing but attributes, and twice is once.
	before.Attributes = after.Attributes
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("beside the attributes (-before +after):\n%s", diff)
	}
	comes(t, g, connection, connection)
	if diff := cmp.Diff(after, showAccount(t, g, connection)); diff != "" {
		t.Errorf("the same answer again (-first +second):\n%s", diff)
	}
}

// TestGroupSync is the table of group_sync: the provider gave staff and ops,
// an administrator crew and staff, and now the provider gives ops and new.
func TestGroupSync(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	tests := []struct {
		id, text string
		want     []string // after the provider gives ops and new
		silent   []string // and after it then gives none, by leaving groups out
	}{
		{"unset", "jit: {enabled: true}", []string{"crew", "new", "ops", "staff"}, []string{"crew", "staff"}},
		{"sync", "jit: {group_sync: sync}", []string{"crew", "new", "ops", "staff"}, []string{"crew", "staff"}},
		{"sync-upper", "jit: {group_sync: SYNC}", []string{"crew", "new", "ops", "staff"}, []string{"crew", "staff"}},
		{"override", "jit: {group_sync: override}", []string{"new", "ops"}, []string{}},
		{"merge", "jit: {group_sync: merge}", []string{"crew", "new", "ops", "staff"}, []string{"crew", "new", "ops", "staff"}},
		{"none", "jit: {group_sync: none}", []string{"crew", "ops", "staff"}, []string{"crew", "ops", "staff"}},
		// attribute_sync does not speak of groups.
		{"attributes", "jit: {attribute_sync: none, group_sync: sync}", []string{"crew", "new", "ops", "staff"}, []string{"crew", "staff"}},
	}
	var connections []string
	for _, tt := range tests {
		connections = append(connections, connectionText(tt.id, idp.URL(), tt.text))
	}
	g := servers.StartGateway(t, binary, configText(app.URL, connections))
	for _, tt := range tests {
		t.Run(tt.id, func(t *testing.T) {
			give := func(groups any) {
				idp.SetPersona(tt.id, person(tt.id, map[string]any{"groups": groups}), nil)
				comes(t, g, tt.id, tt.id)
			}
			give([]any{"staff", "ops", "old"})
			run(t, g, "user", "set", tt.id, "--groups", "crew,staff")
			give([]any{"ops", "new"})
			if got := without(sorted(showAccount(t, g, tt.id).Groups), "old"); !slices.Equal(got, tt.want) {
				t.Errorf("groups %v, want %v", got, tt.want)
			}
			give(nil)
			if got := without(sorted(showAccount(t, g, tt.id).Groups), "old"); !slices.Equal(got, tt.silent) {
				t.Errorf("groups %v, want %v when the provider sends none", got, tt.silent)
			}
			kept := slices.Contains(showAccount(t, g, tt.id).Groups, "old")
			if want := tt.id == "merge" || tt.id == "none"; kept != want {
				t.Errorf("a group that is no longer given is kept: %t, want %t", kept, want)
			}
		})
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func without(list []string, item string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == item })
}

// TestLocalEmailStays: the e-mail of an account that has a password is not the
// provider's to change: whoever changed it there could then ask for a new
// password here.
func TestLocalEmailStays(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}, "local: {enabled: true}"))
	if r := g.Run(t, "a long passphrase of eve\n", "user", "add", "eve", "--email", "eve@corp.example", "--password-stdin", "--config", g.Config); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	idp.SetPersona("eve", person("eve", nil), nil)
	comes(t, g, "eve", "acme")
	idp.SetPersona("eve", person("eve", map[string]any{"email": "mallory@corp.example"}), nil)
	comes(t, g, "eve", "acme")
	if a := showAccount(t, g, "eve"); a.Email != "eve@corp.example" || !a.EmailVerified || !a.HasPassword {
		t.Errorf("got %+v", a)
	}
	// Of an account without one it is, but an address that is not verified
	// never takes the place of one that is.
	idp.SetPersona("pat", person("pat", nil), nil)
	comes(t, g, "pat", "acme")
	idp.SetPersona("pat", person("pat", map[string]any{"email": "eve@corp.example", "email_verified": false}), nil)
	comes(t, g, "pat", "acme")
	if a := showAccount(t, g, "pat"); a.Email != "pat@corp.example" || !a.EmailVerified {
		t.Errorf("got %+v", a)
	}
	// Nor one that is another account's.
	idp.SetPersona("pat", person("pat", map[string]any{"email": "eve@corp.example"}), nil)
	comes(t, g, "pat", "acme")
	if a := showAccount(t, g, "pat"); a.Email == "eve@corp.example" {
		t.Errorf("two accounts have one e-mail: %+v", a)
	}
}
