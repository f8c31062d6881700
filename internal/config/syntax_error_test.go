package config

import (
	"errors"
	"testing"
)

// The line of a syntax error is that of the mistake, not that of the mapping
// around it, which is what the parser says.
func TestLineOfSyntaxErrors(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     int
	}{
		{"indented too little", "server:\n  listen: a\n prefix: /oauth2\nlog: {}\na: b\n", 3},
		{"deep inside", "a:\n  b:\n    c: 1\n    d: 2\n    e: 3\n   f: 4\n    g: 5\nh: 1\n", 6},
		{"no colon", "a: 1\nb: 2\nc\nd: 3\ne: 4\n", 3},
		{"a key among items", "a: 1\nb:\n  - x\n  y: 1\nd: 3\ne: 4\n", 4},
		{"an item among keys", "a:\n  b: 1\n- c\nd: 1\ne: 1\n", 3},
		{"open bracket", "a: 1\nb: [x, y\nc: d\ne: f\n", 2},
		{"open brace", "a: 1\nb: {x: y\nc: d\ne: f\n", 2},
		{"open quote", "a: 1\nb: 'x\nc: d\ne: f\n", 2},
		{"two colons", "a: 1\nb: x: y\nc: d\n", 2},
		{"tab", "a: 1\n\tb: x\nc: d\n", 2},
		{"reserved character", "a: 1\nb: @x\nc: d\n", 2},
		{"unknown escape", "a: 1\nb: \"\\q\"\nc: d\n", 2},
		{"unknown alias", "a: 1\nb: 2\nc: *d\n", 3},
		{"in a second document", "a: 1\n---\nb: [\n", 3},
		{"on the first line", "]\n", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Parse("c.yaml", []byte(tt.in), nil)
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v", err)
			}
			if last := problems[len(problems)-1]; last.Line != tt.want {
				t.Errorf("want line %d: %v", tt.want, last)
			}
		})
	}
}
