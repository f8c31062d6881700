package mfa

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"gatehouse/auth"
)

// device is an authenticator and the browser before it, in software. It makes
// one discoverable passkey. Its fields are what a test turns.
type device struct {
	origin   string
	domain   string
	cross    bool // asked from within a frame of another site
	verifies bool // the person, by PIN or body
	absent   bool // nobody touched it
	backed   bool // its passkeys are on several devices
	counter  uint32
	handle   []byte // the user handle; what it answers with instead of the one it was given
	kind     string // of its client data, instead of the right one

	id  []byte
	key *ecdsa.PrivateKey
}

func newDevice(t testing.TB) *device {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	rand.Read(id)
	return &device{origin: "https://gate.example", domain: "gate.example", verifies: true, counter: 1, id: id, key: key}
}

// asked is what a page's script reads of the options.
type askedOptions struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"user"`
	Selection struct {
		ResidentKey        string `json:"residentKey"`
		RequireResidentKey bool   `json:"requireResidentKey"`
		UserVerification   string `json:"userVerification"`
	} `json:"authenticatorSelection"`
	UserVerification string       `json:"userVerification"`
	Attestation      string       `json:"attestation"`
	Exclude          []descriptor `json:"excludeCredentials"`
	Allow            []descriptor `json:"allowCredentials"`
}

type descriptor struct {
	ID string `json:"id"`
}

func optionsOf(t testing.TB, raw json.RawMessage) (o askedOptions) {
	t.Helper()
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func (d *device) create(t testing.TB, e auth.Enrolment) (answer string) {
	t.Helper()
	o := optionsOf(t, e.Options)
	if d.handle == nil {
		handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
		if err != nil {
			t.Fatal(err)
		}
		d.handle = handle
	}
	x, y := make([]byte, 32), make([]byte, 32)
	d.key.X.FillBytes(x)
	d.key.Y.FillBytes(y)
	cose := cborMap(cborInt(1), cborInt(2), cborInt(3), cborInt(-7), cborInt(-1), cborInt(1), cborInt(-2), cborBytes(x), cborInt(-3), cborBytes(y))
	data := d.data(0x40)
	data = append(data, make([]byte, 16)...) // AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(d.id)))
	data = append(append(data, d.id...), cose...)
	return d.credential(t, map[string]any{
		"clientDataJSON":    b64(d.client(t, "webauthn.create", o.Challenge)),
		"attestationObject": b64(cborMap(cborText("fmt"), cborText("none"), cborText("attStmt"), cborMap(), cborText("authData"), cborBytes(data))),
		"transports":        []string{"internal"},
	})
}

// get answers a challenge; each answer moves the counter.
func (d *device) get(t testing.TB, c auth.Challenge) (answer string) {
	t.Helper()
	client := d.client(t, "webauthn.get", optionsOf(t, c.Options).Challenge)
	d.counter++
	data := d.data(0)
	hash := sha256.Sum256(client)
	signed := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, signed[:])
	if err != nil {
		t.Fatal(err)
	}
	return d.credential(t, map[string]any{
		"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(d.handle),
	})
}

func (d *device) client(t testing.TB, kind, challenge string) []byte {
	t.Helper()
	if d.kind != "" {
		kind = d.kind
	}
	raw, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": d.origin, "crossOrigin": d.cross})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// data is the authenticator data (WebAuthn Level 3, section 6.1).
func (d *device) data(flags byte) []byte {
	if !d.absent {
		flags |= 0x01
	}
	if d.verifies {
		flags |= 0x04
	}
	if d.backed {
		flags |= 0x18
	}
	hash := sha256.Sum256([]byte(d.domain))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), d.counter)
}

func (d *device) credential(t testing.TB, response map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{
		"id": b64(d.id), "rawId": b64(d.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// The little of CBOR (RFC 8949, section 3) that an attestation needs.

func cborHead(major byte, n int) []byte {
	if n < 24 {
		return []byte{major<<5 | byte(n)}
	}
	return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
}

func cborInt(n int) []byte {
	if n < 0 {
		return cborHead(1, -1-n)
	}
	return cborHead(0, n)
}

func cborBytes(b []byte) []byte { return append(cborHead(2, len(b)), b...) }
func cborText(s string) []byte  { return append(cborHead(3, len(s)), s...) }

func cborMap(pairs ...[]byte) []byte {
	out := cborHead(5, len(pairs)/2)
	for _, p := range pairs {
		out = append(out, p...)
	}
	return out
}
