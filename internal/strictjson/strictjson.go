// Package strictjson reads what people and other programs write as JSON. It
// finds what encoding/json lets pass and two readers could read differently, one
// of whom may guard the other.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
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

// Texts is a text, or a list of them.
type Texts []string

// UnmarshalJSON implements json.Unmarshaler. Errors: it is neither.
func (t *Texts) UnmarshalJSON(b []byte) error {
	if one := ""; len(b) > 0 && b[0] == '"' {
		err := json.Unmarshal(b, &one)
		*t = Texts{one}
		return err
	}
	var more []string
	if err := json.Unmarshal(b, &more); err != nil || more == nil {
		return errors.New("an attribute is a text or a list of texts")
	}
	*t = more
	return nil
}
