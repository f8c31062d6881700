package proxy

import "strings"

// maxHeader is the most bytes that one identity header's value may have.
const maxHeader = 8 << 10

const upperHex = "0123456789ABCDEF"

// encodeValue returns s as a header value: what is not printable ASCII, and
// the percent sign, become %XX, so that no value can end the header or forge
// another, and every one can be read back byte for byte. So do spaces at
// either end, which HTTP would drop, and in an item of a list the comma.
func encodeValue(s string, item bool) string {
	if !needsEncoding(s, item) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if literal(c, item) && (c != ' ' || i > 0 && i < len(s)-1) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&15])
	}
	return b.String()
}

func needsEncoding(s string, item bool) bool {
	for i := 0; i < len(s); i++ {
		if !literal(s[i], item) || s[i] == ' ' && (i == 0 || i == len(s)-1) {
			return true
		}
	}
	return false
}

func literal(c byte, item bool) bool {
	return ' ' <= c && c <= '~' && c != '%' && (c != ',' || !item)
}

// encodeList joins items with commas. Empty items are left out: a list could
// not tell them from none. An item that no longer fits is dropped whole, for
// half a group name is another group; dropped says how many were.
func encodeList(items []string) (value string, dropped int) {
	var b strings.Builder
	for _, item := range items {
		if item == "" {
			continue
		}
		if len(item) > maxHeader { // not worth encoding
			dropped++
			continue
		}
		encoded := encodeValue(item, true)
		comma := min(b.Len(), 1)
		if b.Len()+comma+len(encoded) > maxHeader {
			dropped++
			continue
		}
		if comma > 0 {
			b.WriteByte(',')
		}
		b.WriteString(encoded)
	}
	return b.String(), dropped
}
