package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// object is a mapping of the file. Its keys are taken by asking for them; done
// reports those that nobody asked for. An absent object answers with defaults
// everywhere.
type object struct {
	l     *loader
	path  string
	names []string // as in the file
	nodes map[string]*yaml.Node
	asked []string
}

// object reads a mapping. A nil node is an absent one.
func (l *loader) object(n *yaml.Node, path string) *object {
	o := &object{l: l, path: path, nodes: map[string]*yaml.Node{}}
	if isNull(n) {
		return o
	}
	if n.Kind != yaml.MappingNode {
		l.wrongType(n, path, "a mapping of keys to values", "write its keys on lines of their own, indented")
		return o
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := child(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode, key.Anchor != "", key.Style&yaml.TaggedStyle != 0:
			l.problemAt(key.Line, path, "has a key that is not plain text", "write key: value")
		case key.ShortTag() == "!!merge":
			l.problemAt(key.Line, path, "YAML merge keys (<<) are not supported", "write the keys out")
		case o.nodes[key.Value] != nil:
			l.problemAt(key.Line, at, fmt.Sprintf("is there twice, first on line %d", l.places[at].line), "remove one of them")
		default:
			o.names = append(o.names, key.Value)
			o.nodes[key.Value] = value
			l.place(at, key.Line, value)
		}
	}
	return o
}

// place records where a value is.
func (l *loader) place(path string, line int, n *yaml.Node) {
	p := l.places[path] // bad already where it has what the file may not use
	p.line, p.set = line, !isNull(n)
	l.places[path] = p
}

// isNull reports whether there is no value. An alias has been reported
// already and counts as none.
func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.AliasNode || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// take returns the value of a key, nil where there is none, and its path.
func (o *object) take(key string) (*yaml.Node, string) {
	o.asked = append(o.asked, key)
	path := child(o.path, key)
	o.l.keys[withoutIndexes(path)] = true
	if n := o.nodes[key]; !isNull(n) {
		return n, path
	}
	return nil, path
}

// done sets aside the keys that nobody asked for: they are reported once
// every key of the file is known.
func (o *object) done() {
	for _, name := range o.names {
		if !slices.Contains(o.asked, name) {
			o.l.unknown = append(o.l.unknown, unknownKey{name, o})
		}
	}
}

// unknownKey is a key that nothing reads.
type unknownKey struct {
	name string
	in   *object
}

// refuseUnknown reports the keys that nothing reads, with the key that was
// most likely meant: one spelled nearly so, or the same in another place.
func (l *loader) refuseUnknown() {
	elsewhere := map[string][]string{}
	for path := range l.keys {
		name := path[strings.LastIndexByte(path, '.')+1:]
		elsewhere[name] = append(elsewhere[name], path)
	}
	for _, u := range l.unknown {
		do := "remove it"
		if near := nearest(u.name, u.in.asked); near != "" {
			do = "did you mean " + near + "?"
		} else if paths := elsewhere[u.name]; len(paths) == 1 {
			do = "did you mean " + paths[0] + "?"
		}
		l.problem(child(u.in.path, u.name), "there is no such key", do)
	}
}

// object returns the mapping under a key.
func (o *object) object(key string) *object {
	return o.l.object(o.take(key))
}

// list returns the items under a key, and whether the file has the list.
func (o *object) list(key string) (items []*yaml.Node, path string, ok bool) {
	n, path := o.take(key)
	if n == nil {
		return nil, path, false
	}
	return o.l.items(n, path)
}

// items returns the items of a list.
func (l *loader) items(n *yaml.Node, path string) ([]*yaml.Node, string, bool) {
	if n.Kind != yaml.SequenceNode {
		l.wrongType(n, path, "a list", "write [one, two], or each item on a line of its own after a dash")
		return nil, path, false
	}
	for i, item := range n.Content {
		l.place(index(path, i), item.Line, item)
	}
	return n.Content, path, true
}

// objects returns the list of mappings under a key.
func (o *object) objects(key string) []*object {
	items, path, _ := o.list(key)
	objects := make([]*object, len(items))
	for i, item := range items {
		if isNull(item) {
			o.l.unread(item.Line, index(path, i), "is empty", "write its keys, or remove the dash")
		}
		objects[i] = o.l.object(item, index(path, i))
	}
	return objects
}

// texts returns the list of texts under a key. Without a list it returns a
// copy of the fallback.
func (o *object) texts(key string, fallback ...string) []string {
	items, path, ok := o.list(key)
	if !ok {
		return slices.Clone(fallback)
	}
	return o.l.texts(items, path)
}

func (l *loader) texts(items []*yaml.Node, path string) []string {
	texts := make([]string, 0, len(items))
	for i, item := range items {
		at := index(path, i)
		if isNull(item) {
			l.problem(at, "is empty", "remove it")
		}
		texts = append(texts, l.text(item, at, ""))
	}
	return texts
}

// oneOrMore returns a list of texts that may be written without its brackets
// where it has one item. No value is none.
func (l *loader) oneOrMore(n *yaml.Node, path string) []string {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return []string{l.text(n, path, "")}
	}
	items, path, _ := l.items(n, path)
	return l.texts(items, path)
}

// item returns the path of an item of such a list: that of the list itself
// where the file has no brackets.
func (l *loader) item(path string, i int) string {
	if _, ok := l.places[index(path, i)]; ok {
		return index(path, i)
	}
	return path
}

// refuseTwice reports the items of a list that stand there already.
func (l *loader) refuseTwice(path string, list []string) {
	seen := make(map[string]bool, len(list))
	for i, item := range list {
		if seen[item] {
			at := l.item(path, i)
			l.problem(at, l.show(at, item)+" is there twice", "remove one of them")
		}
		seen[item] = true
	}
}

// entry is one key of a mapping whose keys are free.
type entry struct {
	name string
	node *yaml.Node
	path string
}

// entries returns the keys and values under a key whose keys are free.
func (o *object) entries(key string) []entry {
	free := o.object(key)
	entries := make([]entry, len(free.names))
	for i, name := range free.names {
		entries[i] = entry{name, free.nodes[name], child(free.path, name)}
	}
	return entries
}

// wrongType reports a value of the wrong type without showing it: it may be a
// secret in the wrong place.
func (l *loader) wrongType(n *yaml.Node, path, want, do string) {
	is := map[yaml.Kind]string{yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list"}[n.Kind]
	if is == "" {
		is = "a single value"
	}
	if path == "" {
		l.problemAt(n.Line, "", "the file must be "+want+", is "+is, do)
	} else if !l.places[path].bad {
		l.unread(n.Line, path, "must be "+want+", is "+is, do)
	}
}

// nearest returns the known key that a person who wrote name most likely
// meant, or nothing.
func nearest(name string, known []string) string {
	best, least := "", 1+max(1, min(3, len(name)/3))
	if len(name) > 64 {
		return ""
	}
	folded := strings.ReplaceAll(strings.ToLower(name), "-", "_")
	for _, candidate := range known {
		if d := distance(folded, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two short texts, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// withoutIndexes turns connections[0].issuer into connections[].issuer.
func withoutIndexes(path string) string {
	var out strings.Builder
	inside := false
	for _, c := range path {
		if c == ']' {
			inside = false
		}
		if !inside {
			out.WriteRune(c)
		}
		if c == '[' {
			inside = true
		}
	}
	return out.String()
}
