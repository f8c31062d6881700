// Package config is config.yaml as typed Go values. Load reads, expands and
// validates a file and reports every problem at once, each with its line.
// Nothing else in Gatehouse reads YAML, expands variables or knows a default.
package config

import "time"

// Config is a whole valid configuration: defaults are filled in, variables
// and secret files are read, relative paths are resolved against the
// directory of the file.
type Config struct {
	Server          Server
	Store           Store
	Secrets         Secrets
	Session         Session
	Connections     []Connection
	JITProvisioning JITProvisioning
	Local           Local
	Admin           Admin
	MFA             MFA
	Mail            Mail
	IdentityHeaders IdentityHeaders
	Routes          []Route // first the host, then the longest path decides; not the order
	APIPaths        []string
	Contact         string // of routes that have none of their own
	Log             Log
}

// Server is where Gatehouse listens and what browsers see.
type Server struct {
	Listen         string   // host:port, or unix:///path
	PublicURL      string   // an origin as browsers write it: lower case, no default port, no slash at the end
	Prefix         string   // begins with a slash, does not end with one
	TrustedProxies []string // CIDRs, masked and not IPv4-mapped, or "unix"
	TLS            TLSFiles
	AdminListen    string
	AdminListenSet bool   // the file names it: a taken port is then an error
	Pprof          bool   // profiles of the process, at AdminListen
	AdminSocket    string // a path
	AdminSocketSet bool
}

// TLSFiles names a certificate and its key, both PEM.
type TLSFiles struct{ CertFile, KeyFile string }

// Store says where state rests: Redis is nil for the embedded store.
type Store struct {
	Embedded Embedded
	Redis    *Redis
}

// Embedded is the store in a file of this host.
type Embedded struct{ Path string }

// Redis modes.
const (
	RedisStandalone = "standalone"
	RedisSentinel   = "sentinel"
	RedisCluster    = "cluster"
)

// Redis is a Redis deployment.
type Redis struct {
	Mode       string
	Addresses  []string // host:port, or unix:///path
	MasterName string   // sentinel
	Username   string
	Password   Secret
	DB         int
	TLS        RedisTLS
	KeyPrefix  string
	Timeout    time.Duration // of one operation
}

// RedisTLS is how Redis is reached over TLS.
type RedisTLS struct {
	Enabled                   bool
	CAFile, CertFile, KeyFile string
}

// Secrets are the keys that seal what rests in the store; the first seals,
// all open.
type Secrets struct{ Keys []Secret }

// Session is the life of a session and its cookie.
type Session struct {
	CookieName    string // without the __Host- prefix
	CookieDomain  string // lower case, without a leading dot
	SameSite      string // lax | strict | none
	IdleTimeout   time.Duration
	Lifetime      time.Duration
	CacheTTL      time.Duration
	ReturnDomains []string
}

// Values of Connection.TrustEmail.
const (
	TrustClaim  = "claim"
	TrustAlways = "always"
	TrustNever  = "never"
)

// DefaultUser is the pass-through user header of a connection that names none.
const DefaultUser = "{connection}:{subject}"

// Connection is one external identity provider.
type Connection struct {
	Line         int // in the file
	ID           string
	Name         string
	Type         string // oidc
	Issuer       string
	ClientID     string
	ClientSecret Secret
	InsecureHTTP bool // an http:// issuer that is not on loopback
	Scopes       []string
	EmailDomains []string // lower case
	Require      Require
	TrustEmail   string
	User         string              // template with {connection}, {subject}, {email}, {username}; never empty
	GroupMapping map[string][]string // name at the provider: names here; a name that is not in it stays as it is
	Groups       *[]string           // groups_allowed, after GroupMapping; nil: all
	Attributes   []Attribute
	JIT          JIT
	// ACRValues are the levels that are asked for where a route wants more proof,
	// and no level of its own (OpenID Connect Core 1.0, section 3.1.2.1).
	ACRValues []string
	Disabled  bool   // enabled: false. Nobody comes in by it, and its sessions end
	Tests     []Test // fixtures that check runs; no sign-in looks at them
}

// Require is the gate of a connection: all of it must hold.
type Require struct {
	Groups []string            // any of them
	Claims map[string][]string // claim path: any of the values
}

// The known attribute names.
const (
	AttrUsername = "username"
	AttrEmail    = "email"
	AttrName     = "name"
	AttrGroups   = "groups"
)

// Attribute says where the values of an attribute come from: claims of the
// answer, or the file itself.
type Attribute struct {
	Name     string
	From     []string // claim paths, dots descend; the first that the answer has counts
	Constant []string // the same values for everybody; then From is empty
	Mode     string   // Mode*; empty: as attribute_sync says
	OnAbsent string   // Absent*; empty: as Mode and attribute_sync say
}

// Values of Attribute.Mode: when a value of the provider is written.
const (
	ModeOverride    = "override"     // at every sign-in
	ModePreserve    = "preserve"     // unless the account has a value of another source
	ModeImportOnce  = "import_once"  // when the account is created
	ModeSessionOnly = "session_only" // never: it reaches the headers of that session, and no store of accounts
)

// Values of Attribute.OnAbsent: what becomes of an account's value that the
// provider does not send.
const (
	AbsentKeep         = "keep"
	AbsentDeleteIfMine = "delete_if_mine" // deleted where this connection wrote it
	AbsentDelete       = "delete"         // deleted, whoever wrote it
)

// Values of JIT.AttributeSync.
const (
	SyncOverrideAll   = "override_all"
	SyncPreserveLocal = "preserve_local"
	SyncNone          = "none"
)

// Values of JIT.GroupSync.
const (
	GroupsSync     = "sync"
	GroupsOverride = "override"
	GroupsMerge    = "merge"
	GroupsNone     = "none"
)

// Values of JIT.LinkExisting.
const (
	LinkAuto    = "auto"
	LinkAlways  = "always"
	LinkConfirm = "confirm"
	LinkDeny    = "deny"
)

// JIT is just-in-time provisioning of one connection.
type JIT struct {
	Enabled             bool
	Create              bool
	AttributeSync       string // never empty: an unset one is resolved by the global switch
	GroupSync           string
	LinkExisting        string
	LinkProtectedGroups []string
}

// JITProvisioning is what holds for all connections.
type JITProvisioning struct {
	PreserveLocallyAddedClaims bool // for those that leave attribute_sync unset

	// AttributeSources ranks the sources that may write an attribute, the
	// strongest first: connection ids, and "local" for administrators. A
	// connection that is not in the list of an attribute does not write it.
	AttributeSources map[string][]string

	// What no provider can supply, JIT on or off: only administrators assign it.
	ProtectedAttributes, ProtectedGroups []string

	// Quarantine bars others from the e-mail and the username of a deleted
	// account; 0: they are free at once.
	Quarantine time.Duration

	Inactive Inactive
}

// Inactive is what becomes of accounts that nobody uses.
type Inactive struct {
	DisableAfter time.Duration // since the last sign-in; 0: never
	DeleteAfter  time.Duration // 0: never
	ExemptGroups []string      // who is in one of them is left alone
}

// Test is a fixture: what claims would do, and what they should.
type Test struct {
	Line    int // in the file
	Name    string
	Claims  map[string]any // as JSON decodes them, numbers as json.Number
	Account *TestAccount   // that is there before; nil: none
	Expect  Expectation
}

// TestAccount is the account of a fixture.
type TestAccount struct {
	Username    string
	Email       string              // verified
	Groups      []string            // assigned locally
	Attributes  map[string][]string // added locally
	Linked      map[string]string   // connection id: subject
	HasPassword bool
	HasFactor   bool
	Disabled    bool
}

// Expectation is what a fixture should do; what is nil or empty is not looked
// at.
type Expectation struct {
	Verdict    string // created | updated | linked | unchanged | confirm | pass_through | denied
	Reason     string // of a denial, as auth.Reason
	Username   *string
	Email      *string
	Groups     *[]string
	Attributes map[string][]string // these, and no others
	Headers    map[string]string   // these at least, as they go over the wire; "": empty or not sent
}

// Local is sign-in with a password that Gatehouse keeps.
type Local struct {
	Enabled  bool
	Password Password
}

// Password is the policy for new passwords, and how they are chosen.
type Password struct {
	MinLength   int  // characters
	MinStrength int  // score of zxcvbn, 0 to 4; 0: not judged
	Reset       bool // people may have a link mailed by which they choose a new one
}

// Admin says who administers accounts over HTTP.
type Admin struct {
	Groups         []string // empty: nobody, and there is nothing to ask
	AllowFederated bool     // groups that a connection supplies count too
}

// Values of MFA.Enforce.
const (
	EnforceLocal = "local"
	EnforceAll   = "all"
	EnforceOff   = "off"
)

// Values of MFA.Methods.
const (
	MethodTOTP      = "totp"          // a time-based one-time password (RFC 6238)
	MethodPasskey   = "passkey"       // WebAuthn Level 3
	MethodEmailCode = "email_code"    // a code by mail
	MethodRecovery  = "recovery_code" // one of ten; with another factor only
)

// MFA says who owes a second factor, and which.
type MFA struct {
	Enforce string
	Methods []string // those that may be used and work here
	TOTP    TOTP
}

// TOTP is how the factor names itself in an authenticator app.
type TOTP struct{ Issuer string }

// Values of Mail.TLS.
const (
	MailStartTLS = "starttls" // TLS begins on the plain connection, and without it nothing is sent (RFC 3207)
	MailTLS      = "tls"      // from the first byte (RFC 8314, section 3.3)
	MailNone     = "none"
)

// Mail is the server that takes the mails to people.
type Mail struct {
	Address  string // host:port; empty: no mail is sent
	From     string // an address, with or without a name before it (RFC 5322, section 3.4)
	Username string
	Password Secret
	TLS      string
	CAFile   string // whom to believe in place of the system's authorities
	// InsecurePlaintext lets mails cross a network in clear.
	InsecurePlaintext bool
}

// IdentityHeaders are the names of the headers that tell the application who
// it is; an empty name switches that header off.
type IdentityHeaders struct {
	User, Email, Groups, PreferredUsername string
	// Attributes is the prefix of attribute headers; empty when AttributeNames
	// names single headers instead.
	Attributes     string
	AttributeNames map[string]string // attribute name: header name
}

// Log is how the server logs.
type Log struct {
	Level  string // debug | info | warn | error
	Format string // json | text
}

// Connection returns the connection with that id, or nil.
func (c *Config) Connection(id string) *Connection {
	for i := range c.Connections {
		if c.Connections[i].ID == id {
			return &c.Connections[i]
		}
	}
	return nil
}

// Attribute returns the mapping of an attribute, and whether there is one.
func (c *Connection) Attribute(name string) (Attribute, bool) {
	for _, a := range c.Attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

func (c *Connection) maps(name string) bool {
	_, mapped := c.Attribute(name)
	return mapped
}

// Policy says how an attribute is synchronised: by its own mode, or by what
// attribute_sync expands into. An attribute that is not mapped is never sent,
// so of its policy only onAbsent means anything.
func (c *Connection) Policy(name string) (mode, onAbsent string) {
	switch c.JIT.AttributeSync {
	case SyncPreserveLocal:
		mode, onAbsent = ModeOverride, AbsentDeleteIfMine
	case SyncNone:
		mode, onAbsent = ModeImportOnce, AbsentKeep
	default:
		mode, onAbsent = ModeOverride, AbsentDelete
	}
	a, _ := c.Attribute(name)
	switch a.Mode {
	case "":
	case ModeOverride:
		mode = a.Mode
	case ModeImportOnce:
		mode, onAbsent = a.Mode, AbsentKeep
	default: // preserve what others wrote; of session_only, remove what was stored before
		mode, onAbsent = a.Mode, AbsentDeleteIfMine
	}
	if a.OnAbsent != "" {
		onAbsent = a.OnAbsent
	}
	return mode, onAbsent
}
