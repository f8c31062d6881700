package provision

import (
	"strings"

	"gatehouse/auth"
)

// userTemplate is the user header of a connection's pass-through identities.
type userTemplate struct {
	pattern  string
	parts    []part
	prefixed bool // begins with {connection}:
	missing  bool // has a value that a person may lack
}

// part is a literal, or the name of a placeholder.
type part struct {
	text        string
	placeholder bool
}

const defaultUser = "{connection}:{subject}"

// parseUserTemplate reads a template; the configuration has been validated.
func parseUserTemplate(s string) userTemplate {
	if s == "" {
		s = defaultUser
	}
	t := userTemplate{pattern: s, prefixed: strings.HasPrefix(s, "{connection}:")}
	for s != "" {
		text, rest, found := strings.Cut(s, "{")
		if text != "" {
			t.parts = append(t.parts, part{text: text})
		}
		if !found {
			break
		}
		field, rest, _ := strings.Cut(rest, "}")
		t.parts = append(t.parts, part{text: field, placeholder: true})
		t.missing = t.missing || field == "username" || field == "email"
		s = rest
	}
	return t
}

// render returns the user header of an identity that was admitted.
//
// Where a value is missing, or could make the result another person's, the
// default takes its place: an identity without a verified e-mail must not
// become the user "", one whose username is "acme:1" must not become the
// subject 1 of acme, and one whose username is somebody's address must not
// become them. Where the template, too, begins with the connection's id and a
// colon, a second colon tells the default from it: else one whose username is
// another person's subject would be that person, who has none.
func (t userTemplate) render(id auth.Identity) string {
	prefix := id.Connection + ":"
	apart := t.missing && (t.prefixed || strings.HasPrefix(t.pattern, prefix))
	fallback := prefix + id.Subject
	if apart {
		fallback = prefix + ":" + id.Subject
	}
	if len(t.parts) == 0 {
		return fallback
	}
	var b strings.Builder
	for _, p := range t.parts {
		if !p.placeholder {
			b.WriteString(p.text)
			continue
		}
		value := ""
		switch p.text {
		case "connection":
			value = id.Connection
		case "subject":
			value = id.Subject
		case "username":
			value = id.Username
			if !t.prefixed {
				value = passableUsername(id)
			}
		case "email":
			if id.EmailVerified {
				value = id.Email
			}
		}
		if value == "" || !t.prefixed && strings.Contains(value, ":") {
			return fallback
		}
		b.WriteString(value)
	}
	if apart && strings.HasPrefix(b.String(), prefix+":") {
		return fallback
	}
	return b.String()
}
