package config

import (
	"fmt"
	"strings"
)

// expand replaces ${NAME} and ${NAME:-default} in a scalar value. The default
// is taken when the variable is unset or empty, as in a shell. "$${" is a
// literal "${"; a "$" that no "{" follows stands for itself, since passwords
// are full of them. What a variable holds is not expanded again.
//
// Expansion works on values that the YAML parser has delivered already, so
// that a variable cannot add keys, lists or lines to the file.
//
// It returns what is wrong and what to do about it, for every reference that
// cannot be expanded; neither names the value of a variable.
func expand(value string, env func(string) (string, bool)) (expanded string, wrong []trouble) {
	var out strings.Builder
	for {
		at := strings.Index(value, "${")
		if at < 0 {
			out.WriteString(value)
			return out.String(), wrong
		}
		if at > 0 && value[at-1] == '$' {
			out.WriteString(value[:at-1] + "${")
			value = value[at+2:]
			continue
		}
		out.WriteString(value[:at])
		reference, rest, closed := strings.Cut(value[at+2:], "}")
		if !closed {
			return out.String(), append(wrong, trouble{
				`has a "${" without its "}"`, `write ${NAME} or ${NAME:-default}, and $${ for the characters themselves`,
			})
		}
		value = rest
		name, fallback, hasFallback := strings.Cut(reference, ":-")
		if !isVariable(name) || strings.Contains(fallback, "${") {
			wrong = append(wrong, trouble{
				"has a variable that cannot be read", `write ${NAME} or ${NAME:-default}, without one inside the other, and $${ for the characters themselves`,
			})
			continue
		}
		held, isSet := env(name)
		switch {
		case hasFallback && held == "":
			held = fallback
		case !isSet:
			wrong = append(wrong, trouble{
				fmt.Sprintf("the variable %s is not set", name), fmt.Sprintf("set it, or write ${%s:-default}", name),
			})
		}
		out.WriteString(held)
	}
}

// trouble is a problem that does not know its place yet.
type trouble struct{ what, do string }

func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
