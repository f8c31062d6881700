package badidp

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Fault names one thing that the provider does wrong, or, as a Quirk, does in
// an unusual way.
type Fault string

// row is what a fault changes. Most change one thing.
type row struct {
	quirk bool

	metadata func(m map[string]any)
	keys     func(set []any) []any
	callback func(i *IdP, q url.Values)                     // the authorization response
	tokens   func(t map[string]any)                         // the token response
	claims   func(i *IdP, c map[string]any)                 // of the ID token
	sign     func(i *IdP, k keypair, payload []byte) string // the ID token
	userinfo func(c map[string]any)                         //
	path     string                                         // which path serve answers
	serve    func(*IdP, http.ResponseWriter, *http.Request) // in place of everything
}

// Faults are all faults; none of them may end in a sign-in.
func Faults() []Fault { return list(false) }

// Quirks are all quirks; with each of them people can sign in.
func Quirks() []Fault { return list(true) }

func list(quirk bool) []Fault {
	return slices.Sorted(func(yield func(Fault) bool) {
		for f, r := range rows {
			if r.quirk == quirk && !yield(f) {
				return
			}
		}
	})
}

var rows = func() map[Fault]row {
	all := map[Fault]row{}
	for _, part := range []map[Fault]row{metadataFaults, keyFaults, callbackFaults, tokenFaults, claimFaults, signatureFaults, userinfoFaults, shapeFaults, quirks} {
		for f, r := range part {
			if _, twice := all[f]; twice {
				panic("badidp: two faults called " + string(f))
			}
			all[f] = r
		}
	}
	return all
}()

var metadataFaults = merge(broken("discovery", PathDiscovery), map[Fault]row{
	"discovery: another issuer":              meta("issuer", "https://other.example"),
	"discovery: no issuer":                   meta("issuer", nil),
	"discovery: issuer with a slash":         {metadata: func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "/" }},
	"discovery: token endpoint over http":    meta("token_endpoint", "http://192.0.2.1/token"),
	"discovery: keys over http":              meta("jwks_uri", "http://192.0.2.1/keys"),
	"discovery: userinfo over http":          meta("userinfo_endpoint", "http://192.0.2.1/userinfo"),
	"discovery: authorize is a script":       meta("authorization_endpoint", "javascript:alert(1)"),
	"discovery: keys in a file":              meta("jwks_uri", "file:///etc/passwd"),
	"discovery: no token endpoint":           meta("token_endpoint", nil),
	"discovery: endpoint is a number":        meta("token_endpoint", 7),
	"discovery: password in an endpoint":     meta("token_endpoint", "https://user:secret@192.0.2.1/token"),
	"discovery: only symmetric algorithms":   meta("id_token_signing_alg_values_supported", []any{"HS256", "none"}),
	"discovery: only private_key_jwt":        meta("token_endpoint_auth_methods_supported", []any{"private_key_jwt"}),
	"discovery: not JSON":                    {path: PathDiscovery, serve: page},
	"discovery: moved to another host":       {path: PathDiscovery, serve: away(http.StatusFound)},
	"discovery: moved to another host, 308":  {path: PathDiscovery, serve: away(http.StatusPermanentRedirect)},
	"discovery: redirects to itself forever": {path: PathDiscovery, serve: loop},
})

var keyFaults = merge(broken("keys", PathKeys), map[Fault]row{
	"keys: none":                  {keys: func([]any) []any { return []any{} }},
	"keys: another's":             {keys: func([]any) []any { return []any{stranger("key-1").jwk()} }},
	"keys: only a symmetric one":  {keys: func([]any) []any { return []any{secretKey} }, sign: signWithClientSecret},
	"keys: a private one":         {keys: func([]any) []any { return []any{privateKey()} }},
	"keys: too short":             {keys: func([]any) []any { return []any{short().jwk()} }, sign: func(_ *IdP, _ keypair, p []byte) string { return short().sign(nil, p) }},
	"keys: for encryption only":   {keys: func(set []any) []any { set[0].(map[string]any)["use"] = "enc"; return set }},
	"keys: for another algorithm": {keys: func(set []any) []any { set[0].(map[string]any)["alg"] = "RS512"; return set }},
	"keys: far too many": {keys: func(set []any) []any {
		return slices.Repeat(set, 1000)
	}},
	"keys: not JSON":              {path: PathKeys, serve: page},
	"keys: moved to another host": {path: PathKeys, serve: away(http.StatusFound)},
})

var callbackFaults = map[Fault]row{
	"callback: error": {callback: func(_ *IdP, q url.Values) { q.Del("code"); q.Set("error", "access_denied") }},
	"callback: error and code": {callback: func(_ *IdP, q url.Values) {
		q.Set("error", "access_denied")
	}},
	"callback: empty error":      {callback: func(_ *IdP, q url.Values) { q.Set("error", "") }},
	"callback: no code":          {callback: func(_ *IdP, q url.Values) { q.Del("code") }},
	"callback: unknown code":     {callback: func(_ *IdP, q url.Values) { q.Set("code", "guessed") }},
	"callback: code twice":       {callback: func(_ *IdP, q url.Values) { q.Add("code", "another") }},
	"callback: code twice alike": {callback: func(_ *IdP, q url.Values) { q.Add("code", q.Get("code")) }},
	"callback: state twice":      {callback: func(_ *IdP, q url.Values) { q.Add("state", "another") }},
	"callback: no state":         {callback: func(_ *IdP, q url.Values) { q.Del("state") }},
	"callback: another state":    {callback: func(_ *IdP, q url.Values) { q.Set("state", "another") }},
	"callback: iss of another":   {callback: func(_ *IdP, q url.Values) { q.Set("iss", "https://other.example") }},
	"callback: iss empty":        {callback: func(_ *IdP, q url.Values) { q.Set("iss", "") }},
	"callback: iss with a slash": {callback: func(i *IdP, q url.Values) {
		q.Set("iss", i.server.URL+"/")
	}},
	"callback: iss twice": {callback: func(i *IdP, q url.Values) {
		q["iss"] = []string{i.server.URL, "https://other.example"}
	}},
	"callback: iss advertised and missing": meta("authorization_response_iss_parameter_supported", true),
}

var tokenFaults = merge(broken("token", PathToken), map[Fault]row{
	"token: error":                 {path: PathToken, serve: refuse(http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "secret-in-description"})},
	"token: error with status 200": {path: PathToken, serve: refuse(http.StatusOK, map[string]any{"error": "invalid_grant"})},
	"token: client refused":        {path: PathToken, serve: refuse(http.StatusUnauthorized, map[string]any{"error": "invalid_client"})},
	"token: not JSON":              {path: PathToken, serve: page},
	"token: moved to another host": {path: PathToken, serve: away(http.StatusTemporaryRedirect)},
	"token: moved within the host": {path: PathToken, serve: within(http.StatusTemporaryRedirect)},
	"token: no id_token":           tok("id_token", nil),
	"token: id_token empty":        tok("id_token", ""),
	"token: id_token a number":     tok("id_token", 7),
	"token: id_token a list":       tok("id_token", []any{"a", "b"}),
	"token: id_token garbage":      tok("id_token", "not.a.token"),
	"token: id_token encrypted":    tok("id_token", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AA.AA.AA.AA"),
	"token: id_token in JSON":      tok("id_token", `{"payload":"e30","signatures":[]}`),
	"token: no access_token":       tok("access_token", nil),
	"token: access_token binary":   tok("access_token", "a\r\nX-Evil: 1"),
	"token: no token_type":         tok("token_type", nil),
	"token: token_type MAC":        tok("token_type", "MAC"),
})

var claimFaults = map[Fault]row{
	"iss: missing":                     claim("iss", nil),
	"iss: another":                     claim("iss", "https://other.example"),
	"iss: with a slash":                {claims: func(i *IdP, c map[string]any) { c["iss"] = i.server.URL + "/" }},
	"iss: under another case only":     {claims: func(i *IdP, c map[string]any) { delete(c, "iss"); c["ISS"] = i.server.URL }},
	"aud: missing":                     claim("aud", nil),
	"aud: another":                     claim("aud", "another-client"),
	"aud: empty list":                  claim("aud", []any{}),
	"aud: several":                     claim("aud", []any{ClientID, "another-client"}),
	"aud: several with azp":            {claims: func(_ *IdP, c map[string]any) { c["aud"], c["azp"] = []any{ClientID, "another-client"}, ClientID }},
	"azp: another":                     claim("azp", "another-client"),
	"azp: a list":                      claim("azp", []any{ClientID}),
	"sub: missing":                     claim("sub", nil),
	"sub: empty":                       claim("sub", ""),
	"sub: blank":                       claim("sub", " \t"),
	"sub: a number":                    claim("sub", 12345),
	"sub: true":                        claim("sub", true),
	"sub: a list":                      claim("sub", []any{"subject-1"}),
	"sub: too long":                    claim("sub", strings.Repeat("s", 256)),
	"sub: under another case only":     {claims: func(_ *IdP, c map[string]any) { delete(c, "sub"); c["Sub"] = "subject-1" }},
	"sub: broken Unicode":              claim("sub", "subject-\uFFFD"),
	"nonce: missing":                   claim("nonce", nil),
	"nonce: empty":                     claim("nonce", ""),
	"nonce: another":                   claim("nonce", "another"),
	"nonce: a list":                    {claims: func(_ *IdP, c map[string]any) { c["nonce"] = []any{c["nonce"]} }},
	"nonce: of an earlier sign-in":     {claims: func(i *IdP, c map[string]any) { c["nonce"] = i.oldNonce }},
	"iat: missing":                     claim("iat", nil),
	"iat: a string":                    claim("iat", "yesterday"),
	"iat: two minutes ahead":           at("iat", 2*time.Minute),
	"iat: years ahead":                 claim("iat", 1e12),
	"iat: a day ago":                   at("iat", -24*time.Hour),
	"iat: negative":                    claim("iat", -1),
	"exp: missing":                     claim("exp", nil),
	"exp: a string":                    claim("exp", "never"),
	"exp: two minutes ago":             at("exp", -2*time.Minute),
	"exp: beyond any calendar":         claim("exp", 1e300),
	"nbf: two minutes ahead":           at("nbf", 2*time.Minute),
	"at_hash: wrong":                   claim("at_hash", halfHash("RS256", "another")),
	"at_hash: empty":                   claim("at_hash", ""),
	"at_hash: a number":                claim("at_hash", 7),
	"c_hash: wrong":                    claim("c_hash", halfHash("RS256", "another")),
	"sid: a number":                    claim("sid", 7),
	"sid: endless":                     claim("sid", strings.Repeat("s", 1025)),
	"claims: groups hold an object":    claim("groups", []any{"staff", map[string]any{"name": "admins"}}),
	"claims: two e-mail addresses":     claim("email", []any{"pat@corp.example", "root@corp.example"}),
	"claims: more groups than is sane": claim("groups", slices.Repeat([]any{"g"}, 10_001)),
}

var signatureFaults = map[Fault]row{
	"signature: alg none": {sign: func(_ *IdP, _ keypair, p []byte) string {
		return signingInput(map[string]any{"alg": "none"}, p) + "."
	}},
	"signature: alg none with a key id": {sign: func(_ *IdP, k keypair, p []byte) string {
		return signingInput(map[string]any{"alg": "none", "kid": k.kid}, p) + "."
	}},
	"signature: HS256 with the public key":    {sign: signWithPublicKey},
	"signature: HS256 with the client secret": {sign: signWithClientSecret},
	"signature: alg not advertised": {
		metadata: func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []any{"ES256"} },
	},
	"signature: alg other than the key's": {sign: func(_ *IdP, k keypair, p []byte) string { return k.sign(map[string]any{"alg": "PS256"}, p) }},
	"signature: broken":                   {sign: func(_ *IdP, k keypair, p []byte) string { return cut(k.sign(nil, p)) }},
	"signature: missing": {sign: func(_ *IdP, k keypair, p []byte) string {
		return signingInput(map[string]any{"alg": k.alg, "kid": k.kid}, p) + "."
	}},
	"signature: of another key, same id": {sign: func(_ *IdP, k keypair, p []byte) string { return stranger(k.kid).sign(nil, p) }},
	"signature: unknown key id":          {sign: func(_ *IdP, _ keypair, p []byte) string { return stranger("unknown").sign(nil, p) }},
	"signature: key in the token": {sign: func(_ *IdP, _ keypair, p []byte) string {
		k := stranger("mine")
		return k.sign(map[string]any{"jwk": k.jwk()}, p)
	}},
	"signature: keys where jku says": {sign: func(i *IdP, _ keypair, p []byte) string {
		return stranger("mine").sign(map[string]any{"jku": i.elsewhere.URL + PathKeys, "x5u": i.elsewhere.URL + "/cert"}, p)
	}},
	"signature: unknown crit": {sign: func(_ *IdP, k keypair, p []byte) string {
		return k.sign(map[string]any{"crit": []any{"x"}, "x": 1}, p)
	}},
	"signature: an access token": {sign: func(_ *IdP, k keypair, p []byte) string { return k.sign(map[string]any{"typ": "at+jwt"}, p) }},
	"signature: a logout token":  {sign: func(_ *IdP, k keypair, p []byte) string { return k.sign(map[string]any{"typ": "logout+jwt"}, p) }},
	"signature: payload a list":  {sign: func(_ *IdP, k keypair, _ []byte) string { return k.sign(nil, []byte(`[]`)) }},
	"signature: payload not UTF-8": {sign: func(_ *IdP, k keypair, p []byte) string {
		return k.sign(nil, []byte(strings.Replace(string(p), "Pat Example", "Pat \xff", 1)))
	}},
}

// The faults of userinfo show only where the ID token lacks a claim.
var userinfoFaults = merge(broken("userinfo", PathUserinfo), map[Fault]row{
	"userinfo: no sub":                {claims: noGroups, userinfo: func(c map[string]any) { delete(c, "sub") }},
	"userinfo: another's sub":         {claims: noGroups, userinfo: func(c map[string]any) { c["sub"] = "subject-2" }},
	"userinfo: sub a list":            {claims: noGroups, userinfo: func(c map[string]any) { c["sub"] = []any{c["sub"]} }},
	"userinfo: a token":               {claims: noGroups, path: PathUserinfo, serve: jwt},
	"userinfo: not JSON":              {claims: noGroups, path: PathUserinfo, serve: page},
	"userinfo: refused":               {claims: noGroups, path: PathUserinfo, serve: refuse(http.StatusForbidden, map[string]any{})},
	"userinfo: moved within the host": {claims: noGroups, path: PathUserinfo, serve: within(http.StatusFound)},
	"userinfo: moved to another host": {claims: noGroups, path: PathUserinfo, serve: away(http.StatusFound)},
})

var quirks = map[Fault]row{
	"quirk: a broken key first":              {quirk: true, keys: func(set []any) []any { return append(slices.Clone(badKeys), set...) }},
	"quirk: discovery moved within the host": {quirk: true, path: PathDiscovery, serve: within(http.StatusFound)},
	"quirk: token without key id":            {quirk: true, sign: func(_ *IdP, k keypair, p []byte) string { return k.sign(map[string]any{"kid": nil}, p) }},
	"quirk: key without key id":              {quirk: true, keys: func(set []any) []any { delete(set[0].(map[string]any), "kid"); return set }},
	"quirk: token without typ":               {quirk: true, sign: func(_ *IdP, k keypair, p []byte) string { return k.sign(map[string]any{"typ": nil}, p) }},
	"quirk: no algorithms named":             {quirk: true, metadata: func(m map[string]any) { delete(m, "id_token_signing_alg_values_supported") }},
	"quirk: audience in a list":              {quirk: true, claims: claim("aud", []any{ClientID}).claims},
	"quirk: azp is ours":                     {quirk: true, claims: claim("azp", ClientID).claims},
	"quirk: no at_hash":                      {quirk: true, claims: claim("at_hash", nil).claims},
	"quirk: expired 30 s ago":                {quirk: true, claims: at("exp", -30*time.Second).claims},
	"quirk: issued 30 s ahead":               {quirk: true, claims: at("iat", 30*time.Second).claims},
	"quirk: issued 9 minutes ago":            {quirk: true, claims: at("iat", -9*time.Minute).claims},
	"quirk: times with fractions":            {quirk: true, claims: claim("exp", float64(time.Now().Add(time.Hour).Unix())+0.5).claims},
	"quirk: longest subject":                 {quirk: true, claims: claim("sub", strings.Repeat("s", 255)).claims},
	"quirk: token_type in lower case":        {quirk: true, tokens: tok("token_type", "bearer").tokens},
	"quirk: iss sent unadvertised":           {quirk: true, callback: func(i *IdP, q url.Values) { q.Set("iss", i.server.URL) }},
	"quirk: iss advertised and sent": {
		quirk: true, metadata: meta("authorization_response_iss_parameter_supported", true).metadata,
		callback: func(i *IdP, q url.Values) { q.Set("iss", i.server.URL) },
	},
	"quirk: endpoint with a query": {quirk: true, metadata: func(m map[string]any) {
		m["authorization_endpoint"] = m["authorization_endpoint"].(string) + "?tenant=1&state=evil&client_id=evil"
	}},
	"quirk: groups kept elsewhere": {quirk: true, claims: func(i *IdP, c map[string]any) {
		delete(c, "groups")
		c["_claim_names"] = map[string]any{"groups": "src1"}
		c["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": i.elsewhere.URL + "/groups"}}
		c["picture"] = i.elsewhere.URL + "/picture"
	}},
}

func merge(a, b map[Fault]row) map[Fault]row {
	maps.Copy(a, b)
	return a
}
