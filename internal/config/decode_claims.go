package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxClaimsDepth bounds how deep the claims of a fixture may nest.
const maxClaimsDepth = 64

// claims reads a mapping as encoding/json would the same claims in an answer,
// with UseNumber: numbers are json.Number, as they are written. What a
// variable expands to is text.
func (l *loader) claims(n *yaml.Node, path string, depth int) map[string]any {
	o := l.object(n, path)
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Kind == yaml.ScalarNode && key.Style&yaml.TaggedStyle == 0 && key.Anchor == "" &&
			key.ShortTag() != "!!str" && key.ShortTag() != "!!merge" {
			l.problem(child(path, key.Value), "the name of a claim is text", "put it in quotes")
		}
	}
	claims := make(map[string]any, len(o.names))
	for _, name := range o.names {
		claims[name] = l.claim(o.nodes[name], child(path, name), depth+1)
	}
	return claims
}

func (l *loader) claim(n *yaml.Node, path string, depth int) any {
	switch {
	case isNull(n):
		return nil
	case depth > maxClaimsDepth:
		l.unread(n.Line, path, fmt.Sprintf("is nested more than %d deep", maxClaimsDepth), "write claims that nest less")
		return nil
	case n.Kind == yaml.MappingNode:
		return l.claims(n, path, depth)
	case n.Kind == yaml.SequenceNode:
		items, path, _ := l.items(n, path)
		list := make([]any, len(items))
		for i, item := range items {
			list[i] = l.claim(item, index(path, i), depth+1)
		}
		return list
	}
	return l.claimValue(n, path)
}

// jsonNumber is a number as JSON writes it (RFC 8259, section 6).
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// quoted are the styles of a scalar that is text, whatever it looks like.
const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

func (l *loader) claimValue(n *yaml.Node, path string) any {
	tag := n.ShortTag()
	switch {
	case n.Style&quoted != 0:
	case tag == "!!bool":
		return strings.EqualFold(n.Value, "true")
	case jsonNumber.MatchString(n.Value):
		// Also what YAML takes for text, being too large for a float.
		return json.Number(n.Value)
	case tag == "!!int" || tag == "!!float":
		l.problem(path, quote(n.Value)+" is not a number as JSON writes it, which is how claims come", "write it in decimal, such as 31 or 0.5, or in quotes where a text is meant")
		return nil
	}
	// Unlike any other text of the file it may hold what no header may: an
	// answer can.
	value, ok := l.scalar(n, path)
	if ok && !utf8.ValidString(value) {
		l.problem(path, "is not text in UTF-8", "set the variable in it to such text")
	}
	return value
}
