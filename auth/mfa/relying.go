package mfa

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// RelyingParty is as what browsers know this Gatehouse when passkeys are made
// and used (WebAuthn Level 3, section 5.1.2): its domain, and the only origin
// whose answers count. The zero value stands for one where passkeys do not work.
type RelyingParty struct {
	Domain string // RP ID
	Origin string // scheme, host and port
	Name   string // as authenticators show it
}

// RelyingPartyOf reads it from public_url. It is the zero value where browsers
// have no passkeys: at IP addresses, and at http:// but for localhost.
func RelyingPartyOf(publicURL, name string) RelyingParty {
	u, err := url.Parse(publicURL)
	if err != nil {
		return RelyingParty{}
	}
	host := strings.ToLower(u.Hostname())
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	_, notIP := netip.ParseAddr(host)
	if notIP == nil || u.Scheme != "https" && (u.Scheme != "http" || !local) || protocol.ValidateRPID(host) != nil {
		return RelyingParty{}
	}
	origin := u.Scheme + "://" + host
	if port := u.Port(); port != "" && port != map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		origin = u.Scheme + "://" + net.JoinHostPort(host, port)
	}
	return RelyingParty{Domain: host, Origin: origin, Name: name}
}

// Works tells whether there can be passkeys.
func (rp RelyingParty) Works() bool { return rp.Domain != "" }

// webauthn is the relying party as the library takes it. Frames of other
// origins are not allowed, and attestation is not asked for: which make of
// authenticator people have is not our business.
func (rp RelyingParty) webauthn() (*webauthn.WebAuthn, error) {
	timeout := webauthn.TimeoutConfig{Timeout: ceremonyLife, TimeoutUVD: ceremonyLife}
	return webauthn.New(&webauthn.Config{
		RPID: rp.Domain, RPDisplayName: rp.Name, RPOrigins: []string{rp.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationPreferred,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
	})
}
