package config

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// attributes reads the mapping of claims. What the file leaves out of the
// four known names keeps its usual claim; an empty path leaves one out.
func attributes(o *object) []Attribute {
	all := []Attribute{
		{Name: AttrUsername, From: []string{"preferred_username"}},
		{Name: AttrEmail, From: []string{"email"}},
		{Name: AttrName, From: []string{"name"}},
		{Name: AttrGroups, From: []string{"groups"}},
	}
	for _, e := range o.entries("attributes") {
		a := o.l.attribute(e)
		if i := slices.IndexFunc(all, func(known Attribute) bool { return known.Name == a.Name }); i >= 0 {
			all[i] = a
		} else {
			all = append(all, a)
		}
	}
	return slices.DeleteFunc(all, func(a Attribute) bool { return len(a.From) == 0 && len(a.Constant) == 0 })
}

// attribute reads the mapping of one attribute: a path, a list of paths, or a
// mapping that says more.
func (l *loader) attribute(e entry) Attribute {
	a := Attribute{Name: e.name}
	if isNull(e.node) || e.node.Kind != yaml.MappingNode {
		a.From = l.paths(e.node, e.path)
		return a
	}
	o := l.object(e.node, e.path)
	defer o.done()
	from, fromPath := o.take("from")
	constant, constantPath := o.take("constant")
	a.From = l.paths(from, fromPath)
	a.Constant = l.oneOrMore(constant, constantPath)
	a.Mode = o.choice("mode", "", ModeOverride, ModePreserve, ModeImportOnce, ModeSessionOnly)
	a.OnAbsent = o.choice("on_absent", "", AbsentKeep, AbsentDeleteIfMine, AbsentDelete)
	switch {
	case from != nil && constant != nil:
		l.problem(constantPath, "is there beside from", "remove one of them: a value comes from the answer or from this file")
	case constant != nil && len(a.Constant) == 0:
		l.problem(constantPath, "is an empty list", "write a value, or remove the attribute")
	case constant == nil && !l.isSet(fromPath):
		l.problem(e.path, "says neither from nor constant", "write from: and the name of a claim, or constant: and a value")
	}
	return a
}

// paths reads a claim path or a list of them. An empty text or list is none.
func (l *loader) paths(n *yaml.Node, path string) []string {
	paths := l.oneOrMore(n, path)
	if len(paths) == 1 && paths[0] == "" && n.Kind == yaml.ScalarNode {
		return nil
	}
	return paths
}
