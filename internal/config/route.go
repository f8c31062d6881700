package config

import "time"

// Route is a rule of the proxy.
type Route struct {
	Line        int // in the file
	Path        string
	Host        string   // lower case, without port, trailing dot and brackets; empty: any
	Methods     []string // empty: any
	Upstream    string   // http, https, h2c URL; unix:///absolute path; static:status; file:absolute directory
	Access      Access
	StripPrefix bool
	// RewritePath stands in place of Path in what is forwarded, written as Path
	// is; "": the path is forwarded as it was sent. Never with StripPrefix.
	RewritePath string
	HostHeader  string // pass | upstream
	UpstreamTLS UpstreamTLS
	Headers     RouteHeaders
	// ConnectTimeout is until the upstream has taken a new connection, its TLS
	// included; no longer than Timeout.
	ConnectTimeout time.Duration
	// Timeout is until response headers, connecting included. It stands still
	// while the client is awaited, and begins anew with each further part of a
	// request's body that the upstream takes.
	Timeout time.Duration
	// IdleTimeout is how long no byte may pass either way; 0: for ever.
	IdleTimeout time.Duration
	Contact     string   // whom to ask who is refused; "": the people who run the application
	PublicFrom  []string // CIDRs, masked and not IPv4-mapped: who comes from there needs no session; nil: nobody
}

// UpstreamTLS is how an https upstream is verified, and what Gatehouse shows
// it. Files are absolute paths of PEM.
type UpstreamTLS struct {
	CAFile             string // whom to believe in place of the system's authorities
	CertFile, KeyFile  string // shown to an upstream that asks for a certificate
	ServerName         string // whose certificate it must be, and SNI; "": the host of the upstream
	InsecureSkipVerify bool   // whoever answers is believed
}

// RouteHeaders is what a route changes in requests for its upstream, and in
// the answers of it.
type RouteHeaders struct{ Request, Response HeaderChanges }

// HeaderChanges names headers in any letter case. Values may be secrets.
type HeaderChanges struct {
	Set    map[string]Secret // in place of what is there
	Remove []string
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
	ACR          []string
	// ClientAddresses are CIDRs, masked and not IPv4-mapped.
	ClientAddresses []string
	All             []Access
	Any             []Access
	Not             *Access
}
