package web

import (
	"net/http"

	"gatehouse/auth"
)

// denials says why a rule refused somebody who proved who they are. The code
// is the reason. Each text tells the person as much as they need to get help
// and nothing about other people's accounts.
var denials = map[auth.Reason]failure{
	auth.DeniedDisabled: {
		title:  "Your account is disabled",
		text:   "You proved who you are, but an administrator has disabled your account here.",
		advice: "If you think that this is a mistake, ask your IT support to enable it again.",
	},
	auth.DeniedEmailDomain: {
		title:  "This e-mail address is not admitted",
		text:   "Only verified e-mail addresses of certain organisations may come in this way, and yours is not one of them.",
		advice: "Sign in with the account of your organisation, or ask your IT support which one to use.",
	},
	auth.DeniedRequirement: {
		title:  "Your account may not come in this way",
		text:   "You proved who you are, but your account lacks a membership that is required here.",
		advice: "Ask your IT support to give you access, then sign in again.",
	},
	auth.DeniedLink: {
		title:  "An account with your e-mail address exists already",
		text:   "It belongs to another way of signing in and may not be joined with this one.",
		advice: "Sign in the way you did before, or ask your IT support to join the two.",
	},
	auth.DeniedTaken: {
		title:  "That identity belongs to another account",
		text:   "You signed in with an identity that is linked to another account here.",
		advice: "Nothing has been changed. If both accounts are yours, sign in to the other one and unlink it there first.",
	},
	auth.DeniedProof: {
		title:  "That did not confirm your account",
		text:   "You signed in, but as somebody whom the account that was to be confirmed does not know.",
		advice: "Nothing has been changed. Go back, and sign in there as you did when you last used the account, or choose another way.",
	},
	auth.DeniedQuarantine: {
		title:  "This e-mail address cannot be used yet",
		text:   "It belonged to an account that was deleted lately, and for a while nobody else can take its place.",
		advice: "Ask an administrator, who can give you an account.",
	},
	auth.DeniedGroups: {
		title:  "Your groups could not be read",
		text:   "You proved who you are, but your organisation's sign-in service did not say which groups you are in: there are too many.",
		advice: "Ask your IT support to have only those groups sent that are assigned to this application. Nothing has been changed.",
	},
	auth.DeniedUnconfirmable: {
		title:  "Your account cannot be confirmed",
		text:   "An account with your e-mail address exists already, but it has nothing with which you could prove that it is yours.",
		advice: "Ask an administrator, for example to give the account a password, with which you can then prove it. The ids below tell them which account it is about.",
	},
	auth.DeniedAmbiguous: {
		title:  "More than one account fits",
		text:   "It is not clear which account is yours, so none was opened.",
		advice: "Ask your IT support to sort out the accounts that share your e-mail address.",
	},
	auth.DeniedNoAccount: {
		title:  "You have no account here",
		text:   "You proved who you are, but only people who were given an account before may come in.",
		advice: "Ask your IT support for an account, then sign in again.",
	},
	auth.DeniedFactor: {
		title:  "A second factor is required",
		text:   "Everybody has to use a second factor here, but people who come in this way have no account that could hold one.",
		advice: "Sign in another way, or ask your IT support.",
	},
	auth.DeniedFactorLost: {
		title:  "Your second factor cannot be used now",
		text:   "Your password was right, but nothing with which you could show a second time that it is you can be used here at the moment.",
		advice: "Ask your IT support to reset your second factor, then sign in again.",
	},
	auth.DeniedTooLarge: {
		title:  "Your account cannot be used here",
		text:   "Your user name or e-mail address is too long to be handed to the application.",
		advice: "Ask your IT support to shorten it at your identity provider.",
	},
	auth.DeniedConnection: {
		title:  "This way in is closed",
		text:   "The way you signed in is no longer in use here.",
		advice: "Sign in another way.",
	},
}

// denial is the answer to a refused identity. A reason without a text of its
// own is answered like a plain refusal, never with the reason's detail.
func denial(reason auth.Reason) failure {
	f, ok := denials[reason]
	if !ok {
		return failure{
			http.StatusForbidden, "forbidden", "You may not come in",
			"You proved who you are, but a rule keeps you out.",
			"Ask your IT support for access.", signIn, 0,
		}
	}
	f.status, f.code, f.action = http.StatusForbidden, string(reason), signIn
	return f
}
