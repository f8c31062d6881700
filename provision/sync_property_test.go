package provision

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// chance makes configurations, accounts and answers of everything that a sync
// looks at.
type chance struct{ *rand.Rand }

var (
	someNames   = []string{"name", "department", "title", "desk", "risk", "badge"}
	someGroups  = []string{"a", "b", "c", "root"}
	someSources = []string{auth.Local, "acme", "partner", "former"}
)

func (r chance) of(list ...string) string { return list[r.IntN(len(list))] }

func (r chance) one(in int) bool { return r.IntN(in) == 0 }

// some is a part of the list in any order.
func (r chance) some(list []string) []string {
	list = slices.Clone(list)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:r.IntN(len(list)+1)]
}

func (r chance) provisioning() config.JITProvisioning {
	all := config.JITProvisioning{AttributeSources: map[string][]string{}}
	for _, name := range append([]string{config.AttrEmail}, someNames...) {
		if ranking := r.some(someSources); r.one(3) && len(ranking) > 0 {
			all.AttributeSources[name] = ranking
		}
	}
	if r.one(3) {
		all.ProtectedAttributes, all.ProtectedGroups = r.some(someNames), r.some(someGroups)
	}
	return all
}

func (r chance) connection(id string) config.Connection {
	conn := jitConnection(id)
	conn.JIT.AttributeSync = r.of(config.SyncOverrideAll, config.SyncPreserveLocal, config.SyncNone)
	conn.JIT.GroupSync = r.of(config.GroupsSync, config.GroupsOverride, config.GroupsMerge, config.GroupsNone)
	for _, name := range r.some(someNames) {
		a := config.Attribute{
			Name: name, From: []string{name},
			Mode:     r.of("", config.ModeOverride, config.ModePreserve, config.ModeImportOnce, config.ModeSessionOnly),
			OnAbsent: r.of("", config.AbsentKeep, config.AbsentDeleteIfMine, config.AbsentDelete),
		}
		if r.one(8) {
			a.From, a.Constant = nil, []string{"constant"}
		}
		conn.Attributes = append(conn.Attributes, a)
	}
	if r.one(4) {
		allowed := r.some(someGroups)
		conn.Groups = &allowed
	}
	if r.one(4) {
		conn.GroupMapping = map[string][]string{r.of(someGroups...): r.some(someGroups)}
	}
	return conn
}

func (r chance) account() *Account {
	return existing(linkTo("acme", "alice"), linkTo("partner", "alice"), func(a *Account) {
		a.Groups = nil
		for range r.IntN(5) {
			g := Group{Name: r.of(someGroups...), Source: r.of(someSources...), Time: noon}
			if !slices.Contains(a.Groups, g) {
				a.Groups = append(a.Groups, g)
			}
		}
		for range r.IntN(6) {
			a.Attributes[r.of(someNames...)] = Attribute{Values: r.values(), Source: r.of(someSources...), Time: noon}
		}
		a.Email = Email{}
		if r.one(4) {
			return
		}
		a.Email = Email{Address: r.of("a@x.example", "b@x.example"), Verified: r.one(2), Source: r.of(someSources...), Time: noon}
	})
}

func (r chance) values() []string {
	return [][]string{{}, {"x"}, {"y"}, {"y", "z"}}[r.IntN(4)]
}

// answer is an identity as oidc maps it: constants are always there.
func (r chance) answer(conn config.Connection) auth.Identity {
	id := auth.Identity{
		Connection: conn.ID, Issuer: conn.Issuer, Subject: "alice",
		Email: r.of("", "a@x.example", "A@x.example", "b@x.example", "none"), Username: r.of("", "al"),
	}
	id.EmailVerified = id.Email != "" && r.one(2)
	if !r.one(4) {
		id.Attributes = map[string][]string{}
		for range r.IntN(6) {
			id.Attributes[r.of(someNames...)] = r.values()
		}
	}
	if !r.one(4) {
		id.Groups = r.some(someGroups)
	}
	if r.one(10) {
		id.Email, id.EmailVerified, id.Username, id.Groups, id.Attributes = "", false, "", nil, nil
	}
	for _, a := range conn.Attributes {
		if len(a.Constant) > 0 {
			if id.Attributes == nil {
				id.Attributes = map[string][]string{}
			}
			id.Attributes[a.Name] = a.Constant
		}
	}
	return id
}

// TestSyncProperties: what holds of every sync, for whatever configurations,
// accounts and answers there may be.
func TestSyncProperties(t *testing.T) {
	r := chance{rand.New(rand.NewPCG(1, 2))}
	const cases = 3000
	later := noon.Add(time.Hour)
	silent, changed := 0, 0
	for i := range cases {
		conn, all := r.connection(r.of("acme", "partner")), r.provisioning()
		compiled := newConnection(conn, all)
		answer := r.answer(conn)
		id := admittedTo(t, compiled, answer)
		a, locked := r.account(), r.one(2)
		original := string(a.encode())
		once := synced(a, compiled, id, locked, later)
		fail := func(text string, args ...any) {
			t.Helper()
			t.Errorf(text, args...)
			t.Fatalf("case %d: %+v\n%+v\nanswer %+v\nbefore %s\nafter  %s", i, conn, all, answer, original, once.encode())
		}

		if string(a.encode()) != original {
			fail("the account that was given has changed")
		}
		if twice := synced(once, compiled, id, locked, later.Add(time.Hour)); !twice.equal(once) {
			fail("not idempotent: %s", twice.encode())
		}
		if once.ID != a.ID || once.Status != a.Status || once.Username != a.Username || !slices.Equal(once.Links, a.Links) || once.Created != a.Created || once.Source != a.Source {
			fail("a sync touched what it must not")
		}
		if id.silent(compiled) {
			silent++
			if !once.equal(a) {
				fail("silence changed something")
			}
		}
		if !once.equal(a) {
			changed++
		}
		judgeProvenance(fail, a, once, compiled, id, later)
		if locked && once.Email != a.Email {
			fail("a locked e-mail changed")
		}
		judgeProtected(fail, a, once, all)
		judgeIndependence(fail, r, a, once, conn, all, answer, locked, later)

		made := provisioned(compiled, id, later)
		if again := synced(made, compiled, id, locked, later.Add(time.Hour)); !again.equal(made) {
			fail("the answer that made an account changes it: %s became %s", made.encode(), again.encode())
		}
		judgeProtected(fail, &Account{}, made, all)
	}
	if silent < cases/50 || changed < cases/2 {
		t.Errorf("only %d silent answers and %d changes of %d", silent, changed, cases)
	}
}

// judgeProvenance: what is as it was keeps its source and time, and what is not
// is the connection's, of now, and as it was sent.
func judgeProvenance(fail func(string, ...any), a, b *Account, conn *connection, id admitted, now time.Time) {
	for name, x := range b.Attributes {
		old, had := a.Attributes[name]
		if had && old.Source == x.Source && slices.Equal(old.Values, x.Values) {
			if !old.Time.Equal(x.Time) {
				fail("%s has a new time and is unchanged", name)
			}
		} else if sent, has := id.Attributes[name]; x.Source != conn.ID || !x.Time.Equal(now) || !has || !slices.Equal(sent, x.Values) {
			fail("%s is %+v, which nobody has sent", name, x)
		}
	}
	had := map[[2]string]bool{}
	for _, g := range b.Groups {
		switch key := [2]string{g.Name, g.Source}; {
		case had[key]:
			fail("%v is there twice", key)
		case !slices.Contains(a.Groups, g) && (g.Source != conn.ID || !g.Time.Equal(now) || !slices.Contains(id.Groups, g.Name)):
			fail("%+v, which nobody has sent", g)
		default:
			had[key] = true
		}
	}
	if b.Email != a.Email && b.Email != (Email{}) && b.Email != (Email{id.Email, id.EmailVerified, conn.ID, now}) {
		fail("the e-mail is %+v, which nobody has sent", b.Email)
	}
	if a.Email.Verified && b.Email.Address != "" && !b.Email.Verified {
		fail("an unverified e-mail has taken the place of a verified one")
	}
}

// judgeProtected: what is protected is as it was.
func judgeProtected(fail func(string, ...any), a, b *Account, all config.JITProvisioning) {
	for _, name := range all.ProtectedAttributes {
		old, had := a.Attributes[name]
		if x, has := b.Attributes[name]; had != has || !gocmp.Equal(old, x) {
			fail("the protected attribute %s was %+v and is %+v", name, old, x)
		}
	}
	protected := func(a *Account) []Group {
		return slices.DeleteFunc(slices.Clone(a.Groups), func(g Group) bool { return !slices.Contains(all.ProtectedGroups, g.Name) })
	}
	if !slices.Equal(protected(a), protected(b)) {
		fail("protected groups have changed")
	}
}

// judgeIndependence: what becomes of an attribute depends on nothing but what
// was sent for it and what the account has of it, and nothing depends on the
// order in which a provider or a file names things.
func judgeIndependence(fail func(string, ...any), r chance, a, b *Account, conn config.Connection, all config.JITProvisioning, answer auth.Identity, locked bool, now time.Time) {
	admittedAs := func(conn config.Connection, answer auth.Identity) (*connection, admitted) {
		compiled := newConnection(conn, all)
		id, err := admit(compiled, answer)
		if err != nil {
			fail("%v", err)
		}
		return compiled, id
	}
	mixed := answer
	mixed.Groups = slices.Clone(answer.Groups)
	r.Shuffle(len(mixed.Groups), func(i, j int) { mixed.Groups[i], mixed.Groups[j] = mixed.Groups[j], mixed.Groups[i] })
	turned := conn
	turned.Attributes = slices.Clone(conn.Attributes)
	slices.Reverse(turned.Attributes)
	compiled, id := admittedAs(turned, mixed)
	other := synced(a, compiled, id, locked, now)
	slices.SortFunc(other.Groups, compareGroups)
	same := b.clone()
	slices.SortFunc(same.Groups, compareGroups)
	if !same.equal(other) {
		fail("in another order: %s", other.encode())
	}
	if compiled.rules != newConnection(conn, all).rules {
		fail("in another order the rules are others")
	}
	if _, id := admittedAs(conn, answer); id.silent(compiled) {
		return
	}

	name := r.of(someNames...)
	alone := answer
	alone.Username, alone.Email, alone.Groups, alone.Attributes = "al", "", nil, nil
	if values, sent := answer.Attributes[name]; sent {
		alone.Attributes = map[string][]string{name: values}
	}
	before := a.clone()
	before.Attributes, before.Groups, before.Email = map[string]Attribute{}, nil, Email{}
	if x, has := a.Attributes[name]; has {
		before.Attributes[name] = x
	}
	compiled, id = admittedAs(conn, alone)
	got, has := synced(before, compiled, id, locked, now).Attributes[name]
	if want, had := b.Attributes[name]; has != had || !gocmp.Equal(want, got) {
		fail("%s alone becomes %+v, among others %+v", name, got, want)
	}
}

func compareGroups(a, b Group) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Source, b.Source))
}

// TestRankedSourcesConverge: two connections whose people sign in by turns,
// each always with the same answer, stop changing what attribute_sources ranks.
// Where it leaves an attribute to neither, they never touch it.
func TestRankedSourcesConverge(t *testing.T) {
	r := chance{rand.New(rand.NewPCG(3, 4))}
	names := append([]string{config.AttrEmail}, someNames...)
	for i := range 4000 {
		all := r.provisioning()
		for _, name := range names {
			if ranking := r.some(someSources); len(ranking) > 0 {
				all.AttributeSources[name] = ranking
			} else {
				all.AttributeSources[name] = []string{"acme", "partner"}
			}
		}
		a := r.account()
		var turns []func(*Account, time.Time) *Account
		for _, connection := range []string{"acme", "partner"} {
			conn := r.connection(connection)
			compiled := newConnection(conn, all)
			id, locked := admittedTo(t, compiled, r.answer(conn)), r.one(4)
			turns = append(turns, func(a *Account, now time.Time) *Account {
				b := synced(a, compiled, id, locked, now)
				for _, name := range someNames {
					if !slices.Contains(all.AttributeSources[name], connection) && !gocmp.Equal(a.Attributes[name], b.Attributes[name]) {
						t.Fatalf("case %d: %s of %s has changed %s", i, connection, all.AttributeSources[name], name)
					}
				}
				return b
			})
		}
		if r.one(2) {
			slices.Reverse(turns)
		}
		var settled *Account
		for turn := range 8 {
			if turn == 4 {
				settled = a
			}
			a = turns[turn%2](a, noon.Add(time.Duration(turn)*time.Hour))
			if settled != nil && (!gocmp.Equal(settled.Attributes, a.Attributes) || settled.Email != a.Email) {
				t.Fatalf("case %d: turn %d still changes something\n%s\n%s\n%+v", i, turn, settled.encode(), a.encode(), all)
			}
		}
	}
}
