package provision

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"gatehouse/auth"
)

// Errors of a username.
var (
	errUsernameForm  = errors.New("it is empty, or has characters that cannot be seen")
	errUsernameColon = errors.New("it has a colon, which only users without an account have")
	errUsernameID    = errors.New("it looks like the id of an account")
	errUsernameMail  = errors.New("it has an @ and is not the account's own verified e-mail")
)

// NormalizeUsername returns the name that an account with this verified e-mail
// (or "") may bear: NFC, without surrounding spaces, otherwise as it is.
//
// A colon is never allowed: {connection}:{subject} is the user of a
// pass-through identity, and an account of that name would be them. An @ is
// allowed only in the account's own verified e-mail: otherwise whoever may
// choose a username would be anybody whose address they know. Both are found
// in disguise too (a fullwidth @), because applications normalize what they
// are given.
func NormalizeUsername(s, verifiedEmail string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errUsernameForm
	}
	s = norm.NFC.String(strings.Trim(s, " "))
	plain := compatible(s)
	switch {
	case s == "" || strings.ContainsFunc(s, unseen):
		return "", errUsernameForm
	case strings.Contains(plain, ":"):
		return "", errUsernameColon
	case isID(lower(s)):
		// Else somebody could answer to what names another account.
		return "", errUsernameID
	case strings.Contains(plain, "@") && (verifiedEmail == "" || foldUsername(s) != foldEmail(verifiedEmail)):
		return "", errUsernameMail
	}
	return s, nil
}

// passableUsername is the username of an identity that passes through as
// applications may see it, or "": by the rule for accounts. They may know
// people by it, and whoever may choose a username would be whomever they like.
// It is not unique: a plain name may also be an account's.
func passableUsername(id auth.Identity) string {
	verified := ""
	if id.EmailVerified {
		verified = id.Email
	}
	name, err := NormalizeUsername(id.Username, verified)
	if err != nil {
		return ""
	}
	return name
}

// foldUsername is the form in which usernames are compared.
func foldUsername(s string) string { return lower(norm.NFC.String(s)) }

// fallbackUsernames are the names for an identity whose own is missing,
// refused or taken, in the order in which they are tried. The second and later
// ones are for the case that somebody sits on the first.
func fallbackUsernames(id auth.Identity) []string {
	hash := subjectHash(id)
	names := make([]string, 0, 3)
	for _, n := range []int{10, 20, len(hash)} {
		names = append(names, id.Connection+"-"+hash[:n])
	}
	return names
}

// subjectHash hashes who the identity is at its provider. It hides nothing and
// needs no key; the parts are length-delimited, so that no choice of subject
// gives the hash of another connection's.
func subjectHash(id auth.Identity) string {
	var data []byte
	for _, part := range []string{id.Connection, id.Issuer, id.Subject} {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	sum := sha256.Sum256(data)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
}

// isID reports whether s has the form of newID's.
func isID(s string) bool {
	return len(s) == 26 && !strings.ContainsFunc(s, func(r rune) bool { return !('a' <= r && r <= 'z' || '2' <= r && r <= '7') })
}
