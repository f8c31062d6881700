package metrics

import "time"

// SignIn counts a sign-in, or an attempt or proof that failed. The outcome is
// "success" or a code of internal/web; connection is "" where none is known.
func (m *Metrics) SignIn(connection, outcome string) {
	m.signIns.WithLabelValues(connection, outcome).Inc()
}

// Provisioned counts a decision about an identity: an auth.Verdict, "denied"
// or "failed".
func (m *Metrics) Provisioned(connection, verdict string) {
	m.provisioning.WithLabelValues(connection, verdict).Inc()
}

// SessionEnded counts a session that was ended before its time.
func (m *Metrics) SessionEnded() { m.sessions.Inc() }

// Mail counts what happened to a mail.
func (m *Metrics) Mail(outcome string) { m.mails.WithLabelValues(outcome).Inc() }

// Results of a reload.
const (
	applied = "applied"
	refused = "refused"
)

// Reloaded counts an attempt to take over a changed configuration, which
// succeeded at that time or was refused.
func (m *Metrics) Reloaded(ok bool, at time.Time) {
	if !ok {
		m.reloads.WithLabelValues(refused).Inc()
		m.reloadOK.Set(0)
		return
	}
	m.reloads.WithLabelValues(applied).Inc()
	m.reloadOK.Set(1)
	m.reloadedAt.Set(unix(at))
}
