package oauth2proxy

import (
	"regexp"
	"strings"
)

// references are the texts of the alpha configuration that have variables in
// them, as config.yaml says the same: by where they stand, and by what they are
// with the values put in. A value never gets into the text: it may be a secret.
type references map[origin]map[string]string

var (
	reference = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^${}]*)?\}`)
	withHost  = regexp.MustCompile(`^[a-z0-9+]+://[^/?#@]+`)
)

// add notes a text that stands at a path of the alpha configuration, and the
// parts of it that become a value of their own.
func (r references) add(shown, text string, expand func(string) string) {
	parts := append(strings.Fields(text), text, withHost.FindString(text))
	if name, ok := strings.CutPrefix(text, "file://"); ok {
		parts = append(parts, "file:"+name)
	}
	ofItem, _, _ := strings.Cut(shown, "]")
	for _, part := range parts {
		value := expand(part)
		if value == part || value == "" || strings.Contains(part, "$${") || strings.Contains(reference.ReplaceAllString(part, ""), "${") {
			continue
		}
		for _, at := range []origin{origin(shown), origin(ofItem + "]")} {
			if r[at] == nil {
				r[at] = map[string]string{}
			}
			r[at][value] = part
		}
	}
}

// spelled is a value as it was written at its origin.
func (t *translation) spelled(value string, from origin) string {
	if text, ok := t.settings.references[from][value]; ok {
		return text
	}
	return value
}

// quoted is a value as a scalar of config.yaml, with the variables that it was
// written with.
func (t *translation) quoted(value string, from origin) string {
	text, ok := t.settings.references[from][value]
	if !ok {
		return quoted(value)
	}
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		if m[2] == "" {
			t.needs(m[1])
		}
	}
	return doubleQuoted(text)
}

// flow is a list in one line, with the variables that it was written with.
func (t *translation) flow(items []string, from origin) string {
	all := make([]string, len(items))
	for i, item := range items {
		if all[i] = t.quoted(item, from); t.spelled(item, from) == item {
			all[i] = strings.TrimSuffix(strings.TrimPrefix(flow(items[i:i+1]), "["), "]")
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}
