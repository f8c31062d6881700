package provision

import (
	"fmt"
	"slices"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// question is everything that decides which account an identity is.
type question struct {
	conn     *connection
	id       admitted
	byLink   *Account   // bears the identity's link
	byEmail  []*Account // bear its verified e-mail
	doubted  string     // the connection that vouched for their address, if it is no longer believed
	barred   bool       // that e-mail is kept from the identity: it was a deleted account's
	password bool       // the account that was found has a password
	factor   bool       // and a second factor
	others   []string   // and identities linked through these other connections, which are open
	keeps    bool       // and its e-mail is not the connection's to change
	proved   string     // the account that the person has proved to be theirs
	now      time.Time
}

// plan is the answer.
type plan struct {
	verdict auth.Verdict
	account *Account // as it will be; a new one has no id and perhaps no username
	why     string

	confirmation *auth.Confirmation // of auth.Confirm
}

// decide is the ladder: the link first, then the same e-mail, then a new
// account. It is pure. Errors: *auth.Denied.
func decide(q question) (plan, error) {
	if q.byLink != nil {
		return decideLinked(q)
	}
	if len(q.byEmail) > 1 {
		// "The first" would be nobody's choice, and perhaps an attacker's.
		return plan{}, denied(q.conn, auth.DeniedAmbiguous, "more than one account has this e-mail")
	}
	if len(q.byEmail) == 1 {
		return decideMatched(q, q.byEmail[0])
	}
	if q.barred {
		// Not even link_existing: always: the mailbox may have a new owner, to
		// whom applications would give what the former one left with them.
		return plan{}, denied(q.conn, auth.DeniedQuarantine, "the e-mail belonged to an account that was deleted lately, and not to this identity")
	}
	return decideNew(q)
}

func decideLinked(q question) (plan, error) {
	a := q.byLink
	if a.refused() {
		return plan{}, denied(q.conn, auth.DeniedDisabled, "account "+a.ID)
	}
	b := synced(a, q.conn, q.id, q.keeps, q.now)
	if b.equal(a) {
		return plan{verdict: auth.Unchanged, account: a, why: "the identity is linked to it, and nothing has changed"}, nil
	}
	return plan{verdict: auth.Updated, account: b, why: "the identity is linked to it"}, nil
}

// decideMatched judges whether the account with the same verified e-mail may
// be linked.
func decideMatched(q question, a *Account) (plan, error) {
	if a.refused() {
		return plan{}, denied(q.conn, auth.DeniedDisabled, "account "+a.ID)
	}
	// Why the account must be proved first, and what an administrator can do
	// where it has nothing to be proved with.
	confirm, instead := "", ""
	switch q.conn.JIT.LinkExisting {
	case config.LinkDeny:
		return plan{}, denied(q.conn, auth.DeniedLink, "account "+a.ID+" has this e-mail, and link_existing is deny")
	case config.LinkConfirm:
		confirm, instead = "link_existing is confirm", "set link_existing: auto or always for the connection"
	case config.LinkAlways:
	default: // auto; also what is not known, which must not be laxer
		if q.factor {
			confirm = "it has a second factor"
			instead = fmt.Sprintf("take the factor away (gatehouse user reset-mfa %s), or set link_existing: always for the connection", a.ID)
		} else if g := protectedGroup(q.conn, a); g != "" {
			confirm = fmt.Sprintf("it is in the protected group %q", g)
			instead = "take it out of that group, or set link_existing: always for the connection"
		}
	}
	link := linkOf(q.id.Identity, q.now)
	has := a.linked(link.Connection, link.Issuer, link.Subject)
	if q.doubted != "" && !has {
		// Whoever is in by that connection may have typed the address of somebody
		// else there, who would now sign in to the account of a stranger and
		// leave in it what is theirs. Not even always means that: the account's
		// own e-mail must be verified, too.
		confirm = "its e-mail was given by the connection " + q.doubted + ", which has trust_email: never now"
		instead = fmt.Sprintf(`decide whose address that is: gatehouse user set %s --email "" takes it away, --email %s vouches for it`, a.ID, a.verifiedEmail())
	}
	if !has && confirm == "" && slices.ContainsFunc(a.Links, func(l Link) bool { return l.Connection == q.conn.ID }) {
		// Somebody may have been given an address that another person had
		// before them: the provider says itself that it is another subject.
		confirm = "it is linked to another subject of this connection"
		instead = fmt.Sprintf("if both are one person, cut the old link (gatehouse user unlink %s --connection %s)", a.ID, q.conn.ID)
	}
	switch {
	case confirm == "" || q.proved == a.ID:
		why := "it has the same verified e-mail"
		if confirm != "" {
			why += ", and the person has proved it"
		}
		b := synced(a, q.conn, q.id, q.keeps, q.now)
		if !has {
			b.Links = append(b.Links, link)
		}
		return plan{verdict: auth.Linked, account: b, why: why}, nil
	case q.password || len(q.others) > 0:
		return plan{verdict: auth.Confirm, why: confirm, confirmation: &auth.Confirmation{
			Account: a.ID, Username: a.Username, Email: a.verifiedEmail(),
			Password: q.password, Connections: q.others, Why: confirm,
		}}, nil
	default:
		return plan{}, denied(q.conn, auth.DeniedUnconfirmable,
			fmt.Sprintf("account %s (%s) must be proved first, because %s, and it has nothing to prove it with. "+
				"An administrator can give it a password (gatehouse user set-password %s), or %s", a.ID, a.Username, confirm, a.ID, instead))
	}
}

func protectedGroup(conn *connection, a *Account) string {
	for _, g := range a.Groups {
		if slices.Contains(conn.JIT.LinkProtectedGroups, g.Name) {
			return g.Name
		}
	}
	return ""
}

func decideNew(q question) (plan, error) {
	if !q.conn.JIT.Create {
		return plan{}, denied(q.conn, auth.DeniedNoAccount, "no account matches, and jit.create is false")
	}
	a := provisioned(q.conn, q.id, q.now)
	why := "no account has this identity"
	if q.id.Username != "" {
		name, err := NormalizeUsername(q.id.Username, a.verifiedEmail())
		if err != nil {
			why += fmt.Sprintf("; the username is not taken over: %v", err)
		}
		a.Username = name
	}
	return plan{verdict: auth.Created, account: a, why: why}, nil
}
