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
	MFA             MFA
	IdentityHeaders IdentityHeaders
	Routes          []Route // first the host, then the longest path decides; not the order
	APIPaths        []string
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
	User         string    // template with {connection}, {subject}, {email}, {username}; never empty
	Groups       *[]string // groups_allowed; nil: all
	Attributes   []Attribute
	JIT          JIT
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

// Attribute maps a claim to an attribute. Path is the claim's path: dots
// descend.
type Attribute struct{ Name, Path string }

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

// JITProvisioning is what holds for all connections that leave it unset.
type JITProvisioning struct{ PreserveLocallyAddedClaims bool }

// Local is sign-in with a password that Gatehouse keeps.
type Local struct {
	Enabled  bool
	Password Password
}

// Password is the policy for new passwords.
type Password struct{ MinLength int } // characters

// Values of MFA.Enforce.
const (
	EnforceLocal = "local"
	EnforceAll   = "all"
	EnforceOff   = "off"
)

// MethodTOTP is a time-based one-time password (RFC 6238).
const MethodTOTP = "totp"

// MFA says who owes a second factor, and which.
type MFA struct {
	Enforce string
	Methods []string
	TOTP    TOTP
}

// TOTP is how the factor names itself in an authenticator app.
type TOTP struct{ Issuer string }

// IdentityHeaders are the names of the headers that tell the application who
// it is; an empty name switches that header off.
type IdentityHeaders struct {
	User, Email, Groups, PreferredUsername string
	// Attributes is the prefix of attribute headers; empty when AttributeNames
	// names single headers instead.
	Attributes     string
	AttributeNames map[string]string // attribute name: header name
}

// Route is a rule of the proxy.
type Route struct {
	Line        int // in the file
	Path        string
	Host        string   // lower case, without port, trailing dot and brackets; empty: any
	Methods     []string // empty: any
	Upstream    string   // http, https, h2c URL; unix:///absolute path; static:status; file:absolute directory
	Access      Access
	StripPrefix bool
	HostHeader  string        // pass | upstream
	Timeout     time.Duration // until response headers
}

// Values of Route.HostHeader.
const (
	HostPass     = "pass"
	HostUpstream = "upstream"
)

// Access is a rule over persons. Public admits everybody; otherwise a session
// is needed and every key that is set must hold, any entry of a list being
// enough. The zero Access is "authenticated".
type Access struct {
	Public       bool
	Groups       []string
	Users        []string
	Emails       []string
	EmailDomains []string
	Connections  []string
	Local        *bool
	AMR          []string
	All          []Access
	Any          []Access
	Not          *Access
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

// Attribute returns the claim path that an attribute is mapped from, empty
// when it is not mapped.
func (c *Connection) Attribute(name string) string {
	for _, a := range c.Attributes {
		if a.Name == name {
			return a.Path
		}
	}
	return ""
}
