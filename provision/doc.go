// Package provision decides which account an identity is. It owns accounts,
// the indexes that lead to them, and the rules by which an identity creates,
// updates or is linked to one. Resolver is the door for sign-ins and requests,
// Directory the one for administrators; Inactivity ends the accounts that
// nobody uses.
//
// A sign-in through a connection:
//
//	admit ---- trust_email, email_domains, require: *auth.Denied; then
//	  |        group_mapping, groups_allowed and what is protected
//	  |  \---- JIT off: passes through; the store is neither read nor written
//	look ----- link, then e-mail: accounts that this identity could be
//	decide --- the ladder, a pure function: update, link, create or *auth.Denied
//	  |
//	  |  update   account by compare-and-swap; unchanged: no write
//	  |  link     reserve link, announce in the account, confirm link, commit
//	  |  create   reserve link, e-mail, username; write the account as pending;
//	  |           confirm e-mail, username and, last, the link; activate
//	session (not here)
//
// Several keys change together although every store operation touches one.
// What makes that safe:
//
//   - The account is the truth. An index entry counts only while its account
//     exists, is not pending and bears the name in question. A former username
//     it bears as well, only to keep it from others.
//   - An entry is reserved for one owner, a token of that sign-in, and for a
//     lease. It is confirmed by compare-and-swap under that token. The account
//     announces the names that it is about to bear (pending, or Change) before
//     the first entry is confirmed, and bears them by one last write.
//   - Who finds an unfinished entry waits while its lease runs. Then the
//     account must first be made unable to finish (pending: deleted; Change:
//     cleared), and only then is the entry taken over and the policy asked
//     again. So the lease decides how long to wait and nothing else: a sign-in
//     that slept through its lease fails at its next write and starts anew.
//   - Before a write that changes an account, its entry is written into the
//     account's history. Each entry names the one before it, and the account
//     names the last: one that cannot be reached from the account is of a
//     change that was not made, and nobody is shown it. It stays until the
//     account has gone on by another change, because its own may still come.
//     The creation has no entry: it is told from the account and what came
//     later, as far as the log reaches back.
//   - Under a quarantine the entries of a deleted account's e-mail and username
//     stay as tombstones. They lead to nobody, name the links of those who may
//     have the names again, and bar everybody else until they expire. An entry
//     that is made on one keeps it until an account bears the name.
//
// Reservations are taken in the order link, e-mail, username, account, so two
// sign-ins never wait for each other in a circle.
//
// What processes that died have left behind, and what else is not as this would
// leave it, Examine finds and repairs.
//
// The package knows no passwords, factors, cookies or pages. It asks about the
// first two through Credentials.
package provision
