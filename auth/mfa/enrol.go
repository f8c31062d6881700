package mfa

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image/png"
	"net/url"
	"strings"

	"github.com/pquerna/otp"

	"gatehouse/auth"
)

// qrSize is the width and height of the QR code, in pixels.
const qrSize = 240

// room is nil where another of a kind finds room beside those that there are.
func room(has []auth.Authenticator, most int) error {
	if len(has) >= most {
		return fmt.Errorf("enrol one more: %w: there are %d", auth.ErrNotFound, len(has))
	}
	return nil
}

// Offer makes the secret of a new enrolment. Nothing is stored: until Confirm
// it exists only with the caller. Errors: those of Enrollable.
func (t *TOTP) Offer(ctx context.Context, c auth.Claimant) (auth.Enrolment, error) {
	if err := t.Enrollable(ctx, c.Account); err != nil {
		return auth.Enrolment{}, err
	}
	secret := newSecret()
	return auth.Enrolment{Kind: auth.KindTOTP, Secret: secret, URL: keyURI(t.Issuer, c.Label, secret)}, nil
}

// keyURI is what authenticator apps read from a QR code
// (github.com/google/google-authenticator/wiki/Key-Uri-Format). Issuer and
// label are escaped fully: a colon in either would shift what the app takes
// for the issuer, and apps show a plus sign as a plus sign.
func keyURI(issuer, label, secret string) string {
	path := escape(label)
	query := "secret=" + secret
	if issuer != "" {
		path = escape(issuer) + ":" + path
		query += "&issuer=" + escape(issuer)
	}
	return fmt.Sprintf("otpauth://totp/%s?%s&algorithm=SHA1&digits=%d&period=%d", path, query, digits, period)
}

func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// QR draws a key URI as a QR code and returns it as a data: URL of a PNG.
func QR(uri string) (dataURL string, err error) {
	k, err := otp.NewKeyFromURL(uri)
	if err != nil {
		return "", fmt.Errorf("read key URI: %w", err)
	}
	img, err := k.Image(qrSize, qrSize)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		return "", fmt.Errorf("encode QR code: %w", err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(buf.Bytes()), nil
}
