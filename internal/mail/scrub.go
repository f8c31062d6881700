package mail

import (
	"regexp"
	"strings"
)

// scrub makes what a server said fit for a log and a list: without what the
// mail holds, which some servers quote when they refuse it, on one line, and
// not too long.
func scrub(said string, m message) string {
	// First, or a secret with an invisible character in it would become whole
	// afterwards; and shortened last, or the half of one would stay.
	said = printable(said)
	for _, secret := range [...]struct{ text, stand string }{
		{m.URL, "[link]"}, {token(m.URL), "[token]"}, {m.Code, "[code]"}, {m.To, "[recipient]"},
	} {
		if secret.text != "" {
			said = replaceFold(said, secret.text, secret.stand)
		}
	}
	return shortened(said)
}

// token is what a link has after its last "=": the part that lets people in.
func token(url string) string {
	if i := strings.LastIndexByte(url, '='); i >= 0 {
		return url[i+1:]
	}
	return ""
}

// replaceFold replaces in any letter case: a server may write an address as it
// keeps it.
func replaceFold(s, old, stand string) string {
	return regexp.MustCompile(`(?i)`+regexp.QuoteMeta(old)).ReplaceAllLiteralString(s, stand)
}
