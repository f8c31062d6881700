package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// text returns a scalar as text, whatever YAML takes it for: a client id of
// 0123 is not the number 83. The fallback stands for an absent value.
func (l *loader) text(n *yaml.Node, path, fallback string) string {
	if isNull(n) {
		return fallback
	}
	value, ok := l.scalar(n, path)
	if !ok {
		return fallback
	}
	// No value of the file may span lines: each ends in a header, a log line,
	// a URL or a file name.
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		l.problem(path, "has a control character or a line break", "write it on one line, in UTF-8")
		return fallback
	}
	return value
}

// scalar returns a scalar with its variables expanded.
func (l *loader) scalar(n *yaml.Node, path string) (string, bool) {
	if isNull(n) {
		return "", true
	}
	if n.Kind != yaml.ScalarNode {
		l.wrongType(n, path, "a single value", "write key: value")
		return "", false
	}
	value, wrong := expand(n.Value, l.env)
	for _, w := range wrong {
		l.problemAt(l.line(path), path, w.what, w.do)
	}
	p := l.places[path]
	if p.line == 0 {
		p.line = n.Line
	}
	p.shown, p.bad = n.Value, p.bad || len(wrong) > 0
	l.places[path] = p
	return value, len(wrong) == 0
}

// text returns the text under a key.
func (o *object) text(key, fallback string) string {
	n, path := o.take(key)
	return o.l.text(n, path, fallback)
}

// file returns the file name under a key, made absolute.
func (o *object) file(key, fallback string) string {
	return o.l.resolve(o.text(key, fallback))
}

// flag returns the truth value under a key. "true" is as good as true: a
// variable can only be text.
func (o *object) flag(key string, fallback bool) bool {
	n, path := o.take(key)
	return o.l.flag(n, path, fallback)
}

func (l *loader) flag(n *yaml.Node, path string, fallback bool) bool {
	switch strings.ToLower(l.text(n, path, strconv.FormatBool(fallback))) {
	case "true":
		return true
	case "false":
		return false
	}
	l.problem(path, "must be true or false", "write true or false")
	return fallback
}

// number returns the whole number under a key.
func (o *object) number(key string, fallback int) int {
	n, path := o.take(key)
	number, err := strconv.Atoi(o.l.text(n, path, strconv.Itoa(fallback)))
	if err != nil {
		o.l.problem(path, "must be a whole number", "write digits only, such as "+strconv.Itoa(fallback))
		return fallback
	}
	return number
}

// choice returns the one of the values that stands under a key, in any letter
// case. An empty text is no value.
func (o *object) choice(key, fallback string, values ...string) string {
	n, path := o.take(key)
	given := o.l.text(n, path, fallback)
	value := strings.ToLower(given)
	if value == "" {
		return fallback
	}
	if value == fallback || slices.Contains(values, value) {
		return value
	}
	do := "write " + oneOf(values)
	if near := nearest(value, values); near != "" {
		do = "did you mean " + near + "? " + "It can be " + oneOf(values)
	}
	o.l.problem(path, o.l.show(path, given)+" is not one of its values", do)
	return fallback
}

// oneOf lists values for a sentence.
func oneOf(values []string) string {
	if len(values) < 2 {
		return strings.Join(values, "")
	}
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// unbuilt refuses a key that this version does not act on, unless it has its
// default: who sets it relies on what does not happen.
func (o *object) unbuilt(key, fallback string) {
	if o.text(key, fallback) != fallback {
		o.l.unbuilt(child(o.path, key))
	}
}

func (l *loader) unbuilt(path string) {
	l.problem(path, "is not supported by this version", "remove it")
}
