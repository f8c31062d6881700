package oauth2proxy

import (
	"bytes"
	"encoding/csv"
	"errors"
	"slices"
	"strings"
)

// gate writes who may come in.
func (t *translation) gate(c *node, kind string, p provider) {
	unverified, unverifiedShown := t.truth("insecure_oidc_allow_unverified_email")
	claim, claimShown := t.emailClaim()
	trusted := origin("")
	switch {
	case unverified:
		trusted = unverifiedShown
	case claim != "email":
		trusted = claimShown + ": oauth2-proxy asks nobody whether it is verified"
	}
	domains, addresses, from := t.emails(c)
	require := &node{key: "require"}
	if groups, groupsShown := t.groups(kind); len(groups) > 0 {
		require.set("groups", t.flow(groups, groupsShown), groupsShown)
	}
	claims := &node{key: "claims"}
	t.roles(c, claims, kind)
	switch {
	case len(domains) > 0:
		c.set("email_domains", flow(domains), from)
	case len(addresses) > 0:
		claims.set(claim, flow(addresses), from)
		c.note("%s: the addresses are compared letter for letter: spell each as the provider does", from)
	case trusted == "":
		verified := claims.set("email_verified", `"true"`, from)
		verified.note("oauth2-proxy lets in nobody whose address is missing, or said not to be verified. If this provider does not send email_verified, remove the line.")
	case from != "":
		c.note("%s: everybody comes in whom the provider lets in", from)
	}
	if len(claims.below) > 0 {
		require.below = append(require.below, claims)
	}
	if len(require.below) > 0 {
		c.below = append(c.below, require)
	}
	if trusted != "" {
		c.set("trust_email", "always", trusted)
		return
	}
	if p.unsaid {
		// Believing every address would let in those of which it says that they
		// are not verified, whom oauth2-proxy refuses.
		t.head = append(t.head, p.name+" says email_verified only where it is set up to, and WHO COMES WITHOUT IT STAYS OUT: see the connection.")
	}
	if len(domains)+len(addresses) > 0 {
		trust := c
		if p.unsaid {
			trust = c.set("trust_email", "claim", "")
		}
		trust.note("Only addresses count of which the provider says email_verified: true. oauth2-proxy also took those of which it says nothing: if this one says nothing, and its administrator answers for the addresses, write trust_email: always.")
	}
}

// emailClaim is the claim that has the address. user_id_claim was its name
// before.
func (t *translation) emailClaim() (claim string, shown origin) {
	claim, shown = t.text("oidc_email_claim")
	if old, oldShown := t.text("user_id_claim"); claim == "email" && old != "" && old != "email" {
		return old, oldShown
	}
	return claim, shown
}

// emails says whose addresses come in: those of the domains, or these; neither
// where all do.
func (t *translation) emails(c *node) (domains, addresses []string, from origin) {
	given, shown := t.list("email_domains")
	file, fileShown := t.text("authenticated_emails_file")
	if slices.Contains(given, "*") {
		if file != "" {
			c.note("%s had no effect: %s takes in everybody", fileShown, shown)
		}
		return nil, nil, shown
	}
	var wide []string
	for _, d := range given {
		if strings.HasPrefix(d, ".") || strings.HasPrefix(d, "*.") {
			wide = append(wide, d)
		} else if d != "" {
			domains = append(domains, strings.ToLower(d))
		}
	}
	if len(wide) > 0 {
		c.note("%s: %q cannot be written, since there are no wildcards: name each domain below it", shown, wide)
	}
	switch {
	case len(domains) > 0:
		if file != "" {
			c.note("%s: these people came in beside the domains. Here both would have to hold, so they do not come in: give them an address in a domain, or an account of their own (gatehouse user add)", fileShown)
		}
		return domains, nil, shown
	case file != "":
		return nil, t.addresses(file, fileShown), fileShown
	case len(wide) > 0:
		t.close("%s names domains with wildcards only", shown)
	default:
		t.close("neither email_domains nor authenticated_emails_file says who may come in, and oauth2-proxy does not start so; to let in everybody, set email_domains to *")
	}
	return nil, nil, ""
}

// addresses reads the file of those who come in.
func (t *translation) addresses(file string, shown origin) (all []string) {
	var data []byte
	err := errors.New("there is nothing to read it with")
	if t.src.ReadFile != nil {
		data, err = t.src.ReadFile(file)
	}
	if err != nil {
		t.close("%s: the file %.80q cannot be read; run this where it is", shown, file)
		return nil
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comment, r.TrimLeadingSpace, r.FieldsPerRecord = '#', true, -1
	lines, err := r.ReadAll()
	if err != nil {
		t.close("%s: the file %.80q cannot be read; it has one address in each line", shown, file)
		return nil
	}
	for _, line := range lines {
		if address := strings.ToLower(strings.TrimSpace(line[0])); address != "" && !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	if len(all) == 0 {
		t.close("%s: the file %.80q names nobody", shown, file)
	}
	return all
}

// groups returns the groups of which one is needed.
func (t *translation) groups(kind string) ([]string, origin) {
	allowed, shown := t.list("allowed_groups")
	own := map[string]string{"keycloak": "keycloak_groups", "gitlab": "gitlab_groups"}[kind]
	if own != "" {
		if groups, ownShown := t.list(own); len(groups) > 0 {
			allowed, shown = groups, ownShown
		}
	}
	if projects, projectsShown := t.projects(kind); len(projects) > 0 && len(allowed) == 0 {
		t.close("%s: the members of projects are not known here; write require.groups", projectsShown)
	}
	if kind == "google" {
		for _, name := range []string{"google_groups", "google_group"} {
			if groups, groupsShown := t.list(name); len(groups) > 0 {
				t.close("%s: the groups of Google Workspace are not in its answer, and its directory is not asked", groupsShown)
				break
			}
		}
	}
	return allowed, shown
}

func (t *translation) projects(kind string) ([]string, origin) {
	if kind != "gitlab" {
		return nil, ""
	}
	return t.list("gitlab_projects")
}

// roles writes the roles of Keycloak. oauth2-proxy reads them from the access
// token, which nobody but the application is to read.
func (t *translation) roles(c, claims *node, kind string) {
	if kind != "keycloak-oidc" {
		return
	}
	roles, shown := t.list("allowed_roles")
	if len(roles) == 0 {
		return
	}
	var paths []string
	byPath := map[string][]string{}
	for _, role := range roles {
		path := "realm_access.roles"
		if client, name, ok := strings.Cut(role, ":"); ok {
			path, role = "resource_access."+client+".roles", name
		}
		if byPath[path] == nil {
			paths = append(paths, path)
		}
		byPath[path] = append(byPath[path], role)
	}
	for _, path := range paths {
		claims.set(quoted(path), t.flow(byPath[path], shown), shown)
	}
	c.note("%s: roles are read from the ID token. At Keycloak, add them to it: Client scopes, roles, Mappers, Add to ID token", shown)
	if _, groupsSet := t.set("allowed_groups"); groupsSet || len(paths) > 1 {
		c.note("%s: oauth2-proxy let in who had one of the groups and roles; here each line of require must hold", shown)
	}
}
