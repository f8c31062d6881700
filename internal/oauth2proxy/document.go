package oauth2proxy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// node is a key of config.yaml, or an item of a list, with the comments that
// belong to it.
type node struct {
	key   string   // empty: an item
	value string   // as YAML writes it; empty: what is below
	from  origin   // the options that it comes from
	notes []string // each a paragraph
	named []origin // in the notes
	below []*node
}

// origin is one option, or several with ", " between them, as they were spelled
// where they were set. It has a type of its own so that an option counts as
// named only where it was: whatever somebody has written may hold its name.
type origin string

// joined is all of them, each once.
func joined(all ...origin) origin {
	var names []string
	for _, o := range all {
		if o != "" && !slices.Contains(names, string(o)) {
			names = append(names, string(o))
		}
	}
	return origin(strings.Join(names, ", "))
}

// origins are the names among the arguments of a note.
func origins(args []any) (all []origin) {
	for _, arg := range args {
		if o, ok := arg.(origin); ok {
			all = append(all, o)
		}
	}
	return all
}

// set adds a key with a value that is YAML already.
func (n *node) set(key, value string, from origin) *node {
	child := &node{key: key, value: value, from: from}
	n.below = append(n.below, child)
	return child
}

// in returns the mapping under a key.
func (n *node) in(key string) *node {
	for _, child := range n.below {
		if child.key == key {
			return child
		}
	}
	return n.set(key, "", "")
}

// item adds an item to a list.
func (n *node) item() *node { return n.set("", "", "") }

func (n *node) note(format string, args ...any) {
	n.notes = append(n.notes, fmt.Sprintf(format, args...))
	n.named = append(n.named, origins(args)...)
}

// names adds the options that are named in n and below.
func (n *node) names(all map[string]bool) {
	for _, o := range slices.Concat(n.named, []origin{n.from}) {
		// What it comes from may be followed by why.
		options, _, _ := strings.Cut(string(o), ":")
		for name := range strings.SplitSeq(options, ", ") {
			all[name] = true
		}
	}
	for _, child := range n.below {
		child.names(all)
	}
}

// write writes what is below n. A mapping without keys would be a key without
// a value, so only its comments are written.
func (n *node) write(b *strings.Builder, depth int) {
	indent := strings.Repeat("  ", depth)
	for _, child := range n.below {
		for _, note := range child.notes {
			comment(b, indent, note)
		}
		switch {
		case child.key == "":
			var item strings.Builder
			child.write(&item, depth+1)
			// The dash takes the place of the first key's indentation.
			text := item.String()
			first := len(indent) + 2
			for strings.HasPrefix(text[first:], "#") {
				end := strings.IndexByte(text, '\n') + 1
				b.WriteString(text[:end])
				text = text[end:]
			}
			b.WriteString(indent + "- " + text[first:])
		case child.value != "":
			b.WriteString(indent + child.key + ": " + child.value)
			if child.from != "" {
				b.WriteString(" # " + string(child.from))
			}
			b.WriteByte('\n')
		case len(child.below) > 0:
			b.WriteString(indent + child.key + ":\n")
			child.write(b, depth+1)
		}
	}
}

// comment writes a paragraph as comment lines of a hundred columns. Whatever
// is in it, it stays a comment: words never hold a line's end, nor anything else
// that is not seen.
func comment(b *strings.Builder, indent, text string) {
	const most = 100
	text = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) || unicode.IsSpace(c) {
			return c
		}
		return '?'
	}, text)
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > most && line != indent+"#" {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

var (
	plainWord = regexp.MustCompile(`^[A-Za-z_/.][A-Za-z0-9_./@-]*$`)
	plainURL  = regexp.MustCompile(`^(https?|h2c|unix|static|file):[A-Za-z0-9_./@~+-]+(:[0-9]+)?[A-Za-z0-9_./@~+-]*$`)
	reserved  = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|~|\.inf|\.nan|\.+)$`)
)

// quoted is a text as a scalar of config.yaml. A variable in it is not one
// there: "${" came from the other file, where it was just text.
func quoted(s string) string {
	s = strings.ReplaceAll(s, "${", "$${")
	if (plainWord.MatchString(s) || plainURL.MatchString(s)) && !reserved.MatchString(s) {
		return s
	}
	return doubleQuoted(s)
}

// doubleQuoted writes JSON, every string of which is one of YAML.
func doubleQuoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(strings.ToValidUTF8(s, "\uFFFD")) // a string always is one of JSON
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\x7f", `\u007f`)
}

// flow is a list in one line.
func flow(items []string) string {
	all := make([]string, len(items))
	for i, item := range items {
		all[i] = quoted(item)
		if strings.ContainsAny(all[i], ",[]{}") && all[i][0] != '"' {
			all[i] = doubleQuoted(item)
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// variable is a reference that Gatehouse expands.
func variable(name string) string { return "${" + name + "}" }
