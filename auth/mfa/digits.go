package mfa

import "strings"

// digitsOf removes the spaces and hyphens with which people group digits.
// Anything but so many ASCII digits is no code; other scripts' digits are none
// either, since no app shows them.
func digitsOf(answer string, n int) (code string, ok bool) {
	if len(answer) > 64 {
		return "", false
	}
	code = strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '-', '\u00a0', '\u2009', '\u202f':
			return -1
		}
		return r
	}, answer)
	if len(code) != n || strings.Trim(code, "0123456789") != "" {
		return "", false
	}
	return code, true
}
