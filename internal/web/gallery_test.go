package web_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pquerna/otp"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

const prefix = "/oauth2"

// exhibit is one page in one state.
type exhibit struct {
	name string
	show func(*web.Pages, http.ResponseWriter, *http.Request)
}

// gallery returns every page in the states that people meet.
func gallery(t testing.TB) []exhibit {
	two := []web.Choice{
		{Name: "Acme SSO", URL: "/oauth2/start?connection=acme&rd=%2F"},
		{Name: "Partner", URL: "/oauth2/start?connection=partner&rd=%2F"},
	}
	enrol := web.Enrol{
		Method:  "totp",
		Account: "employee",
		Secret:  keySecret,
		URL:     keyURL,
		QR:      qrImage(t),
	}
	enrolAgain := enrol
	enrolAgain.Problem = "That code did not match. Check that your phone sets its clock by itself, then type the code that the app shows now."
	enrolCodes := enrol
	enrolCodes.Codes, enrolCodes.Others = recoveryCodes(), []string{"passkey", "email_code"}
	factor := func(d web.Factor) func(*web.Pages, http.ResponseWriter, *http.Request) {
		d.Account = "employee"
		return func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Factor(w, r, 200, d) }
	}
	enrolment := func(d web.Enrol) func(*web.Pages, http.ResponseWriter, *http.Request) {
		d.Account = "employee"
		return func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Enrol(w, r, 200, d) }
	}
	signIn := func(status int, d web.SignIn) func(*web.Pages, http.ResponseWriter, *http.Request) {
		return func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.SignIn(w, r, status, d) }
	}
	proofs := []web.Proof{{Name: "Partner", Connection: "partner"}}
	confirm := func(status int, d web.Confirm) func(*web.Pages, http.ResponseWriter, *http.Request) {
		return func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Confirm(w, r, status, d) }
	}
	fails := func(err error) func(*web.Pages, http.ResponseWriter, *http.Request) {
		return func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Error(w, r, err) }
	}
	account := func(d web.Account) func(*web.Pages, http.ResponseWriter, *http.Request) {
		return func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Account(w, r, 200, d) }
	}
	addFactor := func(status int, d web.AddFactor) func(*web.Pages, http.ResponseWriter, *http.Request) {
		return func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.AddFactor(w, r, status, d) }
	}
	refused := ownAccount()
	refused.Problem, refused.Factors, refused.CodesLeft = "That is the last way in to your account, so it was kept.", nil, 0
	return []exhibit{
		{"sign_in", signIn(200, web.SignIn{Connections: two, Local: true, ReturnTo: "/reports"})},
		{"sign_in_elsewhere", signIn(200, web.SignIn{Connections: two, Local: true, ReturnTo: "https://wiki.acme.example/x"})},
		{"sign_in_wrong", signIn(401, web.SignIn{Connections: two, Local: true, ReturnTo: "/reports", Username: "employee", Problem: "The username or the password is not right."})},
		{"sign_in_wait", signIn(429, web.SignIn{Local: true, Username: "employee", Problem: "Too many attempts.", RetryAfter: 90500 * time.Millisecond})},
		{"sign_in_local", signIn(200, web.SignIn{Local: true, ReturnTo: "/"})},
		{"sign_in_connections", signIn(200, web.SignIn{Connections: append(two[:2:2],
			web.Choice{Name: "GitHub", URL: "/oauth2/start?connection=github"},
			web.Choice{Name: "Élan vital de la Fédération des Transports", URL: "/oauth2/start?connection=elan"},
			web.Choice{Name: "株式会社", URL: "/oauth2/start?connection=kk"},
			web.Choice{Name: "Contractors", URL: "/oauth2/start?connection=c"},
			web.Choice{Name: "9 Lives", URL: "/oauth2/start?connection=nine"})})},
		{"sign_in_none", signIn(200, web.SignIn{})},
		{"sign_in_reset", signIn(200, web.SignIn{Local: true, Reset: true, Note: "Your password is set. Sign in with it now."})},
		{"sign_in_all", signIn(200, web.SignIn{Connections: two, Local: true, Passkey: true, Reset: true, ReturnTo: "/reports"})},
		{"entry_passkey", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Passkey(w, r, 200, web.Passkey{Options: `{"challenge":"AAAA"}`, SignIn: "/oauth2/sign_in?rd=%2Freports"})
		}},
		{"entry_refused_passkey", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Passkey(w, r, 401, web.Passkey{Options: `{"challenge":"AAAA"}`, SignIn: "/oauth2/sign_in", Problem: "That passkey does not sign you in here. Try again, or use another way."})
		}},
		{"prove", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Prove(w, r, 200, web.Prove{Username: "employee", ReturnTo: "/oauth2/account"})
		}},
		{"prove_wait", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Prove(w, r, 429, web.Prove{Username: "employee", ReturnTo: "/oauth2/account", Problem: "There were too many attempts.", RetryAfter: 3 * time.Minute})
		}},
		{"reset", func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Reset(w, r, web.Reset{}) }},
		{"reset_sent", func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Reset(w, r, web.Reset{Sent: true}) }},
		{"password_first", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.ChoosePassword(w, r, 200, web.ChoosePassword{Token: "x", Username: "employee", First: true})
		}},
		{"password_weak", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.ChoosePassword(w, r, 422, web.ChoosePassword{Token: "x", Username: "employee", Problem: "The password is too easy to guess."})
		}},
		{"error_link", fails(auth.ErrVoidLink)},
		{"confirm", confirm(200, web.Confirm{Through: "Acme SSO", Email: "employee@acme.example", Password: true, Connections: proofs})},
		{"confirm_password", confirm(200, web.Confirm{Through: "Acme SSO", Email: "employee@acme.example", Password: true})},
		{"confirm_connections", confirm(200, web.Confirm{Through: "Acme SSO", Email: "a.very.long.name.of.somebody.in.the.department.of.long.names@transports.acme.example", Connections: append(proofs[:1:1],
			web.Proof{Name: "Élan vital de la Fédération des Transports", Connection: "elan"})})},
		{"confirm_wrong", confirm(401, web.Confirm{Through: "Acme SSO", Email: "employee@acme.example", Password: true, Connections: proofs, Problem: "The password is not right."})},
		{"confirm_wait", confirm(429, web.Confirm{Through: "Acme SSO", Email: "employee@acme.example", Password: true, Problem: "There were too many attempts.", RetryAfter: 90500 * time.Millisecond})},
		{"factor", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Factor(w, r, 200, web.Factor{Method: "totp", Account: "employee"})
		}},
		{"factor_wrong", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Factor(w, r, 401, web.Factor{Method: "totp", Account: "employee", Problem: "That code did not match. Wait for the next one and try again."})
		}},
		{"factor_others", factor(web.Factor{Method: "totp", Asked: true, Others: []string{"passkey", "email_code", "recovery_code"}})},
		{"factor_passkey", factor(web.Factor{Method: "passkey", Asked: true, Options: `{"challenge":"AAAA"}`, Others: []string{"totp"}})},
		{"factor_email", factor(web.Factor{Method: "email_code", Asked: true, Hint: "e…@acme.example", Others: []string{"recovery_code"}})},
		{"factor_email_unsent", factor(web.Factor{Method: "email_code", Problem: "A code was mailed not long ago, and another cannot be sent yet. Try again in 25 seconds."})},
		{"factor_recovery", factor(web.Factor{Method: "recovery_code", Asked: true, Others: []string{"totp"}})},
		{"enrol_codes", func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Enrol(w, r, 200, enrolCodes) }},
		{"enrol_passkey", enrolment(web.Enrol{Method: "passkey", Options: `{"challenge":"AAAA"}`, Codes: recoveryCodes(), Others: []string{"totp", "email_code"}})},
		{"enrol_email", enrolment(web.Enrol{Method: "email_code", Hint: "e…@acme.example", Others: []string{"totp"}})},
		{"enrol_choice", enrolment(web.Enrol{Problem: "This cannot be used for your account now. Choose another way.", Others: []string{"totp", "email_code"}})},
		{"error_factor", fails(web.TryAt(&auth.Denied{Reason: auth.DeniedFactorLost, Connection: "local"}, "/oauth2/sign_in?rd=%2Freports", ""))},
		{"enrol", func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Enrol(w, r, 200, enrol) }},
		{"enrol_wrong", func(p *web.Pages, w http.ResponseWriter, r *http.Request) { p.Enrol(w, r, 401, enrolAgain) }},
		{"sign_out", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.ConfirmSignOut(w, r, web.SignOut{ReturnTo: "/reports"})
		}},
		{"signed_out", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignedOut(w, r)
		}},
		{"go_on", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.GoOn(w, r, "/reports")
		}},
		{"account", account(ownAccount())},
		{"account_refused", account(refused)},
		{"account_pass_through", account(web.Account{User: "partner:4711", Through: "Partner", PassThrough: true, Headers: []web.Header{
			{Name: "X-Forwarded-User", Value: "partner:4711"}, {Name: "X-Forwarded-Email"}, {Name: "X-Forwarded-Groups", Value: "visitors,suppliers"},
		}})},
		{"account_factor_passkey", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.AddFactor(w, r, 200, web.AddFactor{Kind: "passkey", Account: "employee", Options: `{"challenge":"AAAA"}`})
		}},
		{"account_factor_refused_passkey", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.AddFactor(w, r, 401, web.AddFactor{Kind: "passkey", Account: "employee", Options: `{"challenge":"AAAA"}`, Problem: "That passkey could not be added. Try again, or use another device."})
		}},
		{"account_password", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.NewPassword(w, r, 200, web.NewPassword{Account: "employee"})
		}},
		{"account_password_refused", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.NewPassword(w, r, 422, web.NewPassword{Account: "employee", Problem: "It is too short: use at least 12 characters."})
		}},
		{"account_factor_totp", addFactor(200, web.AddFactor{Kind: "totp", Account: "employee", Secret: keySecret, URL: keyURL, QR: qrImage(t)})},
		{"account_factor_email", addFactor(401, web.AddFactor{Kind: "email_code", Account: "employee", Hint: "e…@acme.example", Problem: "That code did not match."})},
		{"account_codes", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Codes(w, r, web.Codes{Account: "employee", Codes: []string{
				"7k3m-q9xd-0a2v", "h8wz-55tn-c1je", "2gq4-rm8y-k6bs", "p0xv-3dfa-9whn", "e5tc-zj71-q2mg",
				"44ns-v8kp-yd0r", "a9hw-6bxe-3tqf", "m2dz-k7gj-s5c8", "yx1n-0pwa-r4he", "t6qv-9mbk-d3zs",
			}})
		}},
		{"error_store", fails(auth.ErrStoreDown)},
		{"error_throttled", fails(&auth.Throttled{RetryAfter: 15 * time.Minute})},
		{"error_state", fails(web.TryAt(auth.ErrInvalidState, "/oauth2/sign_in?rd=%2Freports", ""))},
		{"error_provider", fails(web.TryAt(auth.ErrProviderDown, "/oauth2/sign_in?rd=%2Freports", "/oauth2/start?connection=acme&rd=%2Freports"))},
		{"step_up_refused", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.StepUp(w, r, web.StepUp{
				Refused: &auth.Forbidden{Missing: []auth.Requirement{{Kind: auth.RequireAMR, Values: []string{auth.MethodMFA}}}, Contact: "the service desk"},
				Text:    "You signed in by Acme, which was asked for more and has not vouched for it.",
				Try:     "Try again", TryURL: "/oauth2/start?connection=acme&rd=%2Fpay", ReturnTo: "/pay",
			})
		}},
		{"prove_step_up", func(p *web.Pages, w http.ResponseWriter, r *http.Request) {
			p.Prove(w, r, 200, web.Prove{Username: "employee", ReturnTo: "/pay", StepUp: true})
		}},
		{"error_forbidden", fails(auth.ErrForbidden)},
		{"error_forbidden_why", fails(&auth.Forbidden{Route: "/admin/", Contact: "the service desk, desk@acme.example", Missing: []auth.Requirement{
			{Kind: auth.RequireGroups, Values: []string{"admins", "operators"}}, {Kind: auth.RequireAMR, Values: []string{auth.MethodMFA}},
		}})},
		{"error_disabled", fails(&auth.Denied{Reason: auth.DeniedDisabled, Connection: "acme", Detail: "account 4711 is disabled"})},
		{"error_unconfirmable", fails(web.TryAt(&auth.Denied{Reason: auth.DeniedUnconfirmable, Connection: "acme", Decision: "01jd3q6zk4x8"}, "/oauth2/sign_in?rd=%2Freports", ""))},
		{"error_not_a_proof", fails(web.TryAt(&auth.Denied{Reason: auth.DeniedProof, Connection: "partner", Decision: "01jd3q6zk4x8"}, "/oauth2/confirm", ""))},
		{"error_overtaken", fails(web.TryAt(auth.ErrOvertaken, "/oauth2/sign_in?rd=%2Freports", ""))},
		{"error_not_found", fails(auth.ErrNotFound)},
		{"error_upstream", fails(auth.ErrUpstreamDown)},
		{"error_unknown", fails(errors.New("dial tcp 10.0.0.7:6379: secret detail"))},
	}
}

// ownAccount is the page of somebody who has some of everything.
func ownAccount() web.Account {
	at := func(d int) time.Time { return time.Date(2026, 11, d, 9, 5, 0, 0, time.UTC) }
	return web.Account{
		User: "employee", Created: at(1),
		Known: []web.Known{
			{Name: "Username", Values: []string{"employee"}, Source: "Acme SSO", Time: at(1), Note: "only an administrator can change it"},
			{Name: "E-mail", Values: []string{"employee@acme.example"}, Time: at(1), Note: "verified"},
			{Name: "Name", Values: []string{"Emma Ployee"}, Source: "Acme SSO", Time: at(3)},
			{Name: "Group", Values: []string{"the-department-of-extraordinarily-long-group-names-without-a-space"}, Source: "Acme SSO", Time: at(3)},
		},
		Headers:  []web.Header{{Name: "X-Forwarded-User", Value: "employee"}, {Name: "X-Forwarded-Attr-Department", Value: "research"}, {Name: "X-Forwarded-Preferred-Username"}},
		Password: true, Changed: at(2),
		Factors: []auth.Authenticator{
			{ID: "1", Kind: "totp", Name: "My phone", Since: at(2), Used: at(20)},
			{ID: "2", Kind: "passkey", Name: "Laptop", Since: at(4)},
			{ID: "3", Kind: "email_code", Name: "e…@acme.example", Since: at(5), Barred: true},
		},
		Addable: []string{"totp", "passkey"}, Barred: true, Codes: true, CodesLeft: 2,
		Links:    []web.Linked{{Name: "Acme SSO", Here: true, LinkedIdentity: auth.LinkedIdentity{Connection: "acme", Issuer: "https://id.acme.example", Subject: "248289761001", Time: at(3)}}},
		Linkable: []web.Proof{{Name: "Acme SSO", Connection: "acme"}, {Name: "Élan vital de la Fédération des Transports", Connection: "elan"}},
		Sessions: []web.Open{
			{ID: "aa", Device: "Firefox on Windows", Address: "192.0.2.7", Started: at(26), Seen: at(27), Here: true},
			{ID: "bb", Address: "2001:db8:85a3::8a2e:370:7334", Through: "Acme SSO", Started: at(25), Seen: at(25)},
		},
		Activity: []auth.Activity{
			{Time: at(20), Event: string(auth.EventFactorEnrolled), Detail: "totp"},
			{Time: at(3), Event: "linked", By: "Acme SSO"},
			{Time: at(1), Event: "created", By: "an administrator"},
		},
	}
}

func recoveryCodes() []string {
	var codes []string
	for i := range 10 {
		codes = append(codes, fmt.Sprintf("%04d-k7mq-x2wd", i*1111))
	}
	return codes
}

// request is a person's navigation.
func request(method, target string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	return r.WithContext(web.WithRequestID(r.Context(), "0f4c2a9be81d7730"))
}

const (
	keySecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	keyURL    = "otpauth://totp/Gatehouse:employee?secret=" + keySecret + "&issuer=Gatehouse"
)

// qrImage is the key URI as the enrolment step hands it over.
func qrImage(t testing.TB) string {
	key, err := otp.NewKeyFromURL(keyURL)
	if err != nil {
		t.Fatal(err)
	}
	img, err := key.Image(200, 200)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, twoTone(img)); err != nil {
		t.Fatal(err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(out.Bytes())
}

func twoTone(img image.Image) image.Image {
	p := image.NewPaletted(img.Bounds(), color.Palette{color.White, color.Black})
	for y := range p.Rect.Dy() {
		for x := range p.Rect.Dx() {
			p.Set(x, y, img.At(x, y))
		}
	}
	return p
}
