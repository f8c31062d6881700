package proxy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/auth"
)

// Bounds on the work that one target may cause. A path of people and programs
// has a handful of readings; one that exceeds these is an attack.
const (
	maxReadings     = 256
	maxReadingBytes = 512 << 10 // all readings of one path together
)

// A step is one thing that some upstream does to a path before it looks at
// it. Steps compose in any order: what an upstream sees depends on how many
// servers and frameworks the path passes.
type step func(string) string

var steps = [...]step{
	decodeAll,
	decodeUnreserved,
	decodeButSlashes,
	decodeOverlong,
	backslashes,
	dropParameters,
	collapseSlashes,
	resolveDots,
	resolveDotsBare,
	cutQuery,
	cutFragment,
	dropLineBreaks,
	trimSegments,
	dropAuthority,
}

// readings calls visit for each reading of path but the path as it was sent:
// the closure of steps, whatever the order. It stops at the first error of
// visit. Letter case is left to the lookup, which compares folded paths.
// Errors of its own wrap auth.ErrMalformed.
func readings(path string, visit func(string) error) error {
	if plain(path) {
		return nil
	}
	seen := map[string]bool{path: true}
	queue := []string{path}
	bytes := len(path)
	for ; len(queue) > 0; queue = queue[1:] {
		for _, s := range steps {
			next := s(queue[0])
			if seen[next] {
				continue
			}
			if strings.IndexByte(next, 0) >= 0 {
				return fmt.Errorf("judge the path: NUL under several escapes: %w", auth.ErrMalformed)
			}
			if err := visit(next); err != nil {
				return err
			}
			seen[next] = true
			bytes += len(next)
			if len(seen) > maxReadings || bytes > maxReadingBytes {
				return fmt.Errorf("judge the path: too many readings: %w", auth.ErrMalformed)
			}
			queue = append(queue, next)
		}
	}
	return nil
}

// plain reports whether every step leaves path as it is. It is the fast road
// of almost every request.
func plain(path string) bool {
	for i := 0; i < len(path); i++ {
		switch c := path[i]; c {
		case '%', ';', '\\', '?', '#':
			return false
		case '.':
			if i > 0 && path[i-1] == '/' || i+1 == len(path) || path[i+1] == '/' {
				return false
			}
		case '/':
			if i > 0 && path[i-1] == '/' {
				return false
			}
		default:
			if c <= ' ' || c >= 0x7f {
				return false
			}
		}
	}
	return true
}

// decode replaces the escapes whose byte is in the set; others stay. A broken
// escape stays too: after one decoding a lone percent sign is honest ("100%").
func decode(s string, set func(byte) bool) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if c, ok := unescape(s[i:]); ok && set(c) {
			b.WriteByte(c)
			i += 2
			continue
		}
		// %u002e, as IIS reads it. As sent it is broken and refused; under
		// another escape (%25u002e) it is not.
		if c, ok := unescapeWide(s[i:]); ok && set(c) {
			b.WriteByte(c)
			i += 5
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unescapeWide(s string) (byte, bool) {
	if len(s) < 6 || s[0] != '%' || s[1]|0x20 != 'u' || s[2] != '0' || s[3] != '0' {
		return 0, false
	}
	hi, ok := unhex(s[4])
	lo, ok2 := unhex(s[5])
	return hi<<4 | lo, ok && ok2 && hi < 8
}

func decodeAll(s string) string { return decode(s, func(byte) bool { return true }) }

// decodeUnreserved is what URL normalisation does (RFC 3986, section 6.2.2.2).
func decodeUnreserved(s string) string { return decode(s, unreserved) }

// decodeButSlashes is what servers do that let %2f pass as it is.
func decodeButSlashes(s string) string {
	return decode(s, func(c byte) bool { return c != '/' && c != '\\' })
}

func unreserved(c byte) bool {
	return alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// decodeOverlong replaces overlong UTF-8 forms of ASCII (C0 AF for a slash),
// which lenient decoders accept. Full-width and other look-alike characters
// are other characters and stay.
func decodeOverlong(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError }) < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if c, n := overlong(s[i:]); n > 0 {
			b.WriteByte(c)
			i += n
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

func overlong(s string) (byte, int) {
	tail := func(i int) bool { return i < len(s) && s[i]&0xc0 == 0x80 }
	switch {
	case (s[0] == 0xc0 || s[0] == 0xc1) && tail(1):
		return s[0]&1<<6 | s[1]&0x3f, 2
	case s[0] == 0xe0 && tail(1) && s[1] <= 0x81 && tail(2):
		return s[1]&1<<6 | s[2]&0x3f, 3
	case s[0] == 0xf0 && tail(1) && s[1] == 0x80 && tail(2) && s[2] <= 0x81 && tail(3):
		return s[2]&1<<6 | s[3]&0x3f, 4
	}
	return 0, 0
}

func backslashes(s string) string { return strings.ReplaceAll(s, `\`, "/") }

// dropParameters cuts each segment at its first semicolon, as Java servers do.
func dropParameters(s string) string {
	if strings.IndexByte(s, ';') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	skip := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ';':
			skip = true
		case '/':
			skip = false
		}
		if !skip {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func collapseSlashes(s string) string {
	if !strings.Contains(s, "//") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '/' || i == 0 || s[i-1] != '/' {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// resolveDots removes dot segments (RFC 3986, section 5.2.4). Empty segments
// count as segments here: /a//../b is /a/b to some and /b to those that
// collapse slashes first, and both are readings.
func resolveDots(s string) string {
	if !strings.Contains(s, "/.") {
		return s
	}
	segments := strings.Split(s, "/")
	kept := segments[:0]
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case ".":
		case "..":
			if len(kept) > 1 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, segment)
			continue
		}
		if last {
			kept = append(kept, "")
		}
	}
	if joined := strings.Join(kept, "/"); joined != "" {
		return joined
	}
	return "/"
}

// resolveDotsBare is resolveDots as the path libraries of Go, Node and Python
// do it: they leave no slash where the last segment was dots, so that /a/. is
// /a to them, which may be a route of its own.
func resolveDotsBare(s string) string {
	resolved := resolveDots(s)
	if resolved == s || len(resolved) == 1 || strings.HasSuffix(s, "/") {
		return resolved
	}
	return strings.TrimSuffix(resolved, "/")
}

// cutQuery and cutFragment: an upstream that decodes and parses again ends
// the path there (%3f, %23).
func cutQuery(s string) string    { s, _, _ = strings.Cut(s, "?"); return s }
func cutFragment(s string) string { s, _, _ = strings.Cut(s, "#"); return s }

// dropLineBreaks: URL parsers of browsers and Node drop TAB, CR and LF.
func dropLineBreaks(s string) string {
	if !strings.ContainsAny(s, "\t\r\n") {
		return s
	}
	return strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
}

// trimSegments drops white space around a segment and dots and spaces at its
// end, as Windows file names and some frameworks do. A segment of dots stays.
func trimSegments(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r == '.' }) < 0 {
		return s
	}
	segments := strings.Split(s, "/")
	for i, segment := range segments {
		segment = strings.TrimFunc(segment, func(r rune) bool { return r <= ' ' })
		if trimmed := strings.TrimRight(segment, ". "); trimmed != "" {
			segment = trimmed
		}
		segments[i] = segment
	}
	return strings.Join(segments, "/")
}

// dropAuthority: an upstream that parses the target as a URL reference takes
// //name/path for a host and a path.
func dropAuthority(s string) string {
	if !strings.HasPrefix(s, "//") {
		return s
	}
	if i := strings.IndexByte(s[2:], '/'); i >= 0 {
		return s[2+i:]
	}
	return "/"
}

// foldCase returns s as an upstream that ignores letter case compares it. It
// also folds the letters outside ASCII whose other case is an ASCII letter
// (the Kelvin sign, the long s, the dotted and the dotless i).
func foldCase(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf {
			return foldSlow(s)
		}
	}
	return s
}

func foldSlow(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteByte(s[i]) // not UTF-8: the byte itself
		case r == 'İ' || r == 'ı':
			b.WriteByte('i')
		default:
			b.WriteRune(unicode.ToLower(unicode.ToUpper(r)))
		}
		i += n
	}
	return b.String()
}

// spelled returns a path with the escapes decoded that have no raw spelling
// in a target, so that the route "/grüße/" means the path that a browser
// sends for it. All other escapes are differences that count.
func spelled(path string) string {
	return decode(path, func(c byte) bool {
		return c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>^`{|}", c) >= 0
	})
}
