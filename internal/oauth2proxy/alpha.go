package oauth2proxy

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// injected is what the alpha configuration says and no option can.
type injected struct {
	given             bool // there is an alpha configuration
	upstreams         []upstream
	request, response []header
	rest              []string // what has no counterpart, and what to do instead
	claims            []string // additionalClaims
}

// header is one that oauth2-proxy puts on requests or answers.
type header struct {
	shown  origin
	name   string
	claims []string
	other  bool // also something else than the bare value of a claim
}

// alphaOptions are the keys of the alpha configuration that say what an option
// does; [] stands for an item of a list. Letter case makes no difference.
func alphaOptions() map[string]string {
	all := map[string]string{
		"server.bindaddress":                            "http_address",
		"server.securebindaddress":                      "https_address",
		"server.tls.key.fromfile":                       "tls_key_file",
		"server.tls.cert.fromfile":                      "tls_cert_file",
		"server.tls.minversion":                         "tls_min_version",
		"server.tls.ciphersuites":                       "tls_cipher_suites",
		"metricsserver.bindaddress":                     "metrics_address",
		"metricsserver.securebindaddress":               "metrics_secure_address",
		"metricsserver.tls.key.fromfile":                "metrics_tls_key_file",
		"metricsserver.tls.cert.fromfile":               "metrics_tls_cert_file",
		"clientid":                                      "client_id",
		"clientsecret":                                  "client_secret",
		"clientsecretfile":                              "client_secret_file",
		"keycloakconfig.groups":                         "keycloak_groups",
		"keycloakconfig.roles":                          "allowed_roles",
		"azureconfig.tenant":                            "azure_tenant",
		"azureconfig.graphgroupfield":                   "azure_graph_group_field",
		"microsoftentraidconfig.allowedtenants":         "entra_id_allowed_tenants",
		"microsoftentraidconfig.federatedtokenauth":     "entra_id_federated_token_auth",
		"bitbucketconfig.team":                          "bitbucket_team",
		"bitbucketconfig.workspace":                     "bitbucket_workspace",
		"bitbucketconfig.repository":                    "bitbucket_repository",
		"githubconfig.org":                              "github_org",
		"githubconfig.team":                             "github_team",
		"githubconfig.repo":                             "github_repo",
		"githubconfig.token":                            "github_token",
		"githubconfig.users":                            "github_users",
		"gitlabconfig.group":                            "gitlab_groups",
		"gitlabconfig.projects":                         "gitlab_projects",
		"googleconfig.group":                            "google_groups",
		"googleconfig.adminemail":                       "google_admin_email",
		"googleconfig.serviceaccountjson":               "google_service_account_json",
		"googleconfig.targetprincipal":                  "google_target_principal",
		"googleconfig.useorganizationid":                "google_use_organization_id",
		"googleconfig.adminapiuserscope":                "google_admin_api_user_scope",
		"googleconfig.useapplicationdefaultcredentials": "google_use_application_default_credentials",
		"oidcconfig.issuerurl":                          "oidc_issuer_url",
		"oidcconfig.insecureallowunverifiedemail":       "insecure_oidc_allow_unverified_email",
		"oidcconfig.insecureskipissuerverification":     "insecure_oidc_skip_issuer_verification",
		"oidcconfig.insecureskipnonce":                  "insecure_oidc_skip_nonce",
		"oidcconfig.skipdiscovery":                      "skip_oidc_discovery",
		"oidcconfig.jwksurl":                            "oidc_jwks_url",
		"oidcconfig.publickeyfiles":                     "oidc_public_key_files",
		"oidcconfig.emailclaim":                         "oidc_email_claim",
		"oidcconfig.groupsclaim":                        "oidc_groups_claim",
		"oidcconfig.useridclaim":                        "user_id_claim",
		"oidcconfig.audienceclaims":                     "oidc_audience_claims",
		"oidcconfig.extraaudiences":                     "oidc_extra_audiences",
		"oidcconfig.enabledsigningalgs":                 "oidc_enabled_signing_algs",
		"logingovconfig.jwtkey":                         "jwt_key",
		"logingovconfig.jwtkeyfile":                     "jwt_key_file",
		"logingovconfig.pubjwkurl":                      "pubjwk_url",
		"provider":                                      "provider",
		"name":                                          "provider_display_name",
		"cafiles":                                       "provider_ca_files",
		"usesystemtruststore":                           "use_system_trust_store",
		"loginurl":                                      "login_url",
		"authrequestresponsemode":                       "auth_request_response_mode",
		"redeemurl":                                     "redeem_url",
		"profileurl":                                    "profile_url",
		"skipclaimsfromprofileurl":                      "skip_claims_from_profile_url",
		"resource":                                      "resource",
		"validateurl":                                   "validate_url",
		"scope":                                         "scope",
		"allowedgroups":                                 "allowed_groups",
		"code_challenge_method":                         "code_challenge_method",
		"backendlogouturl":                              "backend_logout_url",
	}
	byPattern := make(map[string]string, len(all))
	for path, name := range all {
		if !strings.HasPrefix(path, "server.") && !strings.HasPrefix(path, "metricsserver.") {
			path = "providers[]." + path
		}
		byPattern[path] = name
	}
	return byPattern
}

// replaced are the options that have no effect beside an alpha configuration:
// oauth2-proxy refuses them in its file and its flags then.
func replaced(o option) bool {
	names := slices.Collect(maps.Values(alphaOptions()))
	names = append(names, "google_group", "force_code_challenge_method", "prompt", "approval_prompt", "acr_values")
	names = append(names, "upstreams", "upstream_timeout", "pass_host_header", "ssl_upstream_insecure_skip_verify", "flush_interval", "proxy_websockets", "disable_keep_alives")
	return slices.Contains(names, o.name) || o.section == "identity_headers" && o.name != "signature_key"
}

// readAlpha adds what the alpha configuration says.
func (s *settings) readAlpha(data []byte, environ []string) error {
	s.injected.given = true
	var root yaml.Node
	err := yaml.Unmarshal(data, &root)
	if err == nil && len(root.Content) > 0 {
		err = root.Decode(new(any)) // an alias that stands in itself would be walked for ever
	}
	if err != nil {
		return errors.New("read the alpha configuration: it is no YAML") // the parser's words may quote a secret
	}
	for _, name := range s.names() {
		given := s.set[name]
		if !replaced(given.option) {
			continue
		}
		if !strings.HasPrefix(given.shown, variablePrefix) {
			return fmt.Errorf("%s belongs into the alpha configuration: oauth2-proxy does not start with both", given.shown)
		}
		s.ignored = append(s.ignored, given.shown)
		delete(s.set, name)
	}
	if len(root.Content) == 0 {
		return nil
	}
	a := &alphaReader{settings: s, options: alphaOptions(), byName: known(options(), func(o option) string { return o.name }), environ: environ}
	a.walk(root.Content[0], "", "")
	return errors.Join(a.wrong...)
}

type alphaReader struct {
	settings *settings
	options  map[string]string // by pattern
	byName   map[string]option
	environ  []string
	wrong    []error
}

// walk visits every value. pattern is the path in lower case with [] for each
// index; shown is the path as a person would write it.
func (a *alphaReader) walk(n *yaml.Node, pattern, shown string) {
	switch {
	case n.Kind == yaml.AliasNode:
		a.walk(n.Alias, pattern, shown)
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			a.walk(n.Content[i+1], strings.TrimPrefix(pattern+"."+strings.ToLower(key), "."), strings.TrimPrefix(shown+"."+key, "."))
		}
	case n.Kind == yaml.SequenceNode && slices.ContainsFunc(n.Content, func(item *yaml.Node) bool { return item.Kind != yaml.ScalarNode }):
		if pattern == "providers" && len(n.Content) > 1 {
			a.wrong = append(a.wrong, errors.New("providers: there are several, with which oauth2-proxy does not start; keep one, and add the others to config.yaml by hand"))
			return
		}
		for i, item := range n.Content {
			a.walk(item, pattern+"[]", fmt.Sprintf("%s[%d]", shown, i))
		}
	case n.Kind == yaml.SequenceNode:
		v := spelled{shown: shown, items: make([]string, len(n.Content))}
		for i, item := range n.Content {
			v.items[i] = a.expanded(&v, item.Value)
		}
		a.value(pattern, v)
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		v := spelled{shown: shown}
		v.text = a.expanded(&v, n.Value)
		a.value(pattern, v)
	}
}

// expanded is what a text of v means, which is noted as it was written.
func (a *alphaReader) expanded(v *spelled, text string) string {
	v.raw = append(v.raw, text)
	a.settings.references.add(v.shown, a.put(text, variableOf), func(part string) string { return a.put(part, a.held) })
	return a.put(text, a.held)
}

// variableOf is a reference as config.yaml has it.
func variableOf(name, fallback string) string {
	if fallback != "" {
		fallback = ":-" + fallback
	}
	return variable(name + fallback)
}

// put puts something in for each variable, where oauth2-proxy does: in the
// whole text.
func (a *alphaReader) put(value string, instead func(name, fallback string) string) string {
	return os.Expand(value, func(name string) string {
		if len(name) == 1 && (name[0] < 'A' || name[0] > 'z') {
			return "$" + name // of a pattern: $1, or its end
		}
		name, fallback, _ := strings.Cut(name, ":-")
		return instead(name, fallback)
	})
}

// held is what the environment says.
func (a *alphaReader) held(name, fallback string) string {
	for _, v := range a.environ {
		if held, ok := strings.CutPrefix(v, name+"="); ok && held != "" {
			return held
		}
	}
	return fallback
}

func (a *alphaReader) value(pattern string, v spelled) {
	if name, ok := a.options[pattern]; ok {
		value, err := a.byName[name].read(v)
		if err != nil {
			a.wrong = append(a.wrong, err)
			return
		}
		a.settings.set[name] = value
		return
	}
	in := &a.settings.injected
	if name, ok := unsaid()[pattern]; ok {
		// Of one upstream or header; what it says is the same as the option's.
		of := a.byName[name]
		value, err := of.read(v)
		if err != nil {
			a.wrong = append(a.wrong, err)
		} else if !value.usual() {
			in.rest = append(in.rest, value.spelled()+": "+of.instead)
		}
		return
	}
	family, key, _ := strings.Cut(pattern, "[].")
	switch {
	case strings.HasSuffix(pattern, "headers[].preserverequestvalue") && v.text == "true":
		in.rest = append(in.rest, v.shown+": what a client sends under the name of an identity header is removed always")
	case strings.HasSuffix(pattern, "headers[].insecureskipheadernormalization") && v.text == "true":
		in.rest = append(in.rest, v.shown+": names of headers are written as HTTP has them, in any letter case")
	case family == "upstreamconfig.upstreams" && setUpstream(item(&in.upstreams, v.shown, func(u *upstream) *origin { return &u.shown }), key, v):
	case family == "injectrequestheaders" && setHeader(item(&in.request, v.shown, func(h *header) *origin { return &h.shown }), key, v):
	case family == "injectresponseheaders" && setHeader(item(&in.response, v.shown, func(h *header) *origin { return &h.shown }), key, v):
	case pattern == "providers[].additionalclaims":
		in.claims = v.items
	case pattern == "providers[].id": // which nobody sees
	case pattern == "upstreamconfig.proxyrawpath":
		in.rest = append(in.rest, v.shown+": nothing to do: a path is forwarded as it was sent")
	case strings.HasPrefix(pattern, "providers[].loginurlparameters[]."), pattern == "providers[].adfsconfig.skipscope":
		in.rest = append(in.rest, v.shown+": no such parameter of the sign-in can be set; set it at the provider, for this client")
	case slices.Contains([]string{"server.tls.key.value", "server.tls.key.fromenv", "server.tls.cert.value", "server.tls.cert.fromenv"}, strings.TrimPrefix(pattern, "metrics")):
		in.rest = append(in.rest, v.shown+": a certificate and its key are read from files; write server.tls.cert_file and key_file")
	default:
		a.wrong = append(a.wrong, fmt.Errorf("the alpha configuration has no key %s", shortened(v.shown)))
	}
}

// item returns the item of a list that a path belongs to: the last one, or a
// new one where the path begins another. begun is where an item says which path
// it was begun by.
func item[T any](all *[]T, shown string, begun func(*T) *origin) *T {
	at := origin(shown[:strings.Index(shown, "]")+1])
	if n := len(*all); n > 0 && *begun(&(*all)[n-1]) == at {
		return &(*all)[n-1]
	}
	*all = append(*all, *new(T))
	last := &(*all)[len(*all)-1]
	*begun(last) = at
	return last
}

// unsaid are the keys of an upstream that have no counterpart, by the option
// that says what to do instead.
func unsaid() map[string]string {
	return map[string]string{
		"upstreamconfig.upstreams[].flushinterval":     "flush_interval",
		"upstreamconfig.upstreams[].proxywebsockets":   "proxy_websockets",
		"upstreamconfig.upstreams[].disablekeepalives": "disable_keep_alives",
	}
}

// setUpstream sets a key of an upstream; false where there is no such key.
func setUpstream(u *upstream, key string, v spelled) bool {
	value := v.text
	truth, _ := strconv.ParseBool(value)
	switch key {
	case "id": // which nobody sees
	case "path":
		u.path, u.spelled = value, strings.Join(v.raw, "")
	case "uri":
		u.uri = value
	case "rewritetarget":
		u.rewrite = value
	case "static":
		u.static = truth
	case "staticcode":
		u.code = value
	case "insecureskiptlsverify":
		u.insecure = truth
	case "passhostheader":
		u.ownHost = !truth
	case "timeout":
		u.timeout = value
	default:
		return false
	}
	return true
}

// setHeader sets a key of a header. The values of a claim stand below
// claimSource, or right in the item as they did before.
func setHeader(h *header, key string, v spelled) bool {
	switch strings.NewReplacer("claimsource.", "", "secretsource.", "").Replace(key) {
	case "name":
		h.name = v.text
	case "values[].claim":
		h.claims = append(h.claims, v.text)
	case "values[].prefix", "values[].value", "values[].fromenv", "values[].fromfile",
		"values[].basicauthpassword.value", "values[].basicauthpassword.fromenv", "values[].basicauthpassword.fromfile":
		h.other = true
	case "preserverequestvalue", "insecureskipheadernormalization":
	default:
		return false
	}
	return true
}
