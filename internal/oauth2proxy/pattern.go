package oauth2proxy

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// place is a path as a route has it: one that ends in a slash is itself and
// everything below.
type place struct {
	path string
	// guard: the pattern does not match the path without its slash, which the
	// route would take in as well.
	guard bool
}

// maxPlaces bounds how many paths one pattern is spelled out into.
const maxPlaces = 32

// places says which paths a pattern takes in, as far as routes can say it:
// each place that is returned is matched by the pattern, whole says that there
// is nothing else. The pattern is held against the path anywhere in it, unless
// it says "^" and "$".
func places(pattern string) (all []place, whole bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, false
	}
	x := &expansion{whole: true}
	words, ok := x.expand([]word{{}}, re)
	if !ok {
		return nil, false
	}
	if !x.anchored {
		// What begins with it is matched; what has it further on stays protected.
		x.whole = slices.ContainsFunc(words, func(w word) bool { return w.text == "" && w.end != ended })
	}
	exact := func(path string) bool { return slices.Contains(words, word{path, ended}) }
	for _, w := range words {
		p := place{path: w.text}
		switch {
		case w.end == ended && strings.HasSuffix(w.text, "/"):
			x.whole = false // no route is just that path
			continue
		case w.end == ended:
		case w.text == "":
			p.path = "/"
		case strings.HasSuffix(w.text, "/"):
			p.guard = w.text != "/" && !exact(strings.TrimSuffix(w.text, "/"))
		default:
			x.whole = false // also /foobar where it says /foo
			p.path += "/"
		}
		if !isPath(p.path) {
			x.whole = false
			continue
		}
		if i := slices.IndexFunc(all, func(q place) bool { return q.path == p.path }); i >= 0 {
			all[i].guard = all[i].guard && p.guard
			continue
		}
		all = append(all, p)
	}
	all = slices.DeleteFunc(all, func(p place) bool {
		return slices.ContainsFunc(all, func(q place) bool { return q.path == p.path+"/" && !q.guard })
	})
	return all, x.whole && len(all) > 0
}

// isPath reports whether a route may have the path. One with other characters
// is never equal to a path that is judged.
func isPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.Contains(path, "//") && !strings.ContainsAny(path, "*?#%;\\{}") &&
		!strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == 0x7f }) &&
		!slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return strings.HasSuffix(s, ".") })
}

// How a word goes on.
type end int

const (
	growing  end = iota
	anything     // whatever follows is matched
	ended        // nothing follows
)

// word is one of the texts that a pattern stands for.
type word struct {
	text string
	end  end
}

// expansion spells out a pattern.
type expansion struct {
	anchored bool
	whole    bool
}

// expand returns the words that have those of before first; ok is false where
// the pattern is none of plain texts.
func (x *expansion) expand(before []word, re *syntax.Regexp) (after []word, ok bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return before, true
	case syntax.OpBeginText, syntax.OpBeginLine:
		if len(before) != 1 || before[0] != (word{}) {
			return nil, false
		}
		x.anchored = true
		return before, true
	case syntax.OpEndText, syntax.OpEndLine:
		after = slices.Clone(before)
		for i := range after {
			if after[i].end == growing {
				after[i].end = ended
			}
		}
		return after, true
	case syntax.OpLiteral:
		return appended(before, string(re.Rune), re.Flags&syntax.FoldCase == 0)
	case syntax.OpAnyCharNotNL, syntax.OpAnyChar:
		// Mostly a dot that nobody escaped; of what it matches, only that.
		x.whole = false
		return appended(before, ".", true)
	case syntax.OpCapture:
		return x.expand(before, re.Sub[0])
	case syntax.OpConcat:
		after, ok = before, true
		for _, sub := range re.Sub {
			if after, ok = x.expand(after, sub); !ok {
				return nil, false
			}
		}
		return after, true
	case syntax.OpAlternate, syntax.OpQuest:
		if re.Op == syntax.OpQuest {
			after = slices.Clone(before)
		}
		outer, anchored := x.anchored, true
		for _, sub := range re.Sub {
			x.anchored = outer
			more, ok := x.expand(before, sub)
			if !ok {
				return nil, false
			}
			after = append(after, more...)
			anchored = anchored && x.anchored
		}
		x.anchored = anchored && re.Op == syntax.OpAlternate || outer
		return after, len(after) <= maxPlaces
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
				more, ok := appended(before, string(c), true)
				if after = append(after, more...); !ok || len(after) > maxPlaces {
					return nil, false
				}
			}
		}
		return after, len(after) > 0
	case syntax.OpStar:
		if op := re.Sub[0].Op; op != syntax.OpAnyCharNotNL && op != syntax.OpAnyChar {
			return nil, false
		}
		// A dot matches no line feed, and a route takes in %0a as well. It is the
		// one path more, and docs/compatibility.md says so.
		after = slices.Clone(before)
		for i := range after {
			if after[i].end == growing {
				after[i].end = anything
			}
		}
		return after, true
	}
	return nil, false
}

// appended adds a text to each word; to one that anything may follow it cannot
// be added, and after its end nothing is matched.
func appended(before []word, text string, ok bool) ([]word, bool) {
	var after []word
	for _, w := range before {
		switch w.end {
		case anything:
			return nil, false
		case growing:
			after = append(after, word{text: w.text + text})
		}
	}
	return after, ok
}
