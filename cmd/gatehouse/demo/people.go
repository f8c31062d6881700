package demo

// The local account. One of Acme's people has the same e-mail address.
const (
	localUser  = "local"
	localEmail = "local@acme.example"
)

// organisation is one of the two identity providers and its people.
type organisation struct {
	id, name, about string
	tone            string // class of its colour
	people          []persona
}

// persona is somebody whom one can be.
type persona struct {
	subject  string
	role     string // shown on the page: who this is and why it is interesting
	note     string
	username string
	name     string
	email    string
	verified bool
	groups   []string
	more     map[string]any // further claims
}

var acme = organisation{
	id: "acme", name: "Acme", tone: "tone-0",
	about: "The company's own identity provider. Whoever comes from here gets an account (JIT on).",
	people: []persona{
		{
			subject: "acme-0001", role: "Administrator", note: "Member of admins: may open /admin/.",
			username: "administrator", name: "Acme Administrator", email: "administrator@acme.example", verified: true,
			groups: []string{"admins", "staff"}, more: map[string]any{"department": "IT"},
		},
		{
			subject: "acme-0002", role: "Employee", note: "An ordinary member of staff, in a department with an umlaut.",
			username: "employee", name: "Acme Employee", email: "employee@acme.example", verified: true,
			groups: []string{"staff"}, more: map[string]any{"department": "Verkauf, Zürich"},
		},
		{
			subject: "acme-0003", role: "Contractor", note: "The e-mail address is not verified, so no application gets to see it.",
			username: "contractor", name: "Acme Contractor", email: "contractor@acme.example", verified: false,
			groups: []string{"contractors"},
		},
		{
			subject: "acme-0004", role: "Holder of the local account's e-mail", note: "Verified as " + localEmail + ". Becomes the local account; once that has a second factor, only after it was proved.",
			username: "namesake", name: "Acme Namesake", email: localEmail, verified: true,
			groups: []string{"staff"}, more: map[string]any{"department": "Support"},
		},
	},
}

var partner = organisation{
	id: "partner", name: "Partner", tone: "tone-2",
	about: "Another company's identity provider. Its people pass through and get no account (JIT off).",
	people: []persona{
		{
			subject: "partner-0001", role: "Administrator", note: "Says to be in admins, but this connection may only supply partners.",
			username: "administrator", name: "Partner Administrator", email: "administrator@partner.example", verified: true,
			groups: []string{"admins", "partners"}, more: map[string]any{"department": "Operations"},
		},
		{
			subject: "partner-0002", role: "Employee", note: "The headers are the same as for an account. There is none.",
			username: "employee", name: "Partner Employee", email: "employee@partner.example", verified: true,
			groups: []string{"partners"}, more: map[string]any{"department": "Logistics"},
		},
		{
			subject: "partner-0003", role: "Contractor", note: "The e-mail address is not verified, so no application gets to see it.",
			username: "contractor", name: "Partner Contractor", email: "contractor@partner.example", verified: false,
			groups: []string{"partners"},
		},
		{
			subject: "partner-0004", role: "Holder of the local account's e-mail", note: "Verified as " + localEmail + ". The local account is not touched: nothing is looked up.",
			username: "namesake", name: "Partner Namesake", email: localEmail, verified: true,
			groups: []string{"partners"},
		},
	},
}

// person finds somebody by subject.
func (o *organisation) person(subject string) (persona, bool) {
	for _, p := range o.people {
		if p.subject == subject {
			return p, true
		}
	}
	return persona{}, false
}

// claims are what the identity provider says of a person (OpenID Connect Core
// 1.0, section 5.1), in ID token and userinfo alike.
func (p persona) claims() map[string]any {
	c := map[string]any{
		"sub":                p.subject,
		"preferred_username": p.username,
		"name":               p.name,
		"email":              p.email,
		"email_verified":     p.verified,
		"groups":             p.groups,
	}
	for name, value := range p.more {
		c[name] = value
	}
	return c
}
