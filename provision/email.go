package provision

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var errNoEmail = errors.New("it is not an e-mail address")

// NormalizeEmail returns an address in the form in which it is kept and told
// to applications: NFC, without surrounding spaces, otherwise as it is.
//
// It refuses what is read differently by different programs, each a way to
// pass for somebody else: other than one @, quotes, comments, angle brackets,
// address literals, separators of lists, controls, spaces, and characters that
// cannot be seen.
func NormalizeEmail(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errNoEmail
	}
	// Judged after NFC, which turns some characters into ASCII ones: U+037E
	// becomes a semicolon.
	s = norm.NFC.String(strings.Trim(s, " "))
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || !isMailDomain(domain) {
		return "", errNoEmail
	}
	if strings.ContainsFunc(local, notInAddress) {
		return "", errNoEmail
	}
	return s, nil
}

// foldEmail is the form in which normalized addresses are compared: ASCII
// letters in lower case, and no other folding. An address that merely looks
// like another is another.
func foldEmail(email string) string { return lower(email) }

func isMailDomain(domain string) bool {
	return domain != "" && domain[0] != '.' && domain[len(domain)-1] != '.' &&
		!strings.Contains(domain, "..") && !strings.ContainsFunc(domain, notInAddress)
}

// notInAddress are the specials of RFC 5322, section 3.2.3, except the dot,
// and everything that is not visible.
func notInAddress(r rune) bool {
	return strings.ContainsRune(" @\"()<>[]:;,\\", r) || unseen(r)
}

// mailDomain is what follows the @ of a normalized address, in lower case.
func mailDomain(email string) string {
	_, domain, _ := strings.Cut(foldEmail(email), "@")
	return domain
}
