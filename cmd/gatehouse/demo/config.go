package demo

import (
	"bytes"
	"encoding/json"
	"text/template"
)

// prefix is where the gateway's own pages are.
const prefix = "/oauth2"

// configuration is the gateway's config.yaml. Relative paths in it lie in the
// folder of the run.
var configuration = template.Must(template.New("config.yaml").Funcs(template.FuncMap{"q": quote}).Parse(`
server:
  listen: {{q .Front.Listen}}
  public_url: {{q .Front.URL}}
connections:
  - id: acme
    name: Acme
    type: oidc
    issuer: {{q .Acme.Issuer}}
    client_id: {{q .Acme.ClientID}}
    client_secret: {{q .Acme.ClientSecret}}
    groups_allowed: [admins, staff, contractors]
    attributes:
      department: department
    jit:
      enabled: true
      attribute_sync: preserve_local
  - id: partner
    name: Partner
    type: oidc
    issuer: {{q .Partner.Issuer}}
    client_id: {{q .Partner.ClientID}}
    client_secret: {{q .Partner.ClientSecret}}
    groups_allowed: [partners]
    attributes:
      department: department
    jit:
      enabled: false
routes:
  # A host that is not named here is answered with 404.
  - {host: {{q .Front.Name}}, path: /, upstream: {{q .App}}, access: authenticated}
  - {host: {{q .Front.Name}}, path: /admin/, upstream: {{q .App}}, access: {groups: [admins]}}
  - {host: {{q .Front.Name}}, path: /public/, upstream: {{q .App}}, access: public}
mail: {address: {{q .Post}}, from: "Gatehouse demonstration <gatehouse@localhost>", tls: none}
log: {level: error, format: text}
`[1:]))

// config writes the configuration of this run.
func (s *stage) config() []byte {
	type client struct{ Issuer, ClientID, ClientSecret string }
	of := func(p *provider) client { return client{p.issuer, p.clientID, p.clientSecret} }
	var out bytes.Buffer
	err := configuration.Execute(&out, map[string]any{
		"Front":   map[string]string{"Listen": s.front.listen, "URL": s.front.url, "Name": s.front.name()},
		"Acme":    of(s.acme),
		"Partner": of(s.partner),
		"App":     "http://" + s.app.addr,
		"Post":    s.post.Addr().String(),
	})
	if err != nil {
		panic(err) // the template and its data are both above
	}
	return out.Bytes()
}

// quote writes a YAML scalar: every JSON string is one.
func quote(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}
