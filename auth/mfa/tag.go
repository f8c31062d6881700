package mfa

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/auth"
)

const (
	maxName = 60 // characters of an authenticator's name
	idSize  = 12 // characters of an authenticator's id: 60 random bits
)

// tag is what there is to say of every authenticator.
type tag struct {
	ID    string    `json:"id"`
	Name  string    `json:"name,omitempty"`
	Since time.Time `json:"since"`
	Used  time.Time `json:"used,omitzero"`
}

func (t tag) authenticator(kind string) auth.Authenticator {
	return auth.Authenticator{ID: t.ID, Kind: kind, Name: t.Name, Since: t.Since, Used: t.Used}
}

// newTag makes the tag of a new authenticator beside others. A name that is
// taken gets a number, so that people can tell which one they remove.
func newTag(name, otherwise string, others []tag, now time.Time) tag {
	if name = cleanName(name); name == "" {
		name = otherwise
	}
	taken := map[string]bool{}
	for _, o := range others {
		taken[o.Name] = true
	}
	free := name
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s %d", name, n)
	}
	return tag{ID: strings.ToLower(rand.Text()[:idSize]), Name: free, Since: now.UTC()}
}

// cleanName is a name as it is kept: one line, of maxName characters at most.
// Characters that are not seen, or that turn the direction of the text around
// them, are left out: one name must not look like another.
func cleanName(name string) string {
	if len(name) > 4*maxName {
		name = name[:4*maxName]
	}
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, name)
	name = strings.Join(strings.Fields(name), " ")
	if runes := []rune(name); len(runes) > maxName {
		name = strings.TrimSpace(string(runes[:maxName]))
	}
	return name
}
