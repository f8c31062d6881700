package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// verdicts are the values of Expectation.Verdict.
var verdicts = [...]string{"created", "updated", "linked", "unchanged", "confirm", "pass_through", "denied"}

// fixtures reads the tests of a connection.
func fixtures(o *object) []Test {
	objects := o.objects("tests")
	if len(objects) == 0 {
		return nil
	}
	all := make([]Test, len(objects))
	for i, object := range objects {
		all[i] = fixture(object)
	}
	return all
}

func fixture(o *object) Test {
	defer o.done()
	t := Test{
		Line:   o.l.line(o.path),
		Name:   o.text("name", ""),
		Expect: expectation(o.object("expect")),
	}
	if n, path := o.take("claims"); n != nil {
		t.Claims = o.l.claims(n, path, 0)
	}
	if n, path := o.take("account"); n != nil {
		t.Account = testAccount(o.l.object(n, path))
	}
	return t
}

func testAccount(o *object) *TestAccount {
	defer o.done()
	a := &TestAccount{
		Username:    o.text("username", ""),
		Email:       o.text("email", ""),
		Groups:      o.texts("groups"),
		Attributes:  o.lists("attributes"),
		HasPassword: o.flag("has_password", false),
		HasFactor:   o.flag("has_factor", false),
		Disabled:    o.flag("disabled", false),
	}
	for _, e := range o.entries("linked") {
		if a.Linked == nil {
			a.Linked = map[string]string{}
		}
		a.Linked[e.name] = o.l.text(e.node, e.path, "")
	}
	return a
}

// expectation reads what should come out. What the file does not name is not
// looked at; an empty text, list or mapping is looked at.
func expectation(o *object) Expectation {
	defer o.done()
	e := Expectation{
		Verdict:    o.choice("verdict", "", verdicts[:]...),
		Reason:     o.text("reason", ""),
		Username:   o.optional("username"),
		Email:      o.optional("email"),
		Attributes: o.lists("attributes"),
	}
	if items, path, ok := o.list("groups"); ok {
		groups := o.l.texts(items, path)
		e.Groups = &groups
	}
	for _, h := range o.entries("headers") {
		if e.Headers == nil {
			e.Headers = map[string]string{}
		}
		e.Headers[h.name] = o.l.text(h.node, h.path, "")
	}
	return e
}

// optional returns the text under a key, nil where there is none.
func (o *object) optional(key string) *string {
	n, path := o.take(key)
	if n == nil {
		return nil
	}
	text := o.l.text(n, path, "")
	return &text
}

// lists returns a mapping of names to one text or more, read as a claim would
// be: a blank text is no value, and an attribute without one is there. The
// mapping is nil only where the file has none: an empty one is a value.
func (o *object) lists(key string) map[string][]string {
	n, path := o.take(key)
	if n == nil || n.Kind != yaml.MappingNode {
		o.l.object(n, path)
		return nil
	}
	lists := map[string][]string{}
	for _, e := range o.entries(key) {
		texts := o.l.oneOrMore(e.node, e.path)
		lists[e.name] = slices.DeleteFunc(append([]string{}, texts...), func(s string) bool { return strings.TrimSpace(s) == "" })
	}
	return lists
}
