package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/auth"
)

// missing says in words what somebody lacks who was refused, and whom to ask.
// Who else may pass is nobody's business: lists of people and of addresses are
// not told.
func missing(err error) (what []string, contact string) {
	forbidden, ok := errors.AsType[*auth.Forbidden](err)
	if !ok {
		return nil, ""
	}
	for _, q := range forbidden.Missing {
		what = append(what, requirement(q))
	}
	return what, forbidden.Contact
}

// stepUpURL is where a person can prove more whom err refuses for want of that,
// else "". The page that they come back to is judged there.
func (p *Pages) stepUpURL(r *http.Request, err error) string {
	forbidden, ok := errors.AsType[*auth.Forbidden](err)
	if !ok || forbidden.Raise == nil {
		return ""
	}
	return p.endpoint(r, "/step_up") + "?" + url.Values{"rd": {cmp.Or(wanted(r), r.URL.RequestURI())}}.Encode()
}

func requirement(q auth.Requirement) string {
	switch q.Kind {
	case auth.RequireGroups:
		return "membership in " + oneOf("the group", "one of the groups", q.Values)
	case auth.RequireUsers, auth.RequireEmails:
		return "a place on its list of people"
	case auth.RequireEmailDomains:
		return "a verified e-mail address at " + strings.Join(q.Values, " or ")
	case auth.RequireConnections:
		return "a sign-in by " + strings.Join(q.Values, " or ")
	case auth.RequireLocal:
		if len(q.Values) == 1 && q.Values[0] == "false" {
			return "a sign-in by your organisation, without a password of this site"
		}
		return "a sign-in with a password of this site"
	case auth.RequireAMR:
		if len(q.Values) == 1 && q.Values[0] == auth.MethodMFA {
			return "a sign-in with a second factor"
		}
		return "a sign-in by " + oneOf("the method", "one of the methods", q.Values)
	case auth.RequireACR:
		return "a sign-in of " + oneOf("the level", "one of the levels", q.Values)
	case auth.RequireAddresses:
		return "a network on its list"
	case auth.RequireAny:
		return "one of these: " + parts(q, "; or ")
	case auth.RequireAll:
		return parts(q, ", and ")
	case auth.RequireNot:
		return "that this does not hold, and is known not to: " + parts(q, "")
	}
	return "something that nobody has"
}

func parts(q auth.Requirement, by string) string {
	var all []string
	for _, part := range q.Parts {
		all = append(all, requirement(part))
	}
	if len(all) == 0 {
		return "a sign-in"
	}
	return strings.Join(all, by)
}

func oneOf(one, several string, values []string) string {
	if len(values) == 1 {
		return one + " " + values[0]
	}
	return several + " " + strings.Join(values, ", ")
}
