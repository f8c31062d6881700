package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// load returns what a valid file makes.
func load(t *testing.T, file, content string) (*Config, []Warning) {
	t.Helper()
	c, warnings, err := Parse(file, []byte(content), lookup)
	if err != nil {
		t.Fatal(err)
	}
	return c, warnings
}

// A whole file with a value other than the default under every key, in other
// spellings than the normal ones where those are allowed.
func TestEveryKeyIsRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "www"), 0o700); err != nil {
		t.Fatal(err)
	}
	key := strings.Repeat("k", 32)
	got, _ := load(t, filepath.Join(dir, "c.yaml"), `
server:
  listen: unix:///run/gatehouse/gatehouse.sock
  public_url: HTTPS://Gate.Example.COM:443/
  prefix: /gate/
  trusted_proxies: [10.1.2.3/8, 192.0.2.1, "::ffff:198.51.100.0/120", "2001:DB8::1", UNIX]
  admin_listen: "[::1]:9000"
  pprof: true
  admin_socket: run/admin.sock
store:
  redis:
    mode: Sentinel
    addresses: [a.example:26379, "[::1]:26379"]
    master_name: main
    username: u
    password: 0123
    db: "3"
    tls: {enabled: "TRUE"}
    key_prefix: gh/
    timeout: 250ms
secrets: {keys: [`+key+`]}
session:
  cookie_name: gate
  cookie_domain: .Example.com
  same_site: None
  idle_timeout: 1h
  lifetime: 12h
  cache_ttl: 0
  return_domains: [A.example, .b.example, "*.c.example:*", "d.example:8443", "[::1]:8080", "127.0.0.1"]
connections:
  - id: acme
    enabled: "FALSE"
    name: Acme
    type: OIDC
    issuer: http://id.acme.internal/realm/
    insecure_http: true
    client_id: 0123
    client_secret: s
    scopes: [openid]
    email_domains: [ACME.example]
    require:
      groups: [staff]
      claims: {employment.status: [active, leave], "https://acme.example/level": 3}
    trust_email: Always
    user: "{email}"
    groups_allowed: []
    group_mapping: {"cn=adm,ou=x": Admins, eu: [staff, europe]}
    attributes: {username: [upn, preferred_username], email: {from: [mail, email]}, name: "", department: {from: org.department, mode: PRESERVE, on_absent: Delete}, tenant: {constant: 0123}, sites: {constant: [a, b], mode: import_once}}
    tests:
      - name: everything
        claims: {sub: "1", level: 3}
        account: {username: ann, email: ann@acme.example, groups: [staff], attributes: {desk: 4, blank: "", list: [a, " ", b]}, linked: {acme: 007}, has_password: "true", has_factor: true, disabled: TRUE}
        expect: {verdict: Denied, reason: account_disabled, username: "", email: "", groups: [], attributes: {}, headers: {X-User: "", X-Dept: a}}
    jit: {enabled: "false", create: false, attribute_sync: PRESERVE_LOCAL, group_sync: Merge, link_existing: CONFIRM, link_protected_groups: []}
  - {id: b, issuer: "https://id.b.example", client_id: x, client_secret: s}
jit_provisioning:
  preserve_locally_added_claims: "true"
  attribute_sources: {department: [acme, local], tenant: local}
  protected_attributes: [clearance]
  protected_groups: [Owners]
  quarantine: 30d
  inactive: {disable_after: 90d12h, delete_after: 8760h, exempt_groups: [root]}
local: {enabled: false, password: {min_length: 16, min_strength: 2, reset: false}}
admin: {groups: [Owners], allow_federated: true}
mfa: {enforce: "off", methods: [TOTP], totp: {issuer: Acme}}
mail: {address: "mail.example:587", from: "Acme <gate@acme.example>", username: gate, password: 0123, tls: None, insecure_plaintext: "true"}
identity_headers: {user: X-User, email: "", groups: X-Groups, preferred_username: X-Name, attributes: {department: X-Dept}}
routes:
  - path: /app/
    host: App.Example.com.
    methods: [get, POST]
    upstream: https://127.0.0.1:8443
    access: {groups: [a], users: [b], emails: [C@d.example, "Kate@d.example"], email_domains: [E.example], connections: [acme, local], local: "false", amr: [mfa], acr: [gold], client_addresses: [10.1.2.3/8, "::ffff:192.0.2.7"], all: [{users: [f]}], any: [{users: [g]}, {local: true}], not: {users: [h]}}
    strip_prefix: true
    host_header: Upstream
    upstream_tls: {server_name: App.Internal, insecure_skip_verify: "true"}
    headers: {request: {set: {X-Key: "${SECRET}", x-tenant: 0123}, remove: [Authorization, X-HTTP-Method-Override]}, response: {set: {Strict-Transport-Security: max-age=1}, remove: [Server]}}
    connect_timeout: 3s
    timeout: 1m30s
    idle_timeout: 1d
    contact: the owners
  - {path: /open, rewrite_path: /public, upstream: "file:www", access: Public}
  - {path: /sock, upstream: "unix:///run/app.sock"}
api_paths: [/api/]
contact: desk@acme.example
log: {level: DEBUG, format: Text}
`)
	yes, no, empty := true, false, ""
	want := &Config{
		Server: Server{
			Listen: "unix:///run/gatehouse/gatehouse.sock", PublicURL: "https://gate.example.com", Prefix: "/gate",
			TrustedProxies: []string{"10.0.0.0/8", "192.0.2.1/32", "198.51.100.0/24", "2001:db8::1/128", "unix"},
			AdminListen:    "[::1]:9000", AdminListenSet: true,
			Pprof:       true,
			AdminSocket: filepath.Join(dir, "run/admin.sock"), AdminSocketSet: true,
		},
		Store: Store{
			Embedded: Embedded{Path: filepath.Join(dir, "data/gatehouse.db")},
			Redis: &Redis{
				Mode: RedisSentinel, Addresses: []string{"a.example:26379", "[::1]:26379"}, MasterName: "main", Username: "u",
				Password: NewSecret("0123"), DB: 3, TLS: RedisTLS{Enabled: true}, KeyPrefix: "gh/", Timeout: 250 * time.Millisecond,
			},
		},
		Secrets: Secrets{Keys: []Secret{NewSecret(key)}},
		Session: Session{
			CookieName: "gate", CookieDomain: "example.com", SameSite: "none", IdleTimeout: time.Hour, Lifetime: 12 * time.Hour,
			ReturnDomains: []string{"a.example", ".b.example", "*.c.example:*", "d.example:8443", "[::1]:8080", "127.0.0.1"},
		},
		Connections: []Connection{{
			Line: 31, ID: "acme", Name: "Acme", Type: "oidc", Issuer: "http://id.acme.internal/realm/", InsecureHTTP: true,
			ClientID: "0123", ClientSecret: NewSecret("s"), Scopes: []string{"openid"}, EmailDomains: []string{"acme.example"},
			Require: Require{Groups: []string{"staff"}, Claims: map[string][]string{
				"employment.status": {"active", "leave"}, "https://acme.example/level": {"3"},
			}},
			TrustEmail: TrustAlways, User: "{email}", Groups: &[]string{},
			Attributes: []Attribute{
				{Name: AttrUsername, From: []string{"upn", "preferred_username"}},
				{Name: AttrEmail, From: []string{"mail", "email"}},
				{Name: AttrGroups, From: []string{"groups"}},
				{Name: "department", From: []string{"org.department"}, Mode: ModePreserve, OnAbsent: AbsentDelete},
				{Name: "tenant", Constant: []string{"0123"}},
				{Name: "sites", Constant: []string{"a", "b"}, Mode: ModeImportOnce},
			},
			GroupMapping: map[string][]string{"cn=adm,ou=x": {"Admins"}, "eu": {"staff", "europe"}},
			Disabled:     true,
			Tests: []Test{{
				Line: 50, Name: "everything", Claims: map[string]any{"sub": "1", "level": json.Number("3")},
				Account: &TestAccount{
					Username: "ann", Email: "ann@acme.example", Groups: []string{"staff"},
					Attributes: map[string][]string{"desk": {"4"}, "blank": {}, "list": {"a", "b"}},
					Linked:     map[string]string{"acme": "007"}, HasPassword: true, HasFactor: true, Disabled: true,
				},
				Expect: Expectation{
					Verdict: "denied", Reason: "account_disabled", Username: &empty, Email: &empty, Groups: &[]string{},
					Attributes: map[string][]string{}, Headers: map[string]string{"X-User": "", "X-Dept": "a"},
				},
			}},
			JIT: JIT{AttributeSync: SyncPreserveLocal, GroupSync: GroupsMerge, LinkExisting: LinkConfirm, LinkProtectedGroups: []string{}},
		}, {
			Line: 55, ID: "b", Name: "b", Type: "oidc", Issuer: "https://id.b.example", ClientID: "x", ClientSecret: NewSecret("s"),
			Scopes: []string{"openid", "profile", "email"}, TrustEmail: TrustClaim, User: DefaultUser,
			Attributes: []Attribute{
				{Name: AttrUsername, From: []string{"preferred_username"}},
				{Name: AttrEmail, From: []string{"email"}},
				{Name: AttrName, From: []string{"name"}},
				{Name: AttrGroups, From: []string{"groups"}},
			},
			JIT: JIT{
				Enabled: true, Create: true, AttributeSync: SyncPreserveLocal, GroupSync: GroupsSync, LinkExisting: LinkAuto,
				LinkProtectedGroups: []string{"admins"},
			},
		}},
		JITProvisioning: JITProvisioning{
			PreserveLocallyAddedClaims: true,
			AttributeSources:           map[string][]string{"department": {"acme", "local"}, "tenant": {"local"}},
			ProtectedAttributes:        []string{"clearance"},
			ProtectedGroups:            []string{"Owners"},
			Quarantine:                 30 * day,
			Inactive:                   Inactive{DisableAfter: 90*day + 12*time.Hour, DeleteAfter: 365 * day, ExemptGroups: []string{"root"}},
		},
		Local:           Local{Password: Password{MinLength: 16, MinStrength: 2}},
		Admin:           Admin{Groups: []string{"Owners"}, AllowFederated: true},
		MFA:             MFA{Enforce: EnforceOff, Methods: []string{MethodTOTP}, TOTP: TOTP{Issuer: "Acme"}},
		Mail:            Mail{Address: "mail.example:587", From: "Acme <gate@acme.example>", Username: "gate", Password: NewSecret("0123"), TLS: MailNone, InsecurePlaintext: true},
		IdentityHeaders: IdentityHeaders{User: "X-User", Groups: "X-Groups", PreferredUsername: "X-Name", AttributeNames: map[string]string{"department": "X-Dept"}},
		Routes: []Route{
			{
				Line: 69, Path: "/app/", Host: "app.example.com", Methods: []string{"GET", "POST"}, Upstream: "https://127.0.0.1:8443",
				Access: Access{
					Groups: []string{"a"}, Users: []string{"b"}, Emails: []string{"c@d.example", "Kate@d.example"}, EmailDomains: []string{"e.example"},
					Connections: []string{"acme", "local"}, Local: &no, AMR: []string{"mfa"}, ACR: []string{"gold"}, ClientAddresses: []string{"10.0.0.0/8", "192.0.2.7/32"},
					All: []Access{{Users: []string{"f"}}}, Any: []Access{{Users: []string{"g"}}, {Local: &yes}}, Not: &Access{Users: []string{"h"}},
				},
				StripPrefix: true, HostHeader: HostUpstream, UpstreamTLS: UpstreamTLS{ServerName: "App.Internal", InsecureSkipVerify: true},
				Headers: RouteHeaders{
					Request: HeaderChanges{
						Set:    map[string]Secret{"X-Key": NewSecret("hunter2"), "x-tenant": NewSecret("0123")},
						Remove: []string{"Authorization", "X-HTTP-Method-Override"},
					},
					Response: HeaderChanges{Set: map[string]Secret{"Strict-Transport-Security": NewSecret("max-age=1")}, Remove: []string{"Server"}},
				},
				ConnectTimeout: 3 * time.Second, Timeout: 90 * time.Second, IdleTimeout: 24 * time.Hour, Contact: "the owners",
			},
			{Line: 82, Path: "/open", RewritePath: "/public", Upstream: "file:" + filepath.Join(dir, "www"), Access: Access{Public: true}, HostHeader: HostPass, ConnectTimeout: 10 * time.Second, Timeout: 30 * time.Second, Contact: "desk@acme.example"},
			{Line: 83, Path: "/sock", Upstream: "unix:///run/app.sock", HostHeader: HostPass, ConnectTimeout: 10 * time.Second, Timeout: 30 * time.Second, Contact: "desk@acme.example"},
		},
		APIPaths: []string{"/api/"},
		Contact:  "desk@acme.example",
		Log:      Log{Level: "debug", Format: "text"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("want (-) and got (+):\n%s", diff)
	}
	if groups := got.Connections[0].Groups; groups == nil || len(*groups) != 0 {
		t.Error("an empty groups_allowed is none, not all")
	}
	if got.Connections[0].Tests[0].Expect.Attributes == nil {
		t.Error("no attributes were expected, and now any would do")
	}
}

// Section 3 of provisioning.md: the value of the connection wins whenever it
// is set, whatever the global switch says; unset is not override_all.
func TestAttributeSync(t *testing.T) {
	for _, tt := range []struct{ value, global, want string }{
		{"", "false", SyncOverrideAll},
		{"", "true", SyncPreserveLocal},
		{"", `"true"`, SyncPreserveLocal},
		{"", "", SyncOverrideAll},
		{"unset", "true", SyncPreserveLocal},
		{"UNSET", "false", SyncOverrideAll},
		{`""`, "true", SyncPreserveLocal},
		{`"${EMPTY}"`, "true", SyncPreserveLocal},
		{"override_all", "true", SyncOverrideAll},
		{"OVERRIDE_ALL", "true", SyncOverrideAll},
		{"override_all", "false", SyncOverrideAll},
		{"preserve_local", "false", SyncPreserveLocal},
		{"Preserve_Local", "true", SyncPreserveLocal},
		{"none", "false", SyncNone},
		{"NONE", "true", SyncNone},
	} {
		t.Run(tt.value+" under "+tt.global, func(t *testing.T) {
			c, _ := load(t, "c.yaml", "jit_provisioning:\n  preserve_locally_added_claims: "+tt.global+
				"\nconnections:\n- {id: a, issuer: 'https://id.example', client_id: x, client_secret: s, jit: {attribute_sync: "+tt.value+"}}\n")
			if got := c.Connections[0].JIT.AttributeSync; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// What is right must stay so: each of these is accepted.
func TestAccepted(t *testing.T) {
	connection := "connections: [{id: a, issuer: 'https://id.example', client_id: x, client_secret: s, "
	for _, tt := range []struct{ name, in string }{
		{"null is unset", "server: {listen: , public_url: ~}\nconnections:\nroutes: null\nadmin:\nmail:\n"},
		{"defaults of what is not built", "admin: {groups: [], allow_federated: false}\nidentity_headers: {access_token: '', assertion: ''}\n"},
		{"no mail", "mail: {address: '', from: '', username: '', password: '', password_file: '', tls: STARTTLS}"},
		{"mail on this machine", "mail: {address: 'localhost:25', from: gate@example.com, tls: none}"},
		{"issuer on this machine", "connections: [{id: a, issuer: 'http://localhost:8081', client_id: x, client_secret: s}, {id: b, issuer: 'http://127.0.0.2/x', client_id: x, client_secret: s}, {id: c, issuer: 'http://[::1]:8081', client_id: x, client_secret: s}]"},
		{"no groups", connection + "groups_allowed: }]"},
		{"a shorter lifetime alone", "session: {lifetime: 30m}"},
		{"another host under the cookie's domain", "server: {public_url: 'https://gate.example.com'}\nsession: {cookie_domain: example.com}\nroutes: [{host: a.b.example.com, upstream: 'static:202'}, {host: example.com, upstream: 'static:202'}]"},
		{"the public host", "server: {public_url: 'https://Gate.example.com:8443'}\nroutes: [{host: GATE.example.com, upstream: 'static:202'}]"},
		{"methods beside all others", "routes: [{methods: [GET], upstream: 'static:202'}, {methods: [POST], upstream: 'static:202'}, {upstream: 'static:202'}]"},
		{"an exact path beside its subtree", "routes: [{path: /a, upstream: 'static:202'}, {path: /a/, upstream: 'static:202'}]"},
		{"a path that only begins like ours", "routes: [{path: /oauth2x/, upstream: 'static:202'}, {path: /pingpong, upstream: 'static:202'}, {path: /.well-known/, upstream: 'static:202'}]"},
		{"upstreams", "routes: [{path: /1, upstream: 'h2c://app:50051'}, {path: /2, upstream: 'http://app_1/'}, {path: /3, upstream: 'https://[::1]:8443'}, {path: /4, upstream: 'static:503'}, {path: /5, upstream: 'file:.'}]"},
		{"a timeout shorter than the one of connecting", "routes: [{upstream: 'http://127.0.0.1:8080', timeout: 2s}]"},
		{"an exact path in place of another", "routes: [{path: /health, rewrite_path: /status/, upstream: 'http://127.0.0.1:8080'}, {path: /a/, rewrite_path: /, upstream: 'http://127.0.0.1:8080'}]"},
		{"changed headers where we answer", "routes: [{upstream: 'static:204', headers: {response: {set: {X-Robots-Tag: noindex}}}}]"},
		{"a template with a colon and no account beside it", connection + "jit: {enabled: false}, user: 'x:{subject}'}]\nlocal: {enabled: false}"},
		{"headers off", "identity_headers: {user: '', email: '', groups: '', preferred_username: '', attributes: ''}"},
		{"headers of their own", "identity_headers: {user: Remote-User, email: Remote-Email, groups: Remote-Groups, attributes: Remote-Attr-}"},
		{"single headers, none", "identity_headers: {attributes: {}}"},
		{"any port", "server: {listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0'}"},
		{"recovery codes alone, and none asked", "mfa: {enforce: OFF, methods: [recovery_code]}"},
		{"no factor and none asked", "mfa: {enforce: OFF, methods: []}"},
		{"one attribute at two connections", "connections: [{id: a, issuer: 'https://a.example', client_id: x, client_secret: s, attributes: {dept: d}}, {id: b, issuer: 'https://b.example', client_id: x, client_secret: s, attributes: {dept: ou}}]"},
	} {
		t.Run(tt.name, func(t *testing.T) { load(t, "c.yaml", tt.in) })
	}
}

// What is meant as it is written needs no warning.
func TestNoWarning(t *testing.T) {
	connection := "connections: [{id: a, issuer: 'https://id.example', client_id: x, client_secret: s, "
	rule := "\nroutes: [{upstream: 'http://127.0.0.1:8080', access: {groups: [staff]}}]"
	for _, tt := range []struct{ name, in string }{
		{"nothing", ""},
		{"one connection", connection + "}]"},
		{"codes by mail alone, no reset, and nobody owes a factor", "mail: {address: 'mail.example:587', from: gate@acme.example}\nmfa: {methods: [email_code], enforce: off}\nlocal: {password: {reset: false}}"},
		{"provisioning as it is by itself", "jit_provisioning: {attribute_sources: {}, protected_attributes: [], protected_groups: [], quarantine: 0, inactive: {}}"},
		{"nobody is exempt from no rule", "jit_provisioning: {inactive: {exempt_groups: []}}"},
		{"unused accounts", "jit_provisioning: {quarantine: 30d, inactive: {disable_after: 90d, delete_after: 180d}}"},
		{"a protected group that no connection could supply", connection + "}]\njit_provisioning: {protected_groups: [staff]}" + rule},
		{"an attribute that only another name protects", connection + "attributes: {level: level}}]\njit_provisioning: {protected_attributes: [name, grade]}"},
		{"a group of the file's own", connection + "attributes: {groups: {constant: staff}}}]" + rule},
		{"a group under another name", connection + "group_mapping: {staff: people}}]" + rule},
		{"mapped and allowed", connection + "group_mapping: {eu: [staff, europe], staff: staff}, groups_allowed: [staff, europe, other]}]" + rule},
		{"sources", connection + "attributes: {level: {from: l, mode: preserve}}}]\njit_provisioning: {attribute_sources: {level: [local, a], email: a}}"},
		{"session only without accounts", connection + "attributes: {level: {from: l, mode: session_only}}, jit: {enabled: false}}]\njit_provisioning: {attribute_sources: {level: [local]}}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, warnings := load(t, "c.yaml", tt.in); len(warnings) > 0 {
				t.Errorf("got %v", warnings)
			}
		})
	}
}

// An empty mapping names single headers, of which there are none: no prefix
// may come back in its place.
func TestAttributeHeadersOff(t *testing.T) {
	c, _ := load(t, "c.yaml", "identity_headers: {attributes: {}}")
	if c.IdentityHeaders.Attributes != "" {
		t.Errorf("prefix %q", c.IdentityHeaders.Attributes)
	}
}

// Paths are found from wherever the command is called.
func TestRelativePaths(t *testing.T) {
	c, _ := load(t, filepath.Join("some", "where", "c.yaml"), "store: {embedded: {path: ../g.db}}")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(here, "some", "g.db"); c.Store.Embedded.Path != want {
		t.Errorf("got %s, want %s", c.Store.Embedded.Path, want)
	}
	if want := filepath.Join(here, "some", "where", "data", "gatehouse.sock"); c.Server.AdminSocket != want {
		t.Errorf("got %s, want %s", c.Server.AdminSocket, want)
	}
}
