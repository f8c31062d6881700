// Package signin is the browser's way in: it leads a person from "nobody" to a
// session, through an identity provider or a local password, and out again.
//
// Endpoints, under the prefix:
//
//	GET, POST sign_in    choose.go, password.go
//	GET       start      start.go
//	GET       callback   callback.go
//	GET, POST confirm    confirm.go
//	GET, POST mfa        factor.go, ways.go, challenge.go, enrol.go
//	GET, POST passkey    passkey.go
//	GET, POST prove      prove.go
//	GET       step_up    stepup.go
//	POST      link       link.go
//	GET, POST reset      reset.go
//	GET, POST password   reset.go
//	GET, POST sign_out   signout.go
//	GET       userinfo   userinfo.go
//	POST      backchannel-logout/{connection}   backchannel.go
//
// The state machine; each arrow passes through dispatch.go, which alone knows
// the order:
//
//	    sign_in ---one way in, or chosen---> start
//	       |                                   | pending sign-in stored,
//	       | password                          | bound to the browser
//	       |                                   v
//	       |                              (the provider)
//	       |                                   |
//	       |          state taken once         v
//	       |                               callback
//	       |                                   |
//	       '------------> Identity <-----------'
//	                         |
//	                      Resolve --denied--> page
//	                         |
//	                         |--an account must be proved--> confirm ...
//	                         |
//	             factor owed?|
//	           yes |         | no
//	               v         |
//	              mfa        |
//	enrolled: challenge,     |
//	then enrolment where one |
//	is demanded or what was  |
//	proved is out of use     |
//	not enrolled: enrolment  |
//	               |         |
//	               v         v
//	              Session, under a new id ---> where the person wanted to go
//
// Where the identity's e-mail is that of an account which it may not be linked
// to on its provider's word alone, the person proves that account once:
//
//	... confirm ---gives up---> sign_in
//	       |   |
//	       |   | a connection through which
//	       |   | the account is linked
//	       |   '----------------> (another provider) ---> callback
//	       | password                                        |
//	       v                                                 |
//	      mfa, where the account                             |
//	       |   has a factor                                  |
//	       |                            the second identity is linked
//	       |                            to the account, or: page
//	       v                                                 |
//	      ResolveConfirmed, of the first identity <----------'
//	       |
//	       '--> on as from Resolve
//
// The proof is a step of the sign-in and nothing else: the session is that of
// the first identity, as its provider has proved it, and says neither pwd nor
// otp nor mfa for it. Until ResolveConfirmed nothing has changed. A proof is
// void once the account's sessions were ended since the identity came, as they
// are when it is disabled or deleted or its password changes.
//
// A pending sign-in is a record of its own (pending:<hash>, ten minutes,
// sealed) and never a session: it is nobody everywhere but at its exact next
// step. Its handle changes at every step and each handle is taken once, so of
// any number of parallel answers one goes on. A state is worth something only
// in the browser that began: a cookie binds it, and the cookie is compared
// before the state is used up, so a stranger who saw a state cannot even burn
// it.
//
// A factor is owed by local sign-ins when mfa.enforce is local, by all when it
// is all, and by none when it is off; off means never asked, also where an
// account has enrolled one. Only the proof of an account by its password asks
// for a factor that it has whatever mfa.enforce says, and never enrols one.
//
// Of several factors the one that was used last is asked for; another way is
// chosen by a form, since it may send a mail. Recovery codes prove and never
// satisfy: who came in by one alone enrols a factor before there is a session.
//
// No answer of an identity provider leads back to it by itself: errors and the
// end of a session are pages, so there is no loop.
//
// Who has forgotten a password has a link mailed (reset), and by that, or by one
// that an administrator made, chooses another (password). Both are no steps of a
// sign-in: nobody is signed in by them, and no factor is spared.
//
// A passkey whose authenticator has verified its person is the whole sign-in of a
// local account (passkey): it owes no second factor, and is no proof of the
// password.
//
// Who is signed in comes back for two things. prove asks for the password of the
// account and, where it has one, a factor; what comes of it is the same session,
// under a new id, that says when that was. Whose account has no password signs in
// anew. link has an identity that signs in
// linked to the account; of the session nothing changes. Both belong to the
// session in which they were begun and to no other.
//
// Whom a route refuses for want of proof comes to step_up. Who signed in locally
// is sent to prove, and enrols a factor there where the account has none; who came
// by a provider is sent to it again, with the levels that the route wants
// (acr_values), once: a session knows what was asked for when it was made. Whose
// proof cannot be raised is told so.
//
// The package does not know protocols, passwords, codes, accounts, routes or the
// session's record: Provider, Passwords, Factor, Resolver, Rules and Sessions do.
package signin
