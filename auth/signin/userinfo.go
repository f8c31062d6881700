package signin

import (
	"encoding/json"
	"errors"
	"net/http"

	"gatehouse/auth"
)

// userinfo is GET userinfo: who the caller is, as JSON, or 401. The four known
// fields are always there; an attribute is a string, or a list where it has
// several values, and never takes the place of a known field.
func (f *Flow) userinfo(w http.ResponseWriter, r *http.Request) {
	_, person, err := f.Sessions.Authenticate(r)
	if errors.Is(err, auth.ErrUnauthenticated) {
		f.Pages.Unauthenticated(w, r, f.Site.SignIn("/"))
		return
	}
	if err != nil {
		f.Pages.Error(w, r, err)
		return
	}
	groups := person.Groups
	if groups == nil {
		groups = []string{}
	}
	info := map[string]any{}
	for name, values := range person.Attributes {
		if len(values) == 1 {
			info[name] = values[0]
		} else {
			info[name] = append([]string{}, values...)
		}
	}
	info["user"] = person.User
	info["email"] = person.Email
	info["groups"] = groups
	info["preferredUsername"] = person.PreferredUsername
	body, err := json.Marshal(info)
	if err != nil {
		f.Pages.Error(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(body, '\n'))
}
