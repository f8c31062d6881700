package oauth2proxy

import "testing"

// TestAddress: of a URL a comment shows the scheme and the host, and nothing
// where it is not sure which part that is. Attack: a password or token in it,
// also one that a URL should not have in that form.
func TestAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://id.acme.example":                        "https://id.acme.example",
		"https://id.acme.example/":                       "https://id.acme.example",
		"https://id.acme.example:8443/a?b=c":             "https://id.acme.example:8443/...",
		"https://id.acme.example?token=" + canary:        "https://id.acme.example/...",
		"https://id.acme.example#" + canary:              "https://id.acme.example/...",
		"https://id.acme.example=" + canary:              "https://id.acme.example/...",
		"https://ann:" + canary + "@[::1]:8080":          "https://[::1]:8080",
		"https://" + canary + "@id.acme.example/":        "https://id.acme.example",
		"https://ann:x/" + canary + "@id.acme.example/":  "...",
		"https://ann:x@" + canary + "/y@id.acme.example": "...",
		"https://ann:x=" + canary + "@id.acme.example":   "...",
		"https://ann:x@" + canary + "@id.acme.example":   "...",
		"https://ann:" + canary:                          "...",
		canary + " https://id.acme.example":              "...",
		"//ann:" + canary + "@id.acme.example/":          "...",
		"id.acme.example/?token=" + canary:               "...",
		"https://id.acme.example%2F" + canary + "/":      "...",
		"":                              "...",
		"-":                             "-",
		"/usr/share/logo.png":           "/usr/share/logo.png",
		"/usr/share/logo.png?" + canary: "...",
	} {
		if got := address(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
