package signin

import (
	"errors"
	"log/slog"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/auditlog"
	"gatehouse/internal/clientip"
	"gatehouse/internal/web"
)

// signInFailed is the event of a sign-in that was refused or broke off.
const signInFailed = "sign_in_failed"

// audit writes one line for one event. What was typed is never in it: people
// type their password into the wrong field.
func (f *Flow) audit(r *http.Request, event string, attrs ...slog.Attr) {
	auditlog.Write(r.Context(), f.Log, event, append(attrs,
		slog.String("client", clientip.Peer{Client: f.client(r)}.String()),
		slog.String("request_id", web.RequestID(r.Context())))...)
}

// count counts how a sign-in ended, or an attempt or proof that failed.
func (f *Flow) count(connection, outcome string) {
	if f.Count != nil {
		f.Count(connection, outcome)
	}
}

func (f *Flow) warn(r *http.Request, message string, err error) {
	if f.Log != nil {
		f.Log.WarnContext(r.Context(), message, "error", err, "request_id", web.RequestID(r.Context()))
	}
}

func (f *Flow) signedIn(r *http.Request, s *auth.Session, o auth.Outcome) {
	f.count(s.Identity.Connection, "success")
	f.audit(r, "sign_in", slog.String("connection", s.Identity.Connection), slog.String("verdict", string(o.Verdict)),
		slog.String("account", s.Account), slog.String("subject", s.Identity.Subject), slog.Any("amr", s.Identity.AMR),
		slog.String("decision_id", o.Decision))
}

// asked says that somebody has to prove an account before they are let in.
func (f *Flow) asked(r *http.Request, p auth.Pending) {
	c := p.Outcome.Confirmation
	f.audit(r, "link_confirmation_asked", slog.String("connection", p.Identity.Connection), slog.String("subject", p.Identity.Subject),
		slog.String("account", c.Account), slog.String("why", c.Why), slog.String("decision_id", p.Outcome.Decision))
}

// confirmed says how an account was proved: "password", "password_and_factor"
// or "connection:" and the one that its other identity signed in through. What
// came of it is the line that follows.
func (f *Flow) confirmed(r *http.Request, p auth.Pending, by string) {
	f.audit(r, "link_confirmed", slog.String("connection", p.Identity.Connection), slog.String("subject", p.Identity.Subject),
		slog.String("account", p.Outcome.Confirmation.Account), slog.String("by", by), slog.String("decision_id", p.Outcome.Decision))
}

func (f *Flow) gaveUp(r *http.Request, p auth.Pending) {
	f.audit(r, "link_confirmation_given_up", slog.String("connection", p.Identity.Connection), slog.String("subject", p.Identity.Subject),
		slog.String("account", p.Outcome.Confirmation.Account), slog.String("decision_id", p.Outcome.Decision))
}

func (f *Flow) signedOut(r *http.Request, s *auth.Session) {
	f.audit(r, "sign_out", slog.String("connection", s.Identity.Connection),
		slog.String("account", s.Account), slog.String("subject", s.Identity.Subject))
}

func (f *Flow) failed(r *http.Request, connection string, err error, more ...slog.Attr) {
	f.count(connection, web.Code(err))
	f.audit(r, signInFailed, append(more, slog.String("connection", connection), slog.String("reason", web.Code(err)))...)
}

func (f *Flow) factorFailed(r *http.Request, at parked, err error) {
	f.count(at.Identity.Connection, web.Code(err))
	f.audit(r, "factor_failed", slog.String("connection", at.Identity.Connection), slog.String("factor", at.kind()), slog.String("account", accountOf(at.Pending)),
		slog.String("reason", web.Code(err)))
}

// fail shows the page of an error and writes what failed, and why. Connection
// is the one that the request came in through, "" where that is not known.
func (f *Flow) fail(w http.ResponseWriter, r *http.Request, event, connection string, err error) {
	attrs := []slog.Attr{slog.String("path", r.URL.Path), slog.String("reason", web.Code(err)), slog.Any("error", err)}
	denied, ok := errors.AsType[*auth.Denied](err)
	if ok {
		connection = denied.Connection
	}
	if connection != "" {
		attrs = append(attrs, slog.String("connection", connection))
	}
	if ok && denied.Decision != "" {
		attrs = append(attrs, slog.String("decision_id", denied.Decision))
	}
	if event == signInFailed {
		f.count(connection, web.Code(err))
	}
	f.audit(r, event, attrs...)
	f.Pages.Error(w, r, err)
}
