package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/auditlog"
	"gatehouse/internal/strictjson"
	"gatehouse/internal/web"
)

// Sessions tells who a request comes from (*session.Sessions).
type Sessions interface {
	// Authenticate errors with auth.ErrUnauthenticated and auth.ErrStoreDown.
	Authenticate(r *http.Request) (*auth.Session, *auth.Person, error)
}

// Accounts shows accounts.
type Accounts interface {
	// Profile returns the account with that id, as it is now. Errors:
	// auth.ErrNotFound, auth.ErrStoreDown.
	Profile(ctx context.Context, account string) (auth.Profile, error)
}

// API is the administrators' JSON API.
type API struct {
	Prefix         string // of Gatehouse's own endpoints, such as /oauth2
	Origin         string // of public_url
	SignIn         string // URL of the page on which a person can sign in
	Groups         []string
	AllowFederated bool // groups that a provider gave count too
	Sessions       Sessions
	Accounts       Accounts
	// Proved reports whether the person of a session has lately shown that it is
	// them. Errors: auth.ErrStoreDown.
	Proved func(ctx context.Context, s *auth.Session) (bool, error)
	Pages  *web.Pages
	Log    *slog.Logger // nil: nothing is logged

	// Request returns what was decided about the request with an id, as JSON
	// encodes it; false where it is not remembered.
	Request func(id string) (any, bool)

	// Run executes a user command that an administrator gives. Errors, in words
	// for people: auth.ErrNotFound when there is no such account,
	// auth.ErrMalformed for what is no command, auth.ErrStoreDown, *Incomplete,
	// and any other for one that is refused.
	Run func(ctx context.Context, administrator string, args []string, stdout io.Writer) error
}

// Incomplete is an error beside an answer that is good and not whole.
type Incomplete struct{ Missing string }

func (i *Incomplete) Error() string { return i.Missing }

// maxBody bounds what is posted, in bytes.
const maxBody = 64 << 10

// actions are what can be done to an account, and how the fields of the posted
// object are written as flags of the command.
var actions = map[string]map[string]string{
	"disable":     {},
	"enable":      {},
	"unlock":      {},
	"require-mfa": {},
	"reset-mfa":   {"factor": "--factor"},
	"setup-link":  {"mail": "--mail"},
}

// opens are the actions that give somebody a way into an account, which want a
// proof that is not old, as on the account page: a session that was left open,
// or a provider's word, could else be made a way in of one's own.
var opens = map[string]bool{"reset-mfa": true, "setup-link": true}

// Mount puts the endpoints on mux. Errors: an origin that is none.
func (a *API) Mount(mux *http.ServeMux) error {
	origin := http.NewCrossOriginProtection()
	if err := origin.AddTrustedOrigin(a.Origin); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	accounts := a.Prefix + "/admin/api/accounts"
	of := accounts + "/{name}"
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, string) error{
		"GET " + accounts:          a.read("list"),
		"POST " + accounts:         a.add,
		"GET " + of:                a.read("show"),
		"GET " + of + "/history":   a.read("history"),
		"GET " + of + "/factors":   a.read("factors"),
		"POST " + of + "/{action}": a.act,

		"GET " + a.Prefix + "/admin/api/requests/{id}": a.request,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Referrer-Policy", "no-referrer")
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			administrator, err := a.administrator(r)
			if err == nil && r.Method == http.MethodPost {
				err = sameSite(origin, r)
			}
			if err == nil && r.Method == http.MethodPost && (r.PathValue("name") == "" || opens[r.PathValue("action")]) {
				err = a.proof(r)
			}
			if err == nil {
				err = serve(w, r, administrator)
			}
			if err != nil {
				a.refuse(w, r, err)
			}
		})
	}
	return nil
}

// sameSite refuses what another site could have posted. A form of it could not
// be JSON.
func sameSite(origin *http.CrossOriginProtection, r *http.Request) error {
	if err := origin.Check(r); err != nil {
		return fmt.Errorf("%w: %w", auth.ErrCrossSite, err)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return malformed("what is posted is not application/json, as its Content-Type should say")
	}
	return nil
}

// administrator returns the name of the administrator who asks. A group that a
// provider gave does not make one, unless the configuration says so: who
// manages groups there would rule here. Errors: auth.ErrUnauthenticated,
// auth.ErrForbidden, auth.ErrStoreDown.
func (a *API) administrator(r *http.Request) (string, error) {
	sess, person, err := a.Sessions.Authenticate(r)
	if err != nil {
		return "", err
	}
	names := func(group string) bool { return slices.Contains(a.Groups, group) }
	if a.AllowFederated && slices.ContainsFunc(person.Groups, names) {
		return person.User, nil
	}
	if sess.Account == "" {
		return "", auth.ErrForbidden
	}
	profile, err := a.Accounts.Profile(r.Context(), sess.Account)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(profile.Groups, func(g auth.Value) bool { return g.Source == auth.Local && slices.ContainsFunc(g.Values, names) }) {
		return "", auth.ErrForbidden
	}
	return profile.Username, nil
}

// proof errors unless the administrator has lately shown that it is them.
func (a *API) proof(r *http.Request) error {
	sess, _, err := a.Sessions.Authenticate(r)
	if err != nil {
		return err
	}
	proved, err := a.Proved(r.Context(), sess)
	if err != nil || proved {
		return err
	}
	return &refused{
		status: http.StatusForbidden, code: "proof_required",
		said: "show that it is you, at " + a.Origin + a.Prefix + "/prove, and try again within ten minutes",
	}
}

// read serves a command that changes nothing.
func (a *API) read(verb string) func(http.ResponseWriter, *http.Request, string) error {
	return func(w http.ResponseWriter, r *http.Request, administrator string) error {
		args := []string{verb, "--json"}
		if name := r.PathValue("name"); name != "" {
			args = append(args, "--", name)
		}
		return a.run(w, r, administrator, args)
	}
}

// request is GET admin/api/requests/{id}.
func (a *API) request(w http.ResponseWriter, r *http.Request, _ string) error {
	judged, found := a.Request(r.PathValue("id"))
	if !found {
		return &refused{status: http.StatusNotFound, code: "not_found", said: "this server remembers no request with that id"}
	}
	body, err := json.MarshalIndent(judged, "", "  ")
	if err != nil {
		return err
	}
	send(w, http.StatusOK, append(body, '\n'))
	return nil
}

// newAccount is what is posted to make an account.
type newAccount struct {
	Username      string                      `json:"username"`
	Email         string                      `json:"email"`
	Name          string                      `json:"name"`
	Groups        []string                    `json:"groups"`
	Attributes    map[string]strictjson.Texts `json:"attributes"`
	SetupLink     bool                        `json:"setup_link"`
	MailSetupLink bool                        `json:"mail_setup_link"`
}

func (a *API) add(w http.ResponseWriter, r *http.Request, administrator string) error {
	var n newAccount
	if err := decode(r, &n); err != nil {
		return err
	}
	args := []string{"add", "--json", "--email=" + n.Email, "--name=" + n.Name}
	for _, g := range n.Groups {
		args = append(args, "--group="+g)
	}
	for name, values := range n.Attributes {
		if strings.Contains(name, "=") {
			return malformed("no attribute has a = in its name")
		}
		for _, v := range values {
			args = append(args, "--attr="+name+"="+v)
		}
	}
	if n.SetupLink {
		args = append(args, "--setup-link")
	}
	if n.MailSetupLink {
		args = append(args, "--mail-setup-link")
	}
	return a.run(w, r, administrator, append(args, "--", n.Username))
}

func (a *API) act(w http.ResponseWriter, r *http.Request, administrator string) error {
	action := r.PathValue("action")
	flags, ok := actions[action]
	if !ok {
		return auth.ErrNotFound
	}
	var given map[string]any
	if err := decode(r, &given); err != nil {
		return err
	}
	args := []string{action, "--json"}
	for field, value := range given {
		flag, known := flags[field]
		if !known {
			return malformed("%s has no field %q", action, field)
		}
		switch value := value.(type) {
		case string:
			args = append(args, flag+"="+value)
		case bool:
			args = append(args, fmt.Sprintf("%s=%t", flag, value))
		default:
			return malformed("%s is neither a text nor true or false", field)
		}
	}
	return a.run(w, r, administrator, append(args, "--", r.PathValue("name")))
}

// decode reads one JSON object; an empty body is an empty one.
func decode(r *http.Request, into any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return malformed("what is posted is too long, or was cut off")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			return malformed("%s cannot be a %s", wrong.Field, wrong.Value)
		}
		return malformed("it is not a JSON object as this takes one: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return malformed("something follows the object")
	}
	if name, found := strictjson.Repeated(body, strings.ToLower); found {
		return malformed("%q stands there twice", name)
	}
	return nil
}

// malformed says what is wrong with what was posted.
func malformed(format string, args ...any) error {
	return &refused{status: http.StatusBadRequest, code: "malformed", said: fmt.Sprintf(format, args...)}
}

// run answers with what the command prints.
func (a *API) run(w http.ResponseWriter, r *http.Request, administrator string, args []string) error {
	var stdout bytes.Buffer
	err := a.Run(r.Context(), administrator, args, &stdout)
	if part, ok := errors.AsType[*Incomplete](err); ok {
		// What can be read is shown: one damaged record must not hide the others.
		w.Header().Set("X-Gatehouse-Incomplete", part.Missing)
		err = nil
	}
	switch {
	case err == nil:
		send(w, http.StatusOK, stdout.Bytes())
		return nil
	case errors.Is(err, auth.ErrStoreDown):
		return err
	case errors.Is(err, auth.ErrNotFound):
		return &refused{status: http.StatusNotFound, code: "not_found", said: err.Error()}
	case errors.Is(err, auth.ErrMalformed):
		return malformed("%s", strings.TrimPrefix(err.Error(), auth.ErrMalformed.Error()+": "))
	}
	return &refused{status: http.StatusUnprocessableEntity, code: "refused", said: err.Error()}
}

// refused is what a command says when it does not do what it is told.
type refused struct {
	status     int
	code, said string
}

func (r *refused) Error() string { return r.said }

// refuse answers with an error. What a command says is for administrators, and
// this is one.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var said *refused
	if !errors.As(err, &said) {
		auditlog.Write(r.Context(), a.Log, "administration refused", slog.String("reason", web.Code(err)), slog.Any("error", err),
			slog.String("request_id", web.RequestID(r.Context())))
		if errors.Is(err, auth.ErrUnauthenticated) {
			a.Pages.Unauthenticated(w, r, a.SignIn)
			return
		}
		r.Header.Set("Accept", "application/json") // an API has no pages
		a.Pages.Error(w, r, err)
		return
	}
	body, err := json.Marshal(map[string]string{
		"error": said.code, "message": said.said, "request_id": web.RequestID(r.Context()),
	})
	if err != nil { // texts always encode
		body = []byte("{}")
	}
	send(w, said.status, append(body, '\n'))
}

func send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nothing to do about it
}
