package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// Candidate is one question of the ladder and its answer.
type Candidate struct {
	By      string     `json:"by"`      // link | email | username
	Asked   string     `json:"asked"`   // the subject, address or name that was looked for; "": none
	Result  string     `json:"result"`  // one of the results below
	Account *Reference `json:"account"` // that has it; null: none, or not looked for
	Why     string     `json:"why"`
}

// Results of a candidate.
const (
	ResultMatches   = "matches"
	ResultNone      = "none"       // nobody has it
	ResultNotLooked = "not_looked" // it was not looked for
	ResultBarred    = "barred"     // it is in quarantine
	ResultTaken     = "taken"      // of a username: somebody else has it
	ResultRefused   = "refused"    // of a username: it cannot be one
	ResultFree      = "free"       // of a username: the new account gets it
)

// Reference names an account.
type Reference struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Status   Status `json:"status"`
}

func referenceTo(a *Account) *Reference {
	if a == nil {
		return nil
	}
	return &Reference{a.ID, a.Username, a.Status}
}

func linkCandidate(q asked) Candidate {
	c := Candidate{By: "link", Asked: q.id.Subject, Account: referenceTo(q.byLink), Result: ResultNone}
	switch {
	case q.byLink != nil && q.byLink.refused():
		c.Result, c.Why = ResultMatches, fmt.Sprintf("the identity is linked to it, and it is %s: nobody comes in as it", q.byLink.Status)
	case q.byLink != nil:
		c.Result, c.Why = ResultMatches, "the identity is linked to it"
	case q.atLink.value != nil:
		c.Why = "what once led from this identity to an account leads to none any more"
	default:
		c.Why = "no account is linked to this subject at " + q.id.Issuer
	}
	return c
}

func emailCandidate(q asked) Candidate {
	c := Candidate{By: "email", Asked: q.id.Email, Result: ResultNotLooked}
	switch {
	case q.byLink != nil:
		c.Why = "the link has decided"
	case q.id.badEmail:
		c.Why = "what was sent is not an e-mail address"
	case q.id.Email == "":
		c.Why = "the answer has no e-mail"
	case !q.id.EmailVerified && q.conn.TrustEmail == config.TrustNever:
		c.Why = "it counts as not verified: trust_email is never"
	case !q.id.EmailVerified:
		c.Why = "it is not verified: the answer does not say email_verified: true beside it, and trust_email is " + q.conn.TrustEmail
	case len(q.byEmail) > 0:
		a := q.byEmail[0]
		c.Result, c.Account, c.Why = ResultMatches, referenceTo(a), "it has the same verified e-mail"
		if a.refused() {
			c.Why += fmt.Sprintf(", and it is %s: nobody comes in as it", a.Status)
		}
		if q.doubted != "" {
			c.Why += "; it was given by the connection " + q.doubted + ", which has trust_email: never now"
		}
		if other := otherLink(a, q.conn, q.id.Identity); other != "" {
			c.Why += "; " + other
		}
	case q.barred:
		c.Result = ResultBarred
		c.Why = fmt.Sprintf("it belonged to another identity's account that was deleted; others get it after %s", q.atEmail.tomb.Until.Format(time.RFC3339))
	default:
		c.Result, c.Why = ResultNone, "no account has this verified e-mail"
	}
	return c
}

// otherLink tells of an account that the person may believe to be theirs how
// the connection knows it otherwise.
func otherLink(a *Account, conn *connection, id auth.Identity) string {
	for _, l := range a.Links {
		switch {
		case l.Connection != conn.ID:
		case l.Issuer != id.Issuer:
			return "it is linked to an identity of this connection at another issuer, " + l.Issuer + ", which counts there only"
		case l.Subject != id.Subject:
			return fmt.Sprintf("it is linked to another subject of this connection, %q", l.Subject)
		}
	}
	return ""
}

// usernameCandidates are the names that a new account is offered, up to the one
// that it gets; none for an account that has its name.
func (s *signIn) usernameCandidates(ctx context.Context, q asked, p plan) ([]Candidate, error) {
	if p.verdict != auth.Created {
		return nil, nil
	}
	var list []Candidate
	names := fallbackUsernames(q.id.Identity)
	if p.account.Username != "" {
		names = slices.Insert(names, 0, p.account.Username)
	} else if q.id.Username != "" {
		_, err := NormalizeUsername(q.id.Username, p.account.verifiedEmail())
		list = append(list, Candidate{By: "username", Asked: q.id.Username, Result: ResultRefused, Why: err.Error()})
	}
	for _, name := range names {
		c := Candidate{By: "username", Asked: name}
		f, err := s.look(ctx, s.names().username(name))
		switch {
		case errors.Is(err, errBusy):
			c.Result, c.Why = ResultTaken, "another sign-in is about to take it"
		case err != nil:
			return nil, err
		case f.account != nil:
			c.Result, c.Account, c.Why = ResultTaken, referenceTo(f.account), "it is that of another account"
			if !f.account.answersTo(s.names().username(name)) {
				c.Why = "it was that of another account, and stays reserved for it"
			}
			if e := f.account.Email; !e.Verified && q.id.Email != "" && foldEmail(e.Address) == foldEmail(q.id.Email) {
				c.Why += ", which has the same e-mail and was not found by it: there it is not verified"
			} else if other := otherLink(f.account, q.conn, q.id.Identity); other != "" {
				c.Why += "; " + other
			}
		case f.tomb.bars(q.link, q.now):
			c.Result, c.Why = ResultBarred, "it was that of another identity's account that was deleted"
		default:
			c.Result, c.Why = ResultFree, "the new account gets it"
			return append(list, c), nil
		}
		list = append(list, c)
	}
	return list, nil
}

// Dropped is something of an answer that the rules of its connection have left
// out.
type Dropped struct {
	What string `json:"what"` // username | email | group | attribute
	Name string `json:"name"` // of the group or attribute, or what was sent
	Why  string `json:"why"`
}

// dropped compares an answer with what admission left of it.
func dropped(conn *connection, sent auth.Identity, id admitted) []Dropped {
	list := []Dropped{}
	if id.badEmail {
		list = append(list, Dropped{config.AttrEmail, sent.Email, "it is not an e-mail address"})
	}
	if sent.Username != "" && id.Username == "" {
		list = append(list, Dropped{config.AttrUsername, sent.Username, "it is the e-mail address, which is not verified"})
	}
	for _, sent := range sent.Groups {
		here, from := conn.GroupMapping[sent], "; the provider calls it "+sent
		if len(here) == 0 {
			here, from = []string{sent}, ""
		}
		for _, g := range here {
			if !slices.Contains(id.Groups, g) {
				list = append(list, Dropped{"group", g, whyNoGroup(conn, g) + from})
			}
		}
	}
	for name := range sent.Attributes {
		if _, kept := id.Attributes[name]; !kept {
			list = append(list, Dropped{"attribute", name, "it is one of protected_attributes, which no identity provider supplies"})
		}
	}
	slices.SortFunc(list, func(a, b Dropped) int {
		return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Name, b.Name), strings.Compare(a.Why, b.Why))
	})
	return slices.Compact(list)
}

func whyNoGroup(conn *connection, group string) string {
	if slices.Contains(conn.all.ProtectedGroups, group) {
		return "it is one of protected_groups, which no identity provider supplies"
	}
	return "it is not in groups_allowed"
}
