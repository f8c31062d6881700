// Package claim finds claims by path and reads their values: the one meaning
// that a path of the configuration has, wherever it is written. It maps
// nothing and judges nothing.
package claim

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Place is where a claim was found.
type Place struct {
	Top    string         // name of the top-level claim that holds it, or is it
	Object map[string]any // the object that it stands in
	Name   string         // its name in there
}

// Lookup returns the claim at a path; null counts as absent. Dots descend
// into objects. Where a name itself has dots (https://x.example/groups,
// Keycloak's client ids) the longest name that is there wins, so a claim that
// bears the whole path as its name comes first.
func Lookup(claims map[string]any, path string) (any, bool) {
	at, ok := Locate(claims, path)
	if !ok {
		return nil, false
	}
	return at.Object[at.Name], true
}

// Locate is Lookup for who needs to know what stands beside the claim.
func Locate(claims map[string]any, path string) (Place, bool) {
	if claims[path] != nil {
		return Place{Top: path, Object: claims, Name: path}, true
	}
	for _, head := range Heads(path) {
		inner, isObject := claims[head].(map[string]any)
		if !isObject {
			continue
		}
		if at, ok := Locate(inner, path[len(head)+1:]); ok {
			at.Top = head
			return at, true
		}
	}
	return Place{}, false
}

// Heads are the beginnings of a path up to each of its dots, longest first:
// the names of the objects that may hold the claim.
func Heads(path string) []string {
	var all []string
	for end := strings.LastIndexByte(path, '.'); end > 0; end = strings.LastIndexByte(path[:end], '.') {
		all = append(all, path[:end])
	}
	return all
}

// Text returns a string, number or boolean as text; anything else is none.
func Text(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}
