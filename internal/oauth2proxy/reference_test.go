package oauth2proxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/config"
)

// TestReferences: what the alpha configuration takes from the environment is
// taken from there in config.yaml too, and seen in no comment. Attack: a secret
// in a variable, such as a path that nobody is to guess.
func TestReferences(t *testing.T) {
	t.Parallel()
	environ := map[string]string{
		"HIDDEN": canary, "HOST": canary + ".acme.example", "SCOPE": "scope-" + canary, "GROUP": "group " + canary, "CLIENT": canary, "DOMAIN": canary + ".id.example",
	}
	src := Sources{
		Flags: []Flag{{"email-domain", "*"}, {"redirect-url", "https://apps.acme.example"}},
		Alpha: []byte(`
upstreamConfig:
  upstreams:
    - {id: a, path: "/${HIDDEN}/", uri: "http://${HOST}:8080/base"}
    - {id: b, path: "/${HIDDEN}/", uri: "http://again"}
    - {id: c, path: "^/(${HIDDEN}|x)/(.*)$", rewriteTarget: "/$2", uri: "http://b"}
    - {id: d, path: "/{${HIDDEN}}/", uri: "http://b"}
    - {id: e, path: "/plain", uri: "http://${PLAIN:-plain}:80"}
injectRequestHeaders:
  - {name: "X-${HIDDEN}", values: [{claim: user}]}
  - {name: "X-${HIDDEN}-2", values: [{claim: id_token}]}
injectResponseHeaders:
  - {name: "X-${HIDDEN}-3", values: [{claim: user}]}
providers:
  - provider: oidc
    clientID: ${CLIENT}
    clientSecret: ${HIDDEN}
    scope: openid $SCOPE email
    resource: urn:${HIDDEN}
    validateURL: https://${HOST}/x
    backendLogoutURL: https://id.acme.example/${HIDDEN}
    allowedGroups: ["${GROUP}", staff]
    oidcConfig:
      issuerURL: https://${DOMAIN}/realms/a
`),
	}
	for name, value := range environ {
		src.Environ = append(src.Environ, name+"="+value)
	}
	result, err := Translate(src)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(result.Config)+strings.Join(result.Closed, ""), canary) {
		t.Errorf("a value is in\n%s", result.Config)
	}
	wanted := slices.Sorted(slices.Values(result.Variables))
	if diff := cmp.Diff([]string{"CLIENT", "DOMAIN", "GROUP", "HIDDEN", "HOST", "OAUTH2_PROXY_CLIENT_SECRET", "SCOPE"}, wanted); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	cfg, _, err := config.Parse("config.yaml", result.Config, func(name string) (string, bool) {
		if name == "OAUTH2_PROXY_CLIENT_SECRET" {
			return "x", true
		}
		value, ok := environ[name]
		return value, ok
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, result.Config)
	}
	c := cfg.Connections[0]
	got := []string{cfg.Routes[0].Path, cfg.Routes[0].Upstream, cfg.Routes[1].Upstream, c.ClientID, c.Issuer, strings.Join(c.Scopes, " "), strings.Join(c.Require.Groups, ",")}
	if diff := cmp.Diff([]string{
		"/" + canary + "/", "http://" + canary + ".acme.example:8080", "http://plain:80", canary, "https://" + canary + ".id.example/realms/a",
		"openid scope-" + canary + " email", "group " + canary + ",staff",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, result.Config)
	}
}
