package demo

import (
	"context"
	"time"
)

// Directory is the user store as the demonstration needs it.
type Directory interface {
	// Add makes a local account.
	Add(ctx context.Context, a NewAccount) error
	// Account returns the account whose user header that is, and whether
	// there is one.
	Account(ctx context.Context, user string) (Account, bool, error)
}

// NewAccount is a local account to be made.
type NewAccount struct {
	Username, Email, Name string
	Password              string
}

// Account is an account as the application shows it to the curious. A real
// application sees the headers only.
type Account struct {
	ID      string
	Status  string
	Facts   []Fact   // username, e-mail, name, groups, attributes, in this order
	Links   []string // identities tied to the account, in words
	Factors []string // second factors that are enrolled
}

// Fact is one thing that the account holds, and where it comes from.
type Fact struct {
	Name   string
	Values []string
	Source string    // a connection's id, or "local"
	Since  time.Time // of the last change; zero when it is not known
}
