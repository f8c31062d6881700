package provision

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// unseen reports whether a character is not visible where it stands: controls,
// bidirectional and zero-width marks, variation selectors, fillers, private
// and unassigned ones, and every space but the plain one. Two names that
// differ in these look the same to whoever grants them something.
func unseen(r rune) bool {
	if r == ' ' {
		return false
	}
	return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar ||
		unicode.In(r, unicode.Zs, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// lower maps A-Z to a-z and nothing else. Other scripts' rules of case make
// different names equal (the Turkish dotless i, the Kelvin sign).
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

// compatible is s under NFKC, which many applications apply to names. It is
// used to look for signs in disguise, never stored.
func compatible(s string) string { return norm.NFKC.String(s) }
