// Package strictjson finds what encoding/json lets pass and two readers could
// read differently, one of whom may guard the other.
package strictjson

import (
	"bytes"
	"encoding/json"
)

// Repeated returns a name that stands twice in one object of a well-formed
// document (RFC 8259, section 4), however it is spelled there. Two names are one
// when fold makes the same of them: the identity for a reader that takes them
// as they are, strings.ToLower for encoding/json and structs.
func Repeated(document []byte, fold func(string) string) (name string, found bool) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	type level struct {
		names map[string]bool // nil: a list
		value bool            // the name has been read, and its value comes
	}
	open := []level{{}}
	for {
		token, err := d.Token()
		if err != nil {
			return "", false // the end
		}
		at := &open[len(open)-1]
		if name, isText := token.(string); isText && at.names != nil && !at.value {
			folded := fold(name)
			if at.names[folded] {
				return name, true
			}
			at.names[folded], at.value = true, true
			continue
		}
		at.value = false
		switch token {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
	}
}

// AsIs folds nothing.
func AsIs(name string) string { return name }
