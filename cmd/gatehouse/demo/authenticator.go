package demo

import (
	"net/http"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
)

// authenticatorPage stands in for the app on a phone.
type authenticatorPage struct {
	Secret  string
	Code    string
	Seconds int // for which the code is still shown by an app
	Problem string
}

// authenticator computes the code for a set-up key, for people who try the
// demonstration without a phone. The key is posted, so that it stands in no
// URL, and kept nowhere.
func (a *app) authenticator(w http.ResponseWriter, r *http.Request) {
	var data authenticatorPage
	status := http.StatusOK
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		data.Secret = strings.ToUpper(strings.Join(strings.Fields(r.PostFormValue("key")), ""))
		now := a.now()
		code, err := totp.GenerateCode(data.Secret, now)
		if err != nil || data.Secret == "" {
			data.Problem = "This is not a set-up key. Copy it from the page that sets up the authenticator app."
			status = http.StatusBadRequest
		} else {
			const step = 30 // seconds, RFC 6238
			data.Code, data.Seconds = code[:3]+" "+code[3:], step-int(now.Unix()%step)
		}
	}
	show(w, status, "authenticator", a.page("Authenticator", data))
}

func (a *app) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}
