package provision

import (
	"context"
	"errors"
	"log/slog"

	"gatehouse/auth"
	"gatehouse/internal/auditlog"
)

// Verdicts of the log and of Resolver.Decided beside those of auth.Outcome.
const (
	verdictDenied = "denied"
	verdictFailed = "failed" // trouble: nobody knows, and nothing counts
)

// tell writes one line about a decision, whatever becomes of the sign-in
// after it, and counts it. What the provider sent is not in it: that is in the
// account's history, for those who may see it.
func (r *Resolver) tell(ctx context.Context, identity auth.Identity, decision string, o auth.Outcome, err error) {
	verdict, account := string(o.Verdict), o.Account
	if o.Confirmation != nil {
		account = o.Confirmation.Account
	}
	attrs := []slog.Attr{slog.String("connection", identity.Connection), slog.String("subject", identity.Subject), slog.String("decision_id", decision)}
	if err != nil {
		verdict, account = verdictFailed, ""
		if denied, ok := errors.AsType[*auth.Denied](err); ok {
			verdict = verdictDenied
			attrs = append(attrs, slog.String("reason", string(denied.Reason)))
		}
		attrs = append(attrs, slog.Any("error", err))
	}
	attrs = append(attrs, slog.String("verdict", verdict))
	if account != "" {
		attrs = append(attrs, slog.String("account", account))
	}
	auditlog.Write(ctx, r.directory.log(), "provisioning", attrs...)
	if r.Decided != nil {
		r.Decided(identity.Connection, verdict)
	}
}
