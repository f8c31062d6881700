package oauth2proxy

import (
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
	// unsaid: unless it is set up to, it does not say whether an address is
	// verified, and oauth2-proxy takes that for yes.
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
		n.note("%s", t.close("%s = %.40q: it %s", shown, t.spelled(kind, shown), p.closed))
		if login, loginShown := t.set("login_url"); kind == "github" && loginShown {
			n.note("%s: if that is Gitea or Forgejo, which speak OpenID Connect, have oauth2-proxy's provider be oidc, with their URL as oidc_issuer_url, and write this anew", login)
		}
		n.note("There is no connection here for: %s", joined(t.narrowing()...))
		return
	}
	c := n.item()
	id := notID.ReplaceAllString(kind, "-")
	c.set("id", quoted(id), shown)
	if display, displayShown := t.text("provider_display_name"); display != "" {
		c.set("name", t.quoted(display, displayShown), displayShown)
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
		c.set("scopes", t.flow(scopes, scopeShown), scopeShown)
	}
	t.gate(c, kind, p)
	t.claims(c)
	user := "{subject}"
	from := origin("as X-Forwarded-User was")
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
func (t *translation) narrowing() []origin {
	names := []origin{"nobody"}
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
	beforeHost  = regexp.MustCompile(`//[^/?#,]*@`) // the name and password of a URL
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
		t.tenants(c, kind, issuer)
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
	issuer = beforeHost.ReplaceAllString(issuer, "//")
	issuer, _, _ = strings.Cut(issuer, "?") // no issuer has one, and it may hold a token
	c.set("issuer", t.quoted(issuer, shown), shown)
	if u, err := url.Parse(issuer); err == nil && u.Scheme == "http" {
		insecure := c.set("insecure_http", "true", shown)
		insecure.note("the issuer is reached in clear, as before: whoever is on the way can sign in as anybody")
	}
}

var oneTenant = regexp.MustCompile(`^https://login\.microsoftonline\.com/([a-zA-Z0-9-]+)/v2\.0$`)

// tenants says what became of the list of tenants. oauth2-proxy holds the
// tenant of each session against it, letter for letter: where that of the
// issuer is not in it, nobody came in.
func (t *translation) tenants(c *node, kind, issuer string) {
	tenants, shown := t.list("entra_id_allowed_tenants")
	one := oneTenant.FindStringSubmatch(issuer)
	switch {
	case len(tenants) == 0:
	case kind != "entra-id":
		c.note("%s had no effect with %s", shown, kind)
	case severalOnes.MatchString(issuer):
		c.note("%s: each of these tenants signs as itself; write a connection for each, with its issuer", shown)
	case one == nil || !slices.Contains(tenants, one[1]):
		t.close("%s does not name the tenant of the issuer, so that oauth2-proxy let in nobody; write the issuer of a tenant that it names, https://login.microsoftonline.com/TENANT/v2.0", shown)
	default:
		c.note("%s: the issuer is that of one tenant, which it names", shown)
	}
}

func (t *translation) client(c *node) {
	if id, shown := t.text("client_id"); id != "" {
		c.set("client_id", t.quoted(id, shown), shown)
	} else {
		t.close("client_id is not set")
		c.set("client_id", `"?"`, "")
	}
	secret, shown := t.text("client_secret")
	file, fileShown := t.text("client_secret_file")
	const name = variablePrefix + "CLIENT_SECRET"
	switch {
	case secret == "" && file != "":
		c.set("client_secret_file", t.quoted(file, fileShown), fileShown)
		return
	case secret == "":
		t.close("there is no client secret")
	case shown != name:
		c.note("the secret stood in %s: put it into the variable, or write client_secret_file", shown)
	}
	c.set("client_secret", t.needs(name), shown)
}

// claims writes where the attributes are.
func (t *translation) claims(c *node) {
	attributes := &node{key: "attributes"}
	if claim, shown := t.emailClaim(); claim != "email" {
		attributes.set("email", t.quoted(claim, shown), shown)
	}
	if claim, shown := t.text("oidc_groups_claim"); claim != "groups" && claim != "" {
		attributes.set("groups", t.quoted(claim, shown), shown)
	}
	for _, claim := range t.settings.injected.claims {
		name := notID.ReplaceAllString(claim, "-")
		if slices.Contains([]string{"username", "email", "name", "groups"}, name) {
			continue // they are there
		}
		attributes.set(quoted(name), t.quoted(claim, "providers[0].additionalClaims"), "additionalClaims")
	}
	if len(attributes.below) > 0 {
		c.below = append(c.below, attributes)
	}
}
