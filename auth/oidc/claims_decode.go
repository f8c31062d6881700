package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"gatehouse/internal/strictjson"
)

// DecodeClaims decodes a JSON object, keeping numbers exactly as they were
// sent.
//
// It refuses what two readers could read differently, one of whom may guard
// the other: bytes that are not UTF-8, a name that stands twice in one object
// (RFC 7519, section 4), and anything after the object. It also refuses more
// than 10,000 levels. Errors do not quote.
func DecodeClaims(payload []byte) (map[string]any, error) {
	if !utf8.Valid(payload) {
		return nil, errors.New("not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil || claims == nil {
		return nil, errors.New("not a JSON object, or one of more than 10,000 levels")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON object")
	}
	if _, found := strictjson.Repeated(payload, strictjson.AsIs); found {
		return nil, errors.New("a name stands twice in one object")
	}
	return claims, nil
}
