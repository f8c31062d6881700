package oauth2proxy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"gatehouse/internal/config"
)

// loaded is the configuration as the program reads it, whether or not what it
// names is there.
func loaded(t testing.TB, result Result) *config.Config {
	t.Helper()
	text := strings.ReplaceAll(string(result.Config), "file:/srv", "file:"+os.TempDir())
	cfg, _, err := config.Parse(filepath.Join(os.TempDir(), "config.yaml"), []byte(text), func(string) (string, bool) { return "https://apps.acme.example/0123456789abcdef", true })
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

// canary is a value that must not be seen.
const canary = "c4narySecret"

// sample is a value for an option that is not its usual one.
func (o option) sample() string {
	switch {
	case o.kind == boolean && o.usual == "true":
		return "false"
	case o.kind == boolean:
		return "true"
	case o.kind == number:
		return "77"
	case o.kind == span:
		return "77m"
	case strings.HasSuffix(o.name, "connection_url"), strings.HasSuffix(o.name, "connection_urls"):
		return "redis://ann:" + canary + "@redis.acme.example:6379"
	case strings.HasSuffix(o.name, "_url"), o.name == "upstreams":
		return "https://ann:" + canary + "@some.acme.example/x?token=" + canary
	case o.name == "custom_sign_in_logo", o.name == "resource":
		return "https://some.acme.example/" + canary + "?token=" + canary
	case o.name == "banner", o.name == "footer":
		return "see <a href='https://ann:" + canary + "@some.acme.example/?token=" + canary + "'>there</a>"
	case o.name == "provider":
		return "adfs"
	case strings.HasSuffix(o.name, "_issuers"):
		return "https://ann:" + canary + "@some.acme.example=x"
	case strings.HasSuffix(o.name, "_ips"):
		return "10.1.2.0/24"
	case o.secret:
		return canary
	}
	return "some"
}

// TestEveryOption: whatever somebody has set is named in the text, by the name
// that it was set by, and what was secret is not in it. This holds alone, beside
// what makes each option count, and where a comment shows its name as part of
// another option's value.
func TestEveryOption(t *testing.T) {
	t.Parallel()
	base := map[string][]string{
		"alone": nil,
		"oidc": {
			`provider = "oidc"`, `oidc_issuer_url = "https://id.acme.example"`, `client_id = "x"`, `client_secret = "y"`, `email_domains = ["*"]`,
			`upstreams = ["http://app:8080"]`, `redirect_url = "https://apps.acme.example/oauth2/callback"`,
		},
		"redis":      {`session_store_type = "redis"`, `reverse_proxy = true`, `htpasswd_file = "x"`, `provider = "keycloak-oidc"`},
		"sentinel":   {`session_store_type = "redis"`, `redis_use_sentinel = true`, `provider = "entra-id"`, `email_domains = ["acme.example"]`},
		"cluster":    {`session_store_type = "redis"`, `redis_use_cluster = true`, `provider = "google"`, `tls_cert_file = "c"`, `tls_key_file = "k"`},
		"in a value": {`provider = "oidc"`, `skip_auth_regex = ["^/NAME/[a-z]+$"]`},
		"github":     {`provider = "github"`},
		"gitlab":     {`provider = "gitlab"`},
	}
	for name, text := range base {
		for _, o := range options() {
			var file []string
			for _, line := range text {
				if !strings.HasPrefix(line, o.name+" ") {
					file = append(file, line)
				}
			}
			within := "^/" + o.name + "/[a-z]+$"
			in := strings.ReplaceAll(strings.Join(file, "\n")+"\n", "^/NAME/[a-z]+$", within)
			value := o.sample()
			quoted := `"` + value + `"`
			if o.kind == boolean || o.kind == number {
				quoted = value
			}
			for shown, src := range map[string]Sources{
				o.name:                                   {File: []byte(in + o.name + " = " + quoted), FileName: "f"},
				"--" + o.flag:                            {File: []byte(in), FileName: "f", Flags: []Flag{{o.flag, value}}},
				variablePrefix + strings.ToUpper(o.name): {File: []byte(in), FileName: "f", Environ: []string{variablePrefix + strings.ToUpper(o.name) + "=" + value}},
			} {
				if name != "oidc" && shown != o.name {
					continue
				}
				result, err := Translate(src)
				if err != nil {
					t.Fatalf("%s, %s: %v", name, shown, err)
				}
				if !strings.Contains(strings.ReplaceAll(string(result.Config), within, ""), shown) {
					t.Errorf("%s: %s is not named in\n%s", name, shown, result.Config)
				}
				if strings.Contains(string(result.Config)+strings.Join(result.Closed, ""), canary) {
					t.Errorf("%s: the secret of %s is in\n%s", name, shown, result.Config)
				}
			}
		}
	}
}

// TestRefused: what oauth2-proxy would not start with is an error that says
// where, and shows no value. Attack on the person who reads it aloud: a secret
// that stands in the wrong place.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		src  Sources
		want string
	}{
		{"unknown key", Sources{File: []byte("cookie_secrett = \"" + canary + "\"")}, `f: oauth2-proxy has no option "cookie_secrett"`},
		{"singular", Sources{File: []byte(`email_domain = "x"`)}, "is email_domains meant?"},
		{"table", Sources{File: []byte("[client_id]\nx = \"" + canary + "\"")}, "f: client_id has a value of a kind that no option has"},
		{"no TOML", Sources{File: []byte("client_id = \"x\"\nclient_secret = " + canary + canary)}, "f: it is no TOML at line 2"},
		{"list for text", Sources{File: []byte(`client_secret = ["` + canary + `"]`)}, "client_secret takes one value and has a list"},
		{"list of lists", Sources{File: []byte(`upstreams = [["` + canary + `"]]`)}, "upstreams has a list of something else than texts"},
		{"no boolean", Sources{File: []byte(`reverse_proxy = "` + canary + `"`)}, "reverse_proxy has a value that it cannot have: true or false is wanted"},
		{"no duration", Sources{Environ: []string{"OAUTH2_PROXY_COOKIE_EXPIRE=" + canary}}, "OAUTH2_PROXY_COOKIE_EXPIRE has a value that it cannot have: a duration"},
		{"no number", Sources{Flags: []Flag{{"logging-max-age", canary}}}, "--logging-max-age has a value that it cannot have: a number"},
		{"no list", Sources{Flags: []Flag{{"upstream", `"` + canary}}}, "--upstream has a value that cannot be split"},
		{"no YAML", Sources{Alpha: []byte("a: [" + canary)}, "the alpha configuration: it is no YAML"},
		{"YAML in itself", Sources{Alpha: []byte("providers: &a [*a, {clientSecret: " + canary + "}]")}, "the alpha configuration: it is no YAML"},
		{"unknown alpha key", Sources{Alpha: []byte("providers: [{clientSecrets: " + canary + "}]")}, `the alpha configuration has no key "providers[0].clientSecrets"`},
		{"alpha beside the file", Sources{File: []byte(`client_id = "x"`), Alpha: []byte("{}")}, "client_id belongs into the alpha configuration"},
		{"several providers", Sources{Alpha: []byte("providers: [{clientID: a}, {clientID: b}]")}, "providers: there are several"},
	} {
		tt.src.FileName = "f"
		_, err := Translate(tt.src)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		if _, isFlag := errors.AsType[*FlagError](err); isFlag != (tt.src.Flags != nil) {
			t.Errorf("%s: a mistake of the command line: %v", tt.name, isFlag)
		}
	}
	for _, tt := range []struct {
		args string
		want string
	}{
		{"--no-such=" + canary, `oauth2-proxy has no flag --"no-such"`},
		{"--email-domains=x", "is email-domain meant?"},
		{"--cookie_name x", "is cookie-name meant?"},
		{"-provider=oidc", "argument 1 after -- is no flag"},
		{"--reverse-proxy false", "argument 2 after -- is no flag: write --name=value, also for true and false"},
		{"--client-id x " + canary, "argument 3 after -- is no flag"},
		{"--client-id", "--client-id has no value"},
		{"--version", `oauth2-proxy has no flag --"version"`},
	} {
		if _, _, _, err := ParseFlags(strings.Fields(tt.args)); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want %s", tt.args, err, tt.want)
		}
	}
}

// TestClosed: where oauth2-proxy narrows by what cannot be written, nobody
// comes in; nothing is left open in its place.
func TestClosed(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"provider": "oidc", "oidc-issuer-url": "https://id.acme.example", "client-id": "x", "client-secret": "y", "email-domain": "*", "upstream": "http://app:8080", "redirect-url": "https://apps.acme.example",
	}
	for _, tt := range []struct {
		name string
		set  map[string]string // "": taken away
		want string            // in the reason; empty: not closed
	}{
		{"all there", nil, ""},
		{"no rule for e-mails", map[string]string{"email-domain": ""}, "neither email_domains nor authenticated_emails_file"},
		{"wildcards only", map[string]string{"email-domain": "*.acme.example"}, "wildcards only"},
		{"file that is not there", map[string]string{"email-domain": "", "authenticated-emails-file": "gone"}, "cannot be read"},
		{"file of nobody", map[string]string{"email-domain": "", "authenticated-emails-file": "empty"}, "names nobody"},
		{"groups of Google", map[string]string{"provider": "google", "google-group": "staff@acme.example"}, "the groups of Google Workspace"},
		{"projects of GitLab", map[string]string{"provider": "gitlab", "gitlab-project": "a/b=30"}, "the members of projects"},
		{"a group of GitLab beside them", map[string]string{"provider": "gitlab", "gitlab-project": "a/b=30", "gitlab-group": "a"}, ""},
		{"any issuer", map[string]string{"insecure-oidc-skip-issuer-verification": "true"}, "who signs as another issuer"},
		{"any tenant", map[string]string{"provider": "entra-id", "oidc-issuer-url": "https://login.microsoftonline.com/organizations/v2.0"}, "several tenants"},
		{"the usual tenant", map[string]string{"provider": "azure", "oidc-issuer-url": ""}, "several tenants"},
		{"one tenant", map[string]string{"provider": "azure", "oidc-issuer-url": "", "azure-tenant": "acme.example"}, ""},
		{"a tenant of the list", map[string]string{"provider": "entra-id", "oidc-issuer-url": "https://login.microsoftonline.com/9188040d/v2.0", "entra-id-allowed-tenant": "72f988bf,9188040d"}, ""},
		{"another tenant than those of the list", map[string]string{"provider": "entra-id", "oidc-issuer-url": "https://login.microsoftonline.com/9188040d/v2.0", "entra-id-allowed-tenant": "72f988bf"}, "--entra-id-allowed-tenant does not name the tenant of the issuer"},
		{"the tenant in other letters", map[string]string{"provider": "entra-id", "oidc-issuer-url": "https://login.microsoftonline.com/9188040d/v2.0", "entra-id-allowed-tenant": "9188040D"}, "does not name the tenant of the issuer"},
		{"a list, and no tenant", map[string]string{"provider": "entra-id", "entra-id-allowed-tenant": "id"}, "does not name the tenant of the issuer"},
		{"a list that counts for nothing", map[string]string{"provider": "azure", "azure-tenant": "9188040d", "oidc-issuer-url": "", "entra-id-allowed-tenant": "72f988bf"}, ""},
		{"a token of the cluster", map[string]string{"provider": "entra-id", "entra-id-federated-token-auth": "true"}, "the client is proved by a secret"},
		{"no issuer", map[string]string{"oidc-issuer-url": ""}, "oidc_issuer_url is not set"},
		{"no client", map[string]string{"client-id": ""}, "client_id is not set"},
		{"no secret", map[string]string{"client-secret": ""}, "there is no client secret"},
		{"no provider", map[string]string{"provider": "myspace"}, "is no provider of oauth2-proxy"},
		{"the old Keycloak", map[string]string{"provider": "keycloak", "oidc-issuer-url": "", "login-url": "https://sso.acme.example/auth/realms/a/protocol/openid-connect/auth"}, ""},
	} {
		src := Sources{ReadFile: func(name string) ([]byte, error) {
			if name == "empty" {
				return []byte("# nobody yet\n"), nil
			}
			return nil, os.ErrNotExist
		}}
		for flag, value := range good {
			if changed, ok := tt.set[flag]; ok {
				value = changed
			}
			if value != "" {
				src.Flags = append(src.Flags, Flag{flag, value})
			}
		}
		for flag, value := range tt.set {
			if _, ok := good[flag]; !ok {
				src.Flags = append(src.Flags, Flag{flag, value})
			}
		}
		result, err := Translate(src)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		why := strings.Join(result.Closed, "; ")
		if (tt.want == "") != (why == "") || !strings.Contains(why, tt.want) {
			t.Errorf("%s: closed: %q, want %q", tt.name, why, tt.want)
		}
		var text struct {
			Connections []struct{ Enabled *bool }
			Local       struct{ Enabled bool }
		}
		if err := yaml.Unmarshal(result.Config, &text); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		open := len(text.Connections) > 0 && (text.Connections[0].Enabled == nil || *text.Connections[0].Enabled)
		if open != (tt.want == "") || text.Local.Enabled {
			t.Errorf("%s: somebody comes in: %v\n%s", tt.name, open, result.Config)
		}
	}
}

// TestUnverifiedEmail: an address that the provider calls not verified lets in
// nobody whom oauth2-proxy refused for that. Attack: whoever can type an address
// at the provider types one of a domain that comes in.
func TestUnverifiedEmail(t *testing.T) {
	t.Parallel()
	for _, provider := range []string{"oidc", "adfs", "azure", "entra-id", "keycloak-oidc"} {
		for _, tt := range []struct {
			flags           []Flag
			trust, inClaims string
		}{
			{[]Flag{{"email-domain", "acme.example"}}, config.TrustClaim, ""},
			{[]Flag{{"authenticated-emails-file", "emails"}}, config.TrustClaim, ""},
			{[]Flag{{"email-domain", "*"}}, config.TrustClaim, "true"},
			{[]Flag{{"email-domain", "acme.example"}, {"insecure-oidc-allow-unverified-email", "true"}}, config.TrustAlways, ""},
			{[]Flag{{"email-domain", "acme.example"}, {"oidc-email-claim", "upn"}}, config.TrustAlways, ""},
		} {
			result, err := Translate(Sources{
				Flags: append([]Flag{
					{"provider", provider},
					{"oidc-issuer-url", "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"},
					{"client-id", "x"},
					{"client-secret", "y"},
					{"upstream", "http://app:8080"},
					{"redirect-url", "https://apps.acme.example"},
				}, tt.flags...),
				ReadFile: func(string) ([]byte, error) { return []byte("ann@acme.example\n"), nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			c := loaded(t, result).Connections[0]
			if verified := strings.Join(c.Require.Claims["email_verified"], ","); c.TrustEmail != tt.trust || verified != tt.inClaims || c.Disabled {
				t.Errorf("%s %v: trust_email: %s, email_verified %q, disabled %v\n%s", provider, tt.flags, c.TrustEmail, verified, c.Disabled, result.Config)
			}
		}
	}
}

// FuzzTranslate: whatever the files and flags say, what is written is YAML of
// keys that config.yaml has. Attack: a value that ends its line or its quotes
// and goes on as another key, such as access: public.
func FuzzTranslate(f *testing.F) {
	f.Add("provider = \"oidc\"\nupstreams = [\"http://a\"]", "", "--cookie-name=x\x00--skip-auth-route=^/a/")
	f.Add("banner = \"x\\nroutes: []\"\nclient_id = \"a # b: {\"", "", "--email-domain=\"a,b\"")
	f.Add("", "providers: [{clientID: 'a: b', provider: oidc}]", "--redirect-url=https://x.example/\x00--proxy-prefix=a b")
	f.Add("htpasswd_file = \"a\\u0007b\\u2028c\"\nprovider = \"oidc\"", "", "")
	f.Add("client_secret = \"x\"\nhttpdress = 1", "injectRequestHeaders: [{name: x, values: [{claim: user}]}]", "")
	f.Fuzz(func(t *testing.T, file, alpha, args string) {
		flags, _, _, err := ParseFlags(strings.Split(args, "\x00"))
		if err != nil {
			flags = nil
		}
		src := Sources{File: []byte(file), FileName: "f", Flags: flags}
		if alpha != "" {
			src.Alpha = []byte(alpha)
		}
		result, err := Translate(src)
		if err != nil {
			return
		}
		var root map[string]any
		if err := yaml.Unmarshal(result.Config, &root); err != nil {
			t.Fatalf("%v\n%s", err, result.Config)
		}
		_, _, err = config.Parse("config.yaml", result.Config, func(string) (string, bool) { return "x", true })
		problems, _ := errors.AsType[config.Problems](err)
		for _, p := range problems {
			if strings.Contains(p.What, "no such key") || strings.Contains(p.What, "YAML") {
				t.Fatalf("%v\n%s", p, result.Config)
			}
		}
	})
}

// TestForgedAddresses: who may name a client's address, and whom an address
// lets in, is never wider than what somebody has listed. Attack: X-Forwarded-For
// from anybody, also through a proxy that writes X-Real-IP alone, and a proxy
// from whose one address everybody comes.
func TestForgedAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		flags       []Flag
		trusted     []string
		from        []string
		inComments  string
		inComments2 string
	}{
		{"no proxy", []Flag{{"trusted-ip", "10.0.0.0/8"}}, nil, []string{"10.0.0.0/8"}, "", ""},
		{"a proxy that is named", []Flag{{"reverse-proxy", "true"}, {"trusted-proxy-ip", "10.9.9.9"}, {"real-client-ip-header", "x-forwarded-for"}, {"trusted-ip", "10.0.0.0/8"}}, []string{"10.9.9.9/32"}, []string{"10.0.0.0/8"}, "# --trusted-ip", ""},
		{"a proxy that writes X-Real-IP", []Flag{{"reverse-proxy", "true"}, {"trusted-proxy-ip", "10.9.9.9"}, {"trusted-ip", "10.0.0.0/8"}}, []string{"10.9.9.9/32"}, nil, "real_client_ip_header = X-Real-IP", "STAY PROTECTED"},
		{"a proxy that writes another", []Flag{{"reverse-proxy", "true"}, {"trusted-proxy-ip", "10.9.9.9"}, {"real-client-ip-header", "CF-Connecting-IP"}, {"trusted-ip", "10.0.0.0/8"}}, []string{"10.9.9.9/32"}, nil, "--real-client-ip-header", "STAY PROTECTED"},
		{"any proxy", []Flag{{"reverse-proxy", "true"}, {"real-client-ip-header", "X-Forwarded-For"}, {"trusted-ip", "10.0.0.0/8"}}, nil, nil, "nobody's are believed", "PROTECTED"},
		{"everybody", []Flag{{"reverse-proxy", "true"}, {"real-client-ip-header", "X-Forwarded-For"}, {"trusted-proxy-ip", "0.0.0.0/0,::/0"}, {"trusted-ip", "10.0.0.0/8"}}, nil, nil, "0.0.0.0/0, ::/0", "PROTECTED"},
		{"everybody, and one", []Flag{{"reverse-proxy", "true"}, {"trusted-proxy-ip", "0.0.0.0/0,10.9.9.9"}}, []string{"10.9.9.9/32"}, nil, "0.0.0.0/0", ""},
		{"no proxy at all", []Flag{{"trusted-proxy-ip", "10.9.9.9"}}, nil, nil, "had no effect without reverse_proxy", ""},
		{"garbage", []Flag{{"reverse-proxy", "true"}, {"trusted-proxy-ip", "proxy.acme.example"}}, nil, nil, "is no address", ""},
	} {
		src := Sources{Flags: append([]Flag{
			{"provider", "oidc"},
			{"oidc-issuer-url", "https://id.acme.example"},
			{"client-id", "x"},
			{"client-secret", "y"},
			{"email-domain", "*"},
			{"upstream", "http://app:8080"},
			{"redirect-url", "https://apps.acme.example"},
		}, tt.flags...)}
		result, err := Translate(src)
		if err != nil {
			t.Fatal(err)
		}
		cfg := loaded(t, result)
		if diff := cmp.Diff([][]string{tt.trusted, tt.from}, [][]string{cfg.Server.TrustedProxies, cfg.Routes[0].PublicFrom}, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		for _, want := range []string{tt.inComments, tt.inComments2} {
			if !strings.Contains(string(result.Config), want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, result.Config)
			}
		}
	}
}
