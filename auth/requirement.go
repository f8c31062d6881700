package auth

import "fmt"

// Kinds of requirements, as the keys of a route's access are named.
const (
	RequireGroups       = "groups"
	RequireUsers        = "users"
	RequireEmails       = "emails"
	RequireEmailDomains = "email_domains"
	RequireConnections  = "connections"
	RequireLocal        = "local"
	RequireAMR          = "amr"
	RequireACR          = "acr"
	RequireAddresses    = "client_addresses"
	RequireAll          = "all"    // of its parts
	RequireAny          = "any"    // of its parts
	RequireNot          = "not"    // its only part
	RequireNobody       = "nobody" // can never hold
)

// Requirement is what a rule asks for: one of the values of a kind, or its
// parts.
type Requirement struct {
	Kind   string
	Values []string
	Parts  []Requirement
}

// Forbidden is an ErrForbidden that knows why.
type Forbidden struct {
	Route   string        // whose rule it was, as logs name it
	Missing []Requirement // all of them
	Contact string        // whom to ask; "": the people who run the application
	Raise   *Raise        // nil: no further sign-in of this person would help
}

// Raise is what would let somebody in who has not proved enough.
type Raise struct {
	Factors []string // of a local sign-in: kinds of which any is enough
	// ACR are the levels of a provider's sign-in of which any is enough; nil: the
	// level says nothing, and what is missing is how the person signed in.
	ACR []string
}

func (f *Forbidden) Error() string {
	return fmt.Sprintf("judge access to %s: %v", f.Route, ErrForbidden)
}

// Unwrap makes it an ErrForbidden.
func (f *Forbidden) Unwrap() error { return ErrForbidden }
