package auth

import "strings"

// Device is what a User-Agent says of itself, in words for people, such as
// "Firefox on Windows"; "" where it says nothing known. It is a help to
// remember by and proves nothing: whoever sends it chooses it.
func (c Client) Device() string {
	browser, system := "", ""
	// The first that is found counts: each of them also names those after it.
	for _, known := range [...][2]string{
		{"Edg/", "Edge"},
		{"EdgA/", "Edge"},
		{"EdgiOS/", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Vivaldi/", "Vivaldi"},
		{"FxiOS/", "Firefox"},
		{"Firefox/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
	} {
		if strings.Contains(c.Agent, known[0]) {
			browser = known[1]
			break
		}
	}
	for _, known := range [...][2]string{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"CrOS", "ChromeOS"},
		{"Windows", "Windows"},
		{"Macintosh", "macOS"},
		{"Linux", "Linux"},
		{"FreeBSD", "FreeBSD"},
		{"OpenBSD", "OpenBSD"},
	} {
		if strings.Contains(c.Agent, known[0]) {
			system = known[1]
			break
		}
	}
	switch {
	case browser == "":
		return system
	case system == "":
		return browser
	}
	return browser + " on " + system
}
