package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"gatehouse/auth"
	"gatehouse/provision"
)

// explanation is what explain found, as --json prints it.
type explanation struct {
	Admitted   bool         `json:"admitted"`
	Verdict    auth.Verdict `json:"verdict"`          // "denied" when refused
	Reason     auth.Reason  `json:"reason,omitempty"` // of a denial
	Why        string       `json:"why"`
	Connection string       `json:"connection"`
	Subject    string       `json:"subject,omitempty"`
	Live       bool         `json:"live"`

	Candidates []provision.Candidate `json:"candidates"` // in the order in which they were asked for
	Dropped    []provision.Dropped   `json:"dropped"`    // of the answer, by the connection's rules
	// Confirmation is what has to be proved first; what follows is as it would
	// be then. Null: nothing.
	Confirmation *explainedProof `json:"confirmation"`

	Account    *explainedAccount           `json:"account"`           // null: none
	Attributes map[string]sourced          `json:"attributes"`        // that applications see
	Changes    []provision.AttributeChange `json:"attribute_changes"` // and the e-mail
	Groups     []string                    `json:"groups"`            // that applications see
	Regrouping []provision.GroupChange     `json:"group_changes"`
	FactorOwed bool                        `json:"factor_owed"`
	FactorWhy  string                      `json:"factor_why"`
	Headers    []explainedHeader           `json:"headers"` // to applications, as they go over the wire

	seen *auth.Person // by applications; of somebody who is refused, nobody
}

type explainedAccount struct {
	ID            string `json:"id,omitempty"` // empty: it would be made
	Username      string `json:"username"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Name          string `json:"name"`
}

type explainedProof struct {
	Account      string   `json:"account"` // id
	Username     string   `json:"username"`
	Email        string   `json:"email"`
	Password     bool     `json:"password"`      // its password proves it,
	SecondFactor bool     `json:"second_factor"` // together with its second factor
	Connections  []string `json:"connections"`   // and so does a sign-in through one of these
	Why          string   `json:"why"`
}

// sourced is the values of an attribute and who gave them.
type sourced struct {
	Values []string `json:"values"`
	Source string   `json:"source"`
}

type explainedHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const (
	verdictDenied auth.Verdict = "denied"
	reasonInvalid auth.Reason  = "invalid_answer" // no rule's: it cannot be read
)

func newExplanation(connection string) *explanation {
	return &explanation{
		Connection: connection, Verdict: verdictDenied,
		Candidates: []provision.Candidate{}, Dropped: []provision.Dropped{},
		Attributes: map[string]sourced{}, Changes: []provision.AttributeChange{},
		Groups: []string{}, Regrouping: []provision.GroupChange{}, Headers: []explainedHeader{},
		seen: &auth.Person{},
	}
}

// tell notes what there is also where somebody is refused.
func (e *explanation) tell(p provision.Explanation) {
	e.Why = p.Why
	e.Candidates = append(e.Candidates, p.Candidates...)
	e.Dropped = append(e.Dropped, p.Dropped...)
	if p.Denied != nil {
		e.Reason = p.Denied.Reason
	}
}

// become notes who somebody is that comes in.
func (e *explanation) become(p provision.Explanation) {
	if c := p.Confirmation; c != nil {
		e.Confirmation = &explainedProof{
			Account: c.Account, Username: c.Username, Email: c.Email,
			Password: c.Password, SecondFactor: c.Password && p.SecondFactor, Connections: orEmpty(c.Connections), Why: c.Why,
		}
	}
	e.Changes = append(e.Changes, p.Attributes...)
	e.Regrouping = append(e.Regrouping, p.Groups...)
	e.seen, e.Groups = p.Person, orEmpty(p.Person.Groups)
	for name, values := range p.Person.Attributes {
		e.Attributes[name] = sourced{Values: orEmpty(values), Source: e.Connection}
	}
	a := p.After
	if a == nil {
		return
	}
	e.Account = &explainedAccount{ID: a.ID, Username: a.Username, Email: a.Email, EmailVerified: a.EmailVerified, Name: a.Name}
	for name, seen := range e.Attributes {
		if stored, ok := a.Attributes[name]; ok && slices.Equal(stored.Values, seen.Values) {
			e.Attributes[name] = sourced{Values: seen.Values, Source: stored.Source}
		}
	}
}

// print writes an explanation for people.
func (e *explanation) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, printable(value)) }
	verdict := string(e.Verdict)
	if e.Reason != "" {
		verdict += " (" + string(e.Reason) + ")"
	}
	row("verdict", verdict)
	row("why", e.Why)
	if c := e.Confirmation; c != nil {
		row("to prove", c.proofs())
	}
	for _, c := range e.Candidates {
		row("by "+strings.Replace(c.By, "email", "e-mail", 1), candidateLine(c))
		row("", c.Why)
	}
	for _, d := range e.Dropped {
		row("left out", d.What+" "+d.Name)
		row("", d.Why)
	}
	if e.Verdict == verdictDenied {
		return table.Flush()
	}
	if e.Confirmation != nil {
		row("", "")
		row("once proved", "")
	}
	row("account", e.Account.line())
	for _, c := range e.Changes {
		row("attribute", c.Name+": "+becameLine(c))
		row("", strings.ReplaceAll(c.What, "_", " ")+": "+c.Why+" ["+c.Policy+"]")
	}
	if e.Account == nil {
		for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
			row("attribute", name+": "+strings.Join(e.Attributes[name].Values, ", "))
		}
	}
	for _, g := range e.Regrouping {
		row("group", fmt.Sprintf("%s (%s)", g.Name, g.Source))
		row("", strings.ReplaceAll(g.What, "_", " ")+": "+g.Why)
	}
	row("groups", strings.Join(e.Groups, ", "))
	owed := "not owed: "
	if e.FactorOwed {
		owed = "owed: "
	}
	row("second factor", owed+e.FactorWhy)
	for _, h := range e.Headers {
		row("header", h.Name+": "+h.Value)
	}
	return table.Flush()
}

func (p *explainedProof) proofs() string {
	var ways []string
	switch {
	case p.SecondFactor:
		ways = append(ways, "its password and its second factor")
	case p.Password:
		ways = append(ways, "its password")
	}
	if len(p.Connections) > 0 {
		ways = append(ways, "a sign-in through "+strings.Join(p.Connections, " or "))
	}
	return fmt.Sprintf("account %s (%s), by %s", p.Username, p.Account, strings.Join(ways, ", or by "))
}

func candidateLine(c provision.Candidate) string {
	line := c.Asked
	if line == "" {
		line = "-"
	}
	line += ": " + strings.ReplaceAll(c.Result, "_", " ")
	if a := c.Account; a != nil {
		line += fmt.Sprintf(" account %s (%s, %s)", a.Username, a.ID, a.Status)
	}
	return line
}

func (a *explainedAccount) line() string {
	switch {
	case a == nil:
		return "none"
	case a.ID == "":
		return a.Username
	}
	return fmt.Sprintf("%s (%s)", a.Username, a.ID)
}

// becameLine is an attribute before and after, each value with who gave it.
func becameLine(c provision.AttributeChange) string {
	before, after := valueLine(c.Before), valueLine(c.After)
	switch {
	case c.What == provision.ChangeSessionOnly:
		return strings.Join(c.Sent, ", ") + " (this session)"
	case before == after:
		return after
	}
	return before + " -> " + after
}

func valueLine(a *provision.Attribute) string {
	switch {
	case a == nil:
		return "none"
	case len(a.Values) == 0:
		return "blank (" + a.Source + ")"
	}
	return strings.Join(a.Values, ", ") + " (" + a.Source + ")"
}
