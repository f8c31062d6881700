package signin

import (
	"crypto/subtle"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
)

// Suffixes of the cookies of a sign-in.
const (
	bindSuffix    = "bind_"   // and a random end: binds states to the browser
	factorSuffix  = "mfa"     // handle of a sign-in that owes a factor
	confirmSuffix = "confirm" // handle of a sign-in whose account must be proved
	passkeySuffix = "passkey" // handle of a sign-in that waits for a passkey
	deviceSuffix  = "device"  // a browser on which a local sign-in was finished
)

// maxBindings bounds how many of its bindings a browser may show.
const maxBindings = 32

// binding returns the cookie that ties a sign-in to this browser. One serves
// all sign-ins of a browser, in any number of tabs. Tabs that begin at the
// same moment, when a browser is opened again, have none yet: each gets one
// under a name of its own, or the last would undo the others.
func (f *Flow) binding(r *http.Request) cookie.Pair {
	prefix := f.Cookies.Step(bindSuffix)
	if present := cookie.IDs(r, prefix, 1); len(present) == 1 {
		return present[0]
	}
	return cookie.Pair{Name: prefix + cookie.NewID()[:8], Value: cookie.NewID()}
}

// bound reports whether the browser that asks is the one that began p. Else a
// stranger could finish his own sign-in in a victim's browser, or a victim's
// in his own.
func (f *Flow) bound(r *http.Request, p auth.Pending) bool {
	for _, c := range cookie.IDs(r, f.Cookies.Step(bindSuffix), maxBindings) {
		hash := f.Index.Hash("browser", c.Value)
		if p.Browser != "" && subtle.ConstantTimeCompare([]byte(hash), []byte(p.Browser)) == 1 {
			return true
		}
	}
	return false
}

// forget clears the cookies of unfinished sign-ins. The device stays known: it
// says nothing of who is signed in.
func (f *Flow) forget(w http.ResponseWriter, r *http.Request) {
	for _, c := range cookie.IDs(r, f.Cookies.Step(bindSuffix), maxBindings) {
		f.Cookies.ClearStep(w, c.Name)
	}
	f.drop(w, r, factorSuffix)
	f.drop(w, r, confirmSuffix)
	f.drop(w, r, passkeySuffix)
}

// drop clears the cookie of a step where the browser has one.
func (f *Flow) drop(w http.ResponseWriter, r *http.Request, suffix string) {
	if name := f.Cookies.Step(suffix); cookie.Count(r, name) > 0 {
		f.Cookies.ClearStep(w, name)
	}
}
