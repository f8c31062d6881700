package local

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxPassword is the greatest length of a password, in bytes. Longer input is
// not hashed: a stranger picks it.
const maxPassword = 1024

// maxLogin is the greatest length of a login, in bytes: that of an e-mail
// address (RFC 5321, section 4.5.3.1), and some.
const maxLogin = 512

// Unsuitable says why a new password is refused; its text is for people.
type Unsuitable struct{ Reason string }

func (u *Unsuitable) Error() string { return u.Reason }

// Suitable reports whether a password may be set, which needs at least so many
// characters. Errors: *Unsuitable.
func Suitable(password string, minLength int) error {
	switch {
	case !utf8.ValidString(password):
		return &Unsuitable{"the password is not valid UTF-8 text"}
	case len(prepare(password)) > maxPassword || len(password) > maxPassword:
		return &Unsuitable{fmt.Sprintf("the password is longer than %d bytes", maxPassword)}
	case utf8.RuneCountInString(prepare(password)) < max(minLength, 1):
		return &Unsuitable{fmt.Sprintf("the password needs at least %d characters", max(minLength, 1))}
	}
	return nil
}

// prepare makes one password of the different byte strings that keyboards send
// for it (RFC 8265, section 4.2.2: normalisation form C, nothing else).
func prepare(password string) string { return norm.NFC.String(password) }

// normalLogin makes one login of its spellings: form C, no space around it, ASCII
// letters in lower case. It folds nothing else: what looks alike is not alike.
func normalLogin(login string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.TrimSpace(norm.NFC.String(login)))
}
