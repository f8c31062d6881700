package config

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parse returns the root of the only document in data, nil when there is
// none: a file that is empty or holds only comments is valid.
func (l *loader) parse(data []byte) (*yaml.Node, bool) {
	if line, ok := firstBadByte(data); ok {
		l.problemAt(line, "", "is not text in UTF-8", "save the file as UTF-8, without control characters")
		return nil, false
	}
	lines := &lineReader{rest: data}
	decoder := yaml.NewDecoder(lines)
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, true
	case err != nil:
		l.syntax(data, err, lines.read)
		return nil, false
	}
	// The YAML package stops after the first document without a word, and
	// with it would everything below a stray "---".
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		l.syntax(data, err, lines.read)
	default:
		l.problemAt(max(second.Line, 1), "", "a second YAML document begins here", `put everything in one document: remove the "---"`)
	}
	return document.Content[0], true
}

// firstBadByte returns the line of the first byte that no YAML text has.
func firstBadByte(data []byte) (line int, found bool) {
	line = 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0 && r != 0x85:
			return line, true
		case r == '\n':
			line++
		}
		data = data[size:]
	}
	return 0, false
}

// refuseForeign reports the parts of YAML that the file may not use. Aliases
// can make a small file expand to a huge one and a file that cannot be read
// at a glance; a secret that begins with &, * or ! reads as an anchor, alias
// or tag and would silently be lost. None of them is shown, for that reason.
func (l *loader) refuseForeign(n *yaml.Node, path string) {
	if n == nil {
		return
	}
	switch {
	case n.Kind == yaml.AliasNode:
		l.unread(n.Line, path, "YAML aliases (*name) are not supported", "write the value out; quote a text that begins with *")
		return
	case n.Anchor != "":
		l.places[path] = place{line: n.Line, bad: true}
		l.problemAt(n.Line, path, "YAML anchors (&name) are not supported", "remove it; quote a text that begins with &")
	case n.Style&yaml.TaggedStyle != 0:
		l.places[path] = place{line: n.Line, bad: true}
		l.problemAt(n.Line, path, "YAML tags (!name) are not supported", "remove it; quote a text that begins with !")
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			l.refuseForeign(item, index(path, i))
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i]; key.Kind == yaml.ScalarNode && key.ShortTag() != "!!merge" {
				l.refuseForeign(n.Content[i+1], child(path, key.Value))
			}
		}
	}
}

// child returns the path of a key. A long key is cut short: everything below it
// has it in its path, and a file of a megabyte would become one of gigabytes.
func child(path, key string) string {
	if !plainKey.MatchString(key) || len(key) > shownLength {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// index returns the path of an item of a list.
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parent returns the path around a path. A dot inside a quoted key makes it
// stop at a path that nothing is known of, and its parent is taken in turn.
func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}
