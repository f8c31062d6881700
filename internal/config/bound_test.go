package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Files made to exhaust whoever reads them are refused like any other: what
// Load does grows with the size of the file, not with what it stands for.
func TestBombsAreRefused(t *testing.T) {
	fill := func(head, item string) []byte {
		return append([]byte(head), bytes.Repeat([]byte(item), maxFile/64/len(item))...)
	}
	for _, tt := range []struct {
		name string
		file []byte
	}{
		{"empty routes", fill("routes:\n", "- {}\n")},
		{"empty connections", fill("connections:\n", "- {}\n")},
		{"unknown keys", fill("", "lissten: 1\n")},
		{"one long key", append(bytes.Repeat([]byte("k"), maxFile-4), ": 1"...)},
		{"one long value", append([]byte("log: "), bytes.Repeat([]byte("${A:-x}"), maxFile/8)...)},
		{"deep brackets", bytes.Repeat([]byte("["), maxFile)},
		{"deep rules", []byte("routes: [{access: " + strings.Repeat("{not: ", 3000) + "public" + strings.Repeat("}", 3000) + "}]")},
		{"deep claims", []byte("connections: [{tests: [{claims: " + strings.Repeat("{a: ", 3000) + "1" + strings.Repeat("}", 3000) + "}]}]")},
		{"many claims below a long name", []byte("connections: [{tests: [{claims: {? " + strings.Repeat("k", maxFile/2) + "\n : [" + strings.Repeat("1,", 4096) + "]}}]}]")},
		{"wide rules", fill("routes: [{upstream: 'static:202', access: {any: [", "{users: [a]},")},
		{"a billion laughs", laughs()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Parse("c.yaml", tt.file, nil)
			var problems Problems
			if !errors.As(err, &problems) {
				t.Errorf("accepted: %v", err)
			}
		})
	}
}

// Every value below a key has the key in its path: a key of half a file with
// half a file of values below it would take gigabytes.
func TestLongKeysAreCutShort(t *testing.T) {
	for _, key := range []string{strings.Repeat("k", maxFile), strings.Repeat("k.", maxFile)} {
		if n := len(child("connections[0]", key)); n > 200 {
			t.Errorf("a path of %d bytes", n)
		}
	}
}

// laughs is a small file that stands for ten to the ninth texts.
func laughs() []byte {
	var b bytes.Buffer
	b.WriteString("a0: &a0 [ha]\n")
	for i := range 9 {
		item := fmt.Sprintf("*a%d, ", i)
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(item, 10))
	}
	b.WriteString("routes: *a9\n")
	return b.Bytes()
}
