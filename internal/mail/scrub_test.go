package mail

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Attack: what a server says of a mail that it refused, on its way into a log.
// However it quotes the mail, nothing that lets people in is told.
func FuzzScrub(f *testing.F) {
	for _, s := range [][2]string{
		{"550 5.1.1 <", ">: recipient rejected"},
		{"554 rejected:\r\n ", "\r\n"},
		{"\u200b", ""},
		{"\x00", "\xff"},
		{strings.Repeat("x", longest-3), ""},
	} {
		f.Add(s[0], s[1])
	}
	token := strings.Repeat("s3cr3t-", 6)
	m := message{To: "ann@acme.example", Code: "31415926", URL: "https://gate.example/oauth2/password?token=" + token}
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, secret := range []string{m.To, m.Code, m.URL, token} {
			half := len(secret) / 2
			for _, said := range []string{before + secret + after, before + strings.ToUpper(secret) + after, secret[:half] + before + secret[half:] + after} {
				got := scrub(said, m)
				for i := 0; i+len(secret) <= len(got); i++ {
					if strings.EqualFold(got[i:i+len(secret)], secret) {
						t.Errorf("%q tells %s: %q", said, secret, got)
					}
				}
				if !utf8.ValidString(got) || utf8.RuneCountInString(got) > longest+1 || strings.ContainsFunc(got, unicode.IsControl) {
					t.Errorf("%q is no line of a log: %q", said, got)
				}
			}
		}
	})
}
