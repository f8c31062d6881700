package badidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"sync"
)

// b64 is base64url without padding.
func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// keypair signs with one algorithm.
type keypair struct {
	kid, alg string
	private  crypto.Signer
}

// RSA keys are slow to make; the tests of one program share them.
var (
	rsaKey      = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	strangerKey = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	shortKey    = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(1024) })
)

func newRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func newKeypair(kid, alg string) keypair {
	switch alg {
	case "ES256":
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return keypair{kid, alg, k}
	case "EdDSA":
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		return keypair{kid, alg, k}
	}
	return keypair{kid, alg, rsaKey()}
}

// jwk is the public key as a JSON Web Key.
func (k keypair) jwk() map[string]any {
	m := map[string]any{"kid": k.kid, "use": "sig", "alg": k.alg}
	switch pub := k.private.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 0x04, X, Y
		if err != nil {
			panic(err)
		}
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(pub)
	}
	return m
}

// sign makes a signed token. What header holds wins over what is usual.
func (k keypair) sign(header map[string]any, payload []byte) string {
	h := map[string]any{"alg": k.alg, "kid": k.kid, "typ": "JWT"}
	for name, v := range header {
		if h[name] = v; v == nil {
			delete(h, name)
		}
	}
	input := signingInput(h, payload)
	return input + "." + b64(k.signature(input))
}

func (k keypair) signature(input string) []byte {
	digest := sha256.Sum256([]byte(input))
	var sig []byte
	var err error
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		if k.alg == "PS256" {
			sig, err = rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
		}
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, private, digest[:])
		if err = signErr; err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(private, []byte(input))
	}
	if err != nil {
		panic(err)
	}
	return sig
}

// hs256 signs with a shared secret.
func hs256(secret []byte, kid string, payload []byte) string {
	input := signingInput(map[string]any{"alg": "HS256", "kid": kid, "typ": "JWT"}, payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

func signingInput(header map[string]any, payload []byte) string {
	h, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	return b64(h) + "." + b64(payload)
}

// halfHash is at_hash and c_hash (OpenID Connect Core 1.0, section 3.1.3.6).
func halfHash(alg, value string) string {
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(value))
		return b64(sum[:32])
	}
	sum := sha256.Sum256([]byte(value))
	return b64(sum[:16])
}

// cut breaks a token's signature.
func cut(token string) string {
	i := strings.LastIndexByte(token, '.') + 1
	flipped := byte('A')
	if token[i] == 'A' {
		flipped = 'B'
	}
	return token[:i] + string(flipped) + token[i+1:]
}
