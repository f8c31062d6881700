package local

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go"
	"golang.org/x/text/unicode/norm"

	"gatehouse/auth"
)

// maxPassword is the greatest length of a password, in bytes. Longer input is
// not hashed: a stranger picks it.
const maxPassword = 1024

// maxLogin is the greatest length of a login, in bytes: that of an e-mail
// address (RFC 5321, section 4.5.3.1), and some.
const maxLogin = 512

// Policy is what a new password must be. There are no rules of composition: they
// make passwords that are harder to remember and no harder to guess (NIST SP
// 800-63B, section 5.1.1.2).
type Policy struct {
	MinLength int // characters
	// MinStrength is the least score of zxcvbn: 0 anything, 1 a hundred guesses
	// upwards, ... 3 safely unguessable, 4 very.
	MinStrength int
}

// maxJudged is how much of a password its strength is judged by, in characters:
// the work grows faster than the length, and nobody guesses that much.
const maxJudged = 64

// Suitable reports whether a password may be set. The person's own names, such
// as username and e-mail, are words that whoever guesses tries first. Errors:
// *auth.Unsuitable.
func (p Policy) Suitable(password string, names ...string) error {
	minLength := p.MinLength
	switch {
	case !utf8.ValidString(password):
		return &auth.Unsuitable{Reason: "the password is not valid UTF-8 text"}
	case len(prepare(password)) > maxPassword || len(password) > maxPassword:
		return &auth.Unsuitable{Reason: fmt.Sprintf("the password is longer than %d bytes", maxPassword)}
	case utf8.RuneCountInString(prepare(password)) < max(minLength, 1):
		return &auth.Unsuitable{Reason: fmt.Sprintf("the password needs at least %d characters", max(minLength, 1))}
	case zxcvbn.PasswordStrength(head(prepare(password)), words(names)).Score < p.MinStrength:
		return &auth.Unsuitable{Reason: "the password is too easy to guess; several words that have nothing to do with each other make a good one, " +
			"names, dates and rows of keys do not"}
	}
	return nil
}

// head is what strength is judged by.
func head(password string) string {
	runes := []rune(password)
	return string(runes[:min(len(runes), maxJudged)])
}

// maxNames bounds the words of a person, whose display name an identity provider
// may have chosen.
const maxNames = 32

// words are the names of a person and the parts of them.
func words(names []string) []string {
	var all []string
	for _, name := range names {
		if len(name) > maxLogin {
			continue
		}
		all = append(all, name)
		all = append(all, strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	return all[:min(len(all), maxNames)]
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
