package mail

import (
	"strings"

	"gatehouse/auth"
)

// told is what a mail says of an event.
type told struct {
	subject string // after which comes where: "Your password was changed at Acme"
	said    string
	detail  string // what exactly, "" where there is nothing to add
	advice  string // beside what is said about an event that was not theirs
}

// happened returns what the owner of an account is told of an event; false
// where there is nothing to tell.
func happened(e auth.Event, detail string) (told, bool) {
	switch e {
	case auth.EventPasswordSet:
		return told{subject: "A password was set", said: "Your account has a password now, set by an administrator or by a link that you were sent. It has ended the sessions that were open before."}, true
	case auth.EventPasswordChanged:
		return told{subject: "Your password was changed", said: "The password of your account was changed by somebody who knew the one before. All other sessions have ended."}, true
	case auth.EventPasswordReset:
		return told{subject: "Your password was reset", said: "The password of your account was set anew by a link that was mailed. All sessions have ended. Your second factors are as they were."}, true
	case auth.EventFactorEnrolled:
		return told{subject: "A second factor was added", said: "A second factor was added to your account. It can be used to sign in from now on.", detail: factor(detail)}, true
	case auth.EventFactorRemoved:
		return told{subject: "A second factor was removed", said: "A second factor was removed from your account. It cannot be used to sign in any more.", detail: factor(detail)}, true
	case auth.EventFactorsReset:
		return told{subject: "Your second factors were reset", said: "Second factors of your account were removed by an administrator. The next sign-in with your password may ask you to set one up."}, true
	case auth.EventRecoveryCodes:
		return told{subject: "New recovery codes were made", said: "New recovery codes were made for your account. The ones before cannot be used any more."}, true
	case auth.EventRecoveryUsed:
		return told{subject: "A recovery code was used", said: "A recovery code was used in place of your second factor. Each can be used once.", detail: detail, advice: "When few are left, make new ones on your account page."}, true
	case auth.EventNewDevice:
		return told{subject: "A sign-in on a new device", said: "Somebody signed in to your account with your password, in a browser that your account had not been used in before."}, true
	}
	return told{}, false
}

// factor says in words for people what is first in the detail of an event of a
// factor: its kind. What follows is the name that the person gave it.
func factor(detail string) string {
	kind, name, _ := strings.Cut(detail, " ")
	kind = strings.TrimRight(kind, ":,")
	called := map[string]string{
		auth.KindTOTP: "Authenticator app", auth.KindEmailCode: "Code by e-mail", auth.KindPasskey: "Passkey", auth.KindRecovery: "Recovery codes",
	}[kind]
	if called == "" {
		return detail
	}
	if name = strings.Trim(strings.TrimSpace(name), `"()`); name == "" || strings.EqualFold(name, called) {
		return called
	}
	return called + " “" + name + "”"
}
