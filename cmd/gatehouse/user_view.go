package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatehouse/provision"
)

// accountView is an account as programs read it. Lists and maps are never
// null.
type accountView struct {
	provision.View
	HasPassword bool `json:"has_password"`
	// PasswordImported is the algorithm of a password that was imported and not
	// used since; a list of accounts has none.
	PasswordImported string   `json:"password_imported,omitempty"`
	Factors          []string `json:"factors"`
	// SetupLink is there where the command has made one.
	SetupLink *setupView `json:"setup_link,omitempty"`
	// Authenticators are what Factors are the kinds of; a list of accounts has
	// none.
	Authenticators []factorView `json:"authenticators,omitempty"`
	// WaitsUntil is until when attempts have to wait, after too many that were
	// wrong; a list of accounts has none.
	WaitsUntil time.Time `json:"attempts_wait_until,omitzero"`
}

// view adds what an account can prove itself with.
func (a *administration) view(ctx context.Context, account provision.View) (accountView, error) {
	password, err := a.passwords.HasPassword(ctx, account.ID)
	if err != nil {
		return accountView{}, err
	}
	imported, err := a.passwords.Imported(ctx, account.ID)
	if err != nil {
		return accountView{}, err
	}
	waits, err := a.passwords.WaitsUntil(ctx, account.ID)
	if err != nil {
		return accountView{}, err
	}
	factors, err := a.factors.All(ctx, account.ID)
	v := newView(account, password, nil)
	v.PasswordImported, v.WaitsUntil = imported, waits
	v.Authenticators = factorViews(factors)
	for _, f := range factors {
		if !slices.Contains(v.Factors, f.Kind) {
			v.Factors = append(v.Factors, f.Kind)
		}
	}
	return v, err
}

// views is view of many accounts; it does not ask for each.
func (a *administration) views(ctx context.Context, accounts []provision.View) ([]accountView, error) {
	passwords, err := a.passwords.Holders(ctx)
	if err != nil {
		return nil, err
	}
	factors, err := a.factors.Holders(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]accountView, 0, len(accounts))
	for _, account := range accounts {
		views = append(views, newView(account, passwords[account.ID], factors[account.ID]))
	}
	return views, nil
}

func newView(account provision.View, password bool, factors []string) accountView {
	return accountView{View: withoutNull(account), HasPassword: password, Factors: orEmpty(factors)}
}

// withoutNull makes the values of blank attributes lists.
func withoutNull(v provision.View) provision.View {
	for name, attribute := range v.Attributes {
		attribute.Values = orEmpty(attribute.Values)
		v.Attributes[name] = attribute
	}
	return v
}

// writeAccount prints one account for people.
func writeAccount(w io.Writer, v accountView) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, printable(value)) }
	rows := func(name string, values []string) {
		for _, value := range values {
			row(name, value)
			name = "" // the heading stands once
		}
	}
	row("username", v.Username)
	rows("formerly", v.Former)
	row("id", v.ID)
	row("status", string(v.Status))
	row("name", v.Name)
	if v.Email != "" && !v.EmailVerified {
		row("e-mail", v.Email+" (not verified)")
	} else {
		row("e-mail", v.Email)
	}
	var groups, attributes, links []string
	for _, g := range v.GroupSources {
		groups = append(groups, fmt.Sprintf("%s (from %s)", g.Name, g.Source))
	}
	for _, name := range slices.Sorted(maps.Keys(v.Attributes)) {
		a := v.Attributes[name]
		attributes = append(attributes, fmt.Sprintf("%s = %s (from %s, %s)",
			name, strings.Join(a.Values, ", "), a.Source, a.Time.Format(time.RFC3339)))
	}
	for _, l := range v.Links {
		links = append(links, fmt.Sprintf("%s: %s at %s", l.Connection, l.Subject, l.Issuer))
	}
	rows("groups", groups)
	rows("attributes", attributes)
	rows("links", links)
	if v.PasswordImported != "" {
		row("password", "yes (imported as "+v.PasswordImported+", not used since)")
	} else if v.HasPassword {
		row("password", "yes")
	} else {
		row("password", "none")
	}
	rows("factors", factorLines(v.Authenticators))
	if !v.WaitsUntil.IsZero() {
		row("attempts", "wait until "+v.WaitsUntil.Format(time.RFC3339)+", after too many that were wrong (gatehouse user unlock ends that)")
	}
	row("created", v.Created.Format(time.RFC3339))
	if !v.LastSignIn.IsZero() {
		row("last sign-in", v.LastSignIn.Format(time.DateOnly))
	}
	return table.Flush()
}

// writeAccounts prints a list of accounts for people.
func writeAccounts(w io.Writer, views []accountView) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USERNAME\tSTATUS\tE-MAIL\tNAME\tGROUPS")
	for _, v := range views {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(v.Username), v.Status, printable(v.Email),
			printable(v.Name), printable(strings.Join(v.Groups, ",")))
	}
	return table.Flush()
}

// writeJSON prints a value for programs, on one line.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// orEmpty makes an absent list one that programs can loop over.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
