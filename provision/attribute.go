package provision

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"gatehouse/internal/config"
)

// checkUnset refuses to remove what is not there: a mistyped name would seem
// to have taken a right away.
func checkUnset(a *Account, name string) error {
	if _, has := a.Attributes[name]; has {
		return nil
	}
	hint := map[string]string{
		config.AttrEmail:    `; --email "" removes the e-mail`,
		config.AttrGroups:   `; --groups "" removes the groups that were assigned locally`,
		config.AttrUsername: "; an account always has a username, and --username gives it another",
	}[name]
	return &RefusedError{"attribute", fmt.Sprintf("%s has no attribute %q%s", a.Username, name, hint)}
}

// checkAttribute refuses names that are no attribute's, and two names that
// would be one header.
func checkAttribute(a *Account, name string, values []string) error {
	refuse := func(why string) error {
		return &RefusedError{"attribute", fmt.Sprintf("%q %s", name, why)}
	}
	switch name {
	case config.AttrUsername, config.AttrEmail, config.AttrGroups:
		return refuse("is no free attribute; there is a flag of its own for it")
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, notInAttribute) || notInAttribute(rune(name[0])) || strings.ContainsRune("-_.", rune(name[0])) {
		return refuse("cannot be the name of one: write letters, digits and - . _, beginning with a letter or digit, at most 64")
	}
	for other := range a.Attributes {
		if other != name && foldHeader(other) == foldHeader(name) {
			return refuse(fmt.Sprintf("would have the same header as %q", other))
		}
	}
	for _, v := range values {
		if !utf8.ValidString(v) {
			return refuse("has a value that is not UTF-8")
		}
	}
	return nil
}

func notInAttribute(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r))
}

func foldHeader(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_.", r) {
			return '-'
		}
		return r
	}, lower(name))
}
