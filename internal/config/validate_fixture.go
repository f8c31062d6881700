package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// validateFixtures judges the tests of a connection as they are written; what
// comes out of them is for check to say.
func (l *loader) validateFixtures(path string, tests []Test, c *Config) {
	seen := map[string]int{} // line, by name
	for i := range tests {
		t, at := &tests[i], index(path, i)
		switch line := seen[t.Name]; {
		case t.Name == "":
			l.problem(at+".name", "is missing", "say in a few words whom or what it is about")
		case line > 0:
			l.problem(at+".name", fmt.Sprintf("%s is the name of the test on line %d", l.show(at+".name", t.Name), line), "choose another name")
		default:
			seen[t.Name] = t.Line
		}
		if t.Claims == nil {
			l.problem(at+".claims", "is missing", `write the claims of an answer, such as {sub: "1"}`)
		}
		if t.Account != nil {
			l.validateTestAccount(at+".account", t.Account, c)
		}
		l.validateExpectation(at+".expect", &t.Expect)
	}
}

func (l *loader) validateTestAccount(path string, a *TestAccount, c *Config) {
	if a.Username == "" {
		l.problem(path+".username", "is missing", "write the username of the account: each has one")
	}
	if a.Email != "" && !isEmail(a.Email) {
		l.problem(path+".email", l.show(path+".email", a.Email)+" is not an e-mail address", "write an address such as ann@acme.example")
	}
	l.validateGroups(path+".groups", a.Groups)
	l.validateFixtureAttributes(path+".attributes", a.Attributes)
	for _, id := range slices.Sorted(maps.Keys(a.Linked)) {
		at := child(path+".linked", id)
		l.validateConnectionID(at, quote(id), id, c)
		if a.Linked[id] == "" {
			l.problem(at, "names no subject", "write the sub claim of the person there")
		}
	}
}

func (l *loader) validateExpectation(path string, e *Expectation) {
	bad := slices.ContainsFunc([]string{"verdict", "reason", "username", "email", "groups", "attributes", "headers"},
		func(key string) bool { return l.places[path+"."+key].bad })
	if reflect.DeepEqual(*e, Expectation{}) && !bad {
		l.problem(path, "expects nothing", "write verdict: created, or what else should come out")
	}
	if e.Reason != "" && e.Verdict != "denied" && !l.places[path+".verdict"].bad {
		l.problem(path+".reason", "is the reason of a denial", "write verdict: denied, or remove it")
	}
	if e.Groups != nil {
		l.validateGroups(path+".groups", *e.Groups)
	}
	l.validateFixtureAttributes(path+".attributes", e.Attributes)
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		at := child(path+".headers", name)
		other, twice := seen[lower(name)]
		switch {
		case !isToken(name):
			l.problem(at, "is not the name of a header", "write letters, digits and -, such as X-Forwarded-User")
		case twice:
			l.problem(at, "is the same header as "+quote(other), "remove one of them")
		}
		seen[lower(name)] = name
	}
}

// validateFixtureAttributes judges the attributes of an account or of what is
// expected.
func (l *loader) validateFixtureAttributes(path string, attributes map[string][]string) {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		at := child(path, name)
		if name == AttrUsername || name == AttrEmail || name == AttrGroups {
			l.problem(at, "is no attribute: it has a key of its own", "write it beside attributes")
			continue
		}
		l.validateAttributeName(at, name)
	}
}
