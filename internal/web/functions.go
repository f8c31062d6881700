package web

import (
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gatehouse/auth"
)

// functions are what the templates call.
var functions = template.FuncMap{
	"fours":    fours,
	"monogram": monogram,
	"tone":     tone,
	"host":     host,
	"wait":     wait,
	"query":    query,
	"qr":       qr,
	"keyURI":   keyURI,
	"moment":   moment,
	"day":      day,
	"stamp":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"kindName": kindName, "eventName": eventName,

	"challengeOf": challengeOf,
	"enrolmentOf": enrolmentOf,
}

// fours splits a secret into groups of four, which people can type without
// losing their place.
func fours(secret string) []string {
	var groups []string
	for len(secret) > 4 {
		groups = append(groups, secret[:4])
		secret = secret[4:]
	}
	if secret != "" {
		groups = append(groups, secret)
	}
	return groups
}

// monogram is one or two letters that stand for a connection.
func monogram(name string) string {
	var letters []rune
	for word := range strings.FieldsSeq(name) {
		for _, r := range word {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				letters = append(letters, unicode.ToUpper(r))
				break
			}
		}
		if len(letters) == 2 {
			break
		}
	}
	return string(letters)
}

// tones is the number of monogram colours in the stylesheet.
const tones = 6

// tone gives the n-th button its colour.
func tone(n int) string { return "tone-" + strconv.Itoa(n%tones) }

// host is the host of an absolute return URL, shown so that a person sees
// where the sign-in leads; "" for one on this site. A path is not shown: who
// sends a link chooses it and could put a message there.
func host(returnTo string) string {
	u, err := url.Parse(returnTo)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// wait says how long to wait, in words.
func wait(d time.Duration) string {
	n, unit := int64((d+time.Second-1)/time.Second), "second"
	if n > 90 {
		n, unit = (n+59)/60, "minute"
	}
	if n > 90 && unit == "minute" {
		n, unit = (n+59)/60, "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.FormatInt(n, 10) + " " + unit
}

// TryAgainIn is a problem with the time after which to try again.
func TryAgainIn(d time.Duration, problem string) string {
	return problem + " Try again in " + wait(d) + "."
}

// query is "?rd=..." for a return URL, "" for none.
func query(returnTo string) string {
	if returnTo == "" {
		return ""
	}
	return "?" + url.Values{"rd": {returnTo}}.Encode()
}

// qr lets an image into an src attribute only where it is one: html/template
// rightly distrusts data: URLs, since data:text/html is a page.
func qr(image string) template.URL {
	const prefix = "data:image/png;base64,"
	data, ok := strings.CutPrefix(image, prefix)
	if !ok || strings.Trim(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") != "" {
		return ""
	}
	return template.URL(image)
}

// keyURI lets an otpauth key URI into an href attribute, and nothing else.
func keyURI(uri string) template.URL {
	if !strings.HasPrefix(uri, "otpauth://totp/") {
		return ""
	}
	return template.URL(uri)
}

// challengeOf says what another way of proving a factor is.
func challengeOf(method string) string {
	switch method {
	case auth.KindTOTP:
		return "A code from your authenticator app"
	case auth.KindPasskey:
		return "A passkey"
	case auth.KindEmailCode:
		return "A code by e-mail"
	case auth.KindRecovery:
		return "A recovery code"
	}
	return method
}

// enrolmentOf says what else can be set up.
func enrolmentOf(method string) string {
	switch method {
	case auth.KindTOTP:
		return "An authenticator app"
	case auth.KindEmailCode:
		return "Codes by e-mail"
	}
	return challengeOf(method)
}
