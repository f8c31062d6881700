package oauth2proxy

import (
	"bytes"
	"encoding/csv"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// provider is what is known of a kind of provider of oauth2-proxy.
type provider struct {
	name   string // on the button
	issuer string // empty: oidc_issuer_url says it
	closed string // why it cannot be a connection; empty: it can
	// unsaid: it never says whether an address is verified, and oauth2-proxy
	// takes that for yes. Who may write the addresses is the provider's
	// administrator.
	unsaid bool
}

const noOIDC = "speaks no OpenID Connect, which is what this version of Gatehouse takes; put a provider between them that takes it in, such as Dex or Keycloak, and write its issuer"

func providers() map[string]provider {
	return map[string]provider{
		"oidc":          {name: "OpenID Connect"},
		"keycloak-oidc": {name: "Keycloak"},
		"keycloak":      {name: "Keycloak"},
		"adfs":          {name: "ADFS", unsaid: true},
		"cidaas":        {name: "cidaas"},
		"google":        {name: "Google", issuer: "https://accounts.google.com"},
		"gitlab":        {name: "GitLab", issuer: "https://gitlab.com"},
		"azure":         {name: "Microsoft Entra ID", unsaid: true},
		"entra-id":      {name: "Microsoft Entra ID", unsaid: true},
		"github":        {name: "GitHub", closed: noOIDC},
		"bitbucket":     {name: "Bitbucket", closed: noOIDC},
		"digitalocean":  {name: "DigitalOcean", closed: noOIDC},
		"facebook":      {name: "Facebook", closed: noOIDC},
		"nextcloud":     {name: "Nextcloud", closed: noOIDC},
		"sourcehut":     {name: "SourceHut", closed: noOIDC},
		"linkedin":      {name: "LinkedIn", closed: "was asked without OpenID Connect; add the product Sign In with LinkedIn using OpenID Connect to the application there, and write type: oidc and the issuer that its discovery document names"},
		"login.gov":     {name: "login.gov", closed: "proves the client by a key (private_key_jwt), and this version of Gatehouse has a client secret only"},
	}
}

var notID = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// connection writes the provider. What oauth2-proxy narrows and cannot be said
// closes it: enabled: false.
func (t *translation) connection() {
	n := t.root.in("connections")
	kind, shown := t.text("provider")
	p, ok := providers()[kind]
	if !ok {
		p.closed = "is no provider of oauth2-proxy 7"
	}
	if shown == "" {
		shown = "the usual provider"
	}
	if p.closed != "" {
		n.note("%s", t.close("%s = %.40q: it %s", shown, kind, p.closed))
		if login, loginShown := t.set("login_url"); kind == "github" && loginShown {
			n.note("%s: if that is Gitea or Forgejo, which speak OpenID Connect, have oauth2-proxy's provider be oidc, with their URL as oidc_issuer_url, and write this anew", login)
		}
		n.note("There is no connection here for: %s", strings.Join(t.narrowing(), ", "))
		return
	}
	c := n.item()
	id := notID.ReplaceAllString(kind, "-")
	c.set("id", quoted(id), shown)
	if display, displayShown := t.text("provider_display_name"); display != "" {
		c.set("name", quoted(display), displayShown)
	} else {
		c.set("name", quoted(p.name), "")
	}
	c.set("type", "oidc", "")
	closed := len(t.closed)
	t.issuer(c, kind, p)
	t.client(c)
	if scope, scopeShown := t.text("scope"); scope != "" {
		scopes := strings.Fields(scope)
		if !slices.Contains(scopes, "openid") {
			scopes = append([]string{"openid"}, scopes...)
		}
		c.set("scopes", flow(scopes), scopeShown)
	}
	t.gate(c, kind, p)
	t.claims(c)
	user := "{subject}"
	from := "as X-Forwarded-User was"
	if byEmail, emailShown := t.truth("prefer_email_to_user"); byEmail && !t.settings.injected.given {
		user, from = "{email}", emailShown
	}
	c.set("user", quoted(user), from)
	jit := c.set("jit", "{enabled: false}", "")
	jit.note("oauth2-proxy has no accounts. With enabled: true each person gets one at the first sign-in (docs/provisioning.md).")
	if len(t.closed) > closed {
		// First, so that nobody overlooks it.
		c.below = slices.Insert(c.below, 1, &node{key: "enabled", value: "false", notes: t.closed[closed:]})
	}
}

// narrowing names the options that are set and say who comes in.
func (t *translation) narrowing() []string {
	names := []string{"nobody"}
	for _, o := range options() {
		// What the translation of a connection would have asked for.
		if shown, ok := t.set(o.name); ok && o.section == "connections" && o.instead == "" && o.name != "provider" {
			names = append(names, shown)
		}
	}
	if len(names) > 1 {
		names = names[1:]
	}
	return names
}

var (
	realm       = regexp.MustCompile(`^(https?://[^?#]*/realms/[^/?#]+)/`)
	severalOnes = regexp.MustCompile(`(?i)^(https://login\.microsoftonline\.com/)?(common|organizations|consumers)(/|$)`)
)

func (t *translation) issuer(c *node, kind string, p provider) {
	issuer, shown := t.text("oidc_issuer_url")
	tenant, tenantShown := t.text("azure_tenant")
	switch {
	case kind == "google":
		issuer, shown = p.issuer, ""
	case kind == "gitlab" && issuer == "":
		issuer = p.issuer
	case kind == "azure" && issuer == "":
		issuer, shown = "https://login.microsoftonline.com/"+tenant+"/v2.0", tenantShown
	case kind == "keycloak" && issuer == "":
		login, loginShown := t.text("login_url")
		if m := realm.FindStringSubmatch(login); m != nil {
			issuer, shown = m[1], loginShown
		}
	}
	if kind == "azure" || kind == "entra-id" {
		if severalOnes.MatchString(issuer) {
			t.close("the issuer is for several tenants of Entra ID, each of which signs as another; write the issuer of your tenant, https://login.microsoftonline.com/TENANT/v2.0")
		}
		if token, tokenShown := t.truth("entra_id_federated_token_auth"); token {
			t.close("%s: the client is proved by a secret here, and not by a token of the cluster", tokenShown)
		}
		if tenants, tenantsShown := t.list("entra_id_allowed_tenants"); len(tenants) > 0 {
			c.note("%s: the issuer is that of one tenant, which says the same", tenantsShown)
		}
		if field, fieldShown := t.text("azure_graph_group_field"); field != "" {
			c.note("%s: the groups are those of the claim groups, which has their object ids unless the application is set up otherwise (Token configuration)", fieldShown)
		}
	}
	if skip, skipShown := t.truth("insecure_oidc_skip_issuer_verification"); skip {
		t.close("%s: who signs as another issuer than the configured one is never believed here; write the issuer that the discovery document names, and remove this line", skipShown)
	}
	if issuer == "" {
		t.close("oidc_issuer_url is not set, so nobody knows whom to ask; write the issuer")
		issuer = "https://issuer.invalid"
	}
	c.set("issuer", quoted(issuer), shown)
	if u, err := url.Parse(issuer); err == nil && u.Scheme == "http" {
		insecure := c.set("insecure_http", "true", shown)
		insecure.note("the issuer is reached in clear, as before: whoever is on the way can sign in as anybody")
	}
}

func (t *translation) client(c *node) {
	if id, shown := t.text("client_id"); id != "" {
		c.set("client_id", quoted(id), shown)
	} else {
		t.close("client_id is not set")
		c.set("client_id", `"?"`, "")
	}
	secret, shown := t.text("client_secret")
	file, fileShown := t.text("client_secret_file")
	const name = variablePrefix + "CLIENT_SECRET"
	switch {
	case secret == "" && file != "":
		c.set("client_secret_file", quoted(file), fileShown)
		return
	case secret == "":
		t.close("there is no client secret")
	case shown != name:
		c.note("the secret stood in %s: put it into the variable, or write client_secret_file", shown)
	}
	c.set("client_secret", t.needs(name), shown)
}

// gate writes who may come in.
func (t *translation) gate(c *node, kind string, p provider) {
	unverified, unverifiedShown := t.truth("insecure_oidc_allow_unverified_email")
	claim, claimShown := t.emailClaim()
	trusted := ""
	switch {
	case unverified:
		trusted = unverifiedShown
	case claim != "email":
		trusted = claimShown + ": oauth2-proxy asks nobody whether it is verified"
	case p.unsaid:
		trusted = "it does not say which addresses are verified, and oauth2-proxy takes that for yes"
	}
	domains, addresses, from := t.emails(c)
	require := &node{key: "require"}
	if groups, groupsShown := t.groups(kind); len(groups) > 0 {
		require.set("groups", flow(groups), groupsShown)
	}
	claims := &node{key: "claims"}
	t.roles(c, claims, kind)
	switch {
	case len(domains) > 0:
		c.set("email_domains", flow(domains), from)
	case len(addresses) > 0:
		claims.set(claim, flow(addresses), from)
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
	} else if len(domains)+len(addresses) > 0 {
		c.note("Only addresses count of which the provider says email_verified: true. oauth2-proxy also took those of which it says nothing: if this one says nothing, and its administrator answers for the addresses, write trust_email: always.")
	}
}

// emailClaim is the claim that has the address. user_id_claim was its name
// before.
func (t *translation) emailClaim() (claim, shown string) {
	claim, shown = t.text("oidc_email_claim")
	if old, oldShown := t.text("user_id_claim"); claim == "email" && old != "" && old != "email" {
		return old, oldShown
	}
	return claim, shown
}

// emails says whose addresses come in: those of the domains, or these; neither
// where all do.
func (t *translation) emails(c *node) (domains, addresses []string, from string) {
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
func (t *translation) addresses(file, shown string) (all []string) {
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
func (t *translation) groups(kind string) ([]string, string) {
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

func (t *translation) projects(kind string) ([]string, string) {
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
		claims.set(quoted(path), flow(byPath[path]), shown)
	}
	c.note("%s: roles are read from the ID token. At Keycloak, add them to it: Client scopes, roles, Mappers, Add to ID token", shown)
	if _, groupsSet := t.set("allowed_groups"); groupsSet || len(paths) > 1 {
		c.note("%s: oauth2-proxy let in who had one of the groups and roles; here each line of require must hold", shown)
	}
}

// claims writes where the attributes are.
func (t *translation) claims(c *node) {
	attributes := &node{key: "attributes"}
	if claim, shown := t.emailClaim(); claim != "email" {
		attributes.set("email", quoted(claim), shown)
	}
	if claim, shown := t.text("oidc_groups_claim"); claim != "groups" && claim != "" {
		attributes.set("groups", quoted(claim), shown)
	}
	for _, claim := range t.settings.injected.claims {
		name := notID.ReplaceAllString(claim, "-")
		if slices.Contains([]string{"username", "email", "name", "groups"}, name) {
			continue // they are there
		}
		attributes.set(quoted(name), quoted(claim), "additionalClaims")
	}
	if len(attributes.below) > 0 {
		c.below = append(c.below, attributes)
	}
}

// local writes the people of the htpasswd file.
func (t *translation) local() {
	n := t.root.in("local")
	file, shown := t.text("htpasswd_file")
	if file == "" {
		n.set("enabled", "false", "")
		return
	}
	groups, groupsShown := t.list("htpasswd_user_groups")
	if allowed, allowedShown := t.set("allowed_groups"); allowedShown {
		wanted := t.settings.set["allowed_groups"].values
		if !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(wanted, g) }) {
			n.note("%s: none of these people is in a group of %s, so that none of them could come in", shown, allowed)
			n.set("enabled", "false", shown)
			return
		}
	}
	n.note("The people of %s: gatehouse user import --htpasswd %s. Their passwords stay as they are. They type them into the form; Authorization: Basic is no way in.", shown, shellWord(file))
	if len(groups) > 0 {
		n.note("%s: give them to each: gatehouse user set NAME --groups %s", groupsShown, shellWord(strings.Join(groups, ",")))
	}
	if form, formShown := t.truth("display_htpasswd_form"); !form {
		n.note("%s: the form is shown all the same", formShown)
	}
	n.set("enabled", "true", shown)
	mfa := t.root.in("mfa")
	mfa.note("oauth2-proxy asks nobody for a second factor. Here who signs in with a password sets one up at the next sign-in; off is as before.")
	mfa.set("enforce", "local", "")
}

// shellWord quotes a word for a shell where it has to be.
func shellWord(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./,@:+-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
