package auth

import "context"

// Event is something that happened to the ways in of an account and that its
// owner should hear of. The values are those of an account's history.
type Event string

// The events of accounts.
const (
	EventPasswordSet     Event = "password_set"            // by an administrator, or the first one by a set-up link
	EventPasswordChanged Event = "password_changed"        // by the person, who knew the old one
	EventPasswordReset   Event = "password_reset"          // by a link that was mailed
	EventFactorEnrolled  Event = "second_factor_enrolled"  // detail: its kind and name
	EventFactorRemoved   Event = "second_factor_removed"   // detail: its kind and name
	EventFactorsReset    Event = "second_factors_reset"    // all of them, by an administrator
	EventRecoveryCodes   Event = "recovery_codes_made"     // the ones before are void
	EventRecoveryUsed    Event = "recovery_code_used"      // detail: how many are left
	EventNewDevice       Event = "signed_in_on_new_device" // a local sign-in on a browser that the account did not know
	EventSetupLink       Event = "setup_link_made"         // by an administrator; whoever has it chooses the password
	EventUnlocked        Event = "attempts_forgotten"      // by an administrator
	EventEnrolmentForced Event = "enrolment_forced"        // the next local sign-in enrols a factor
)

// Events hears what happened to accounts: it is noted in the history, and the
// owner gets a mail. It returns nothing: what happened has happened, whether or
// not it could be told.
type Events interface {
	Happened(ctx context.Context, account string, e Event, detail string)
}
