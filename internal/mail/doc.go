// Package mail tells people by mail: a link to set a password, a code, and what
// happened to their account. It owns the records `mailqueue:<n>`, a few lists of
// what is to be sent, and `mail:<id>`, the message itself, sealed: it holds codes
// and links that let whoever reads them in.
//
// Code, Link and Event queue and never wait for the server of mails: a page
// does not hang because that one does. Run, in each process that serves, sends.
//
//	queued --claimed for a while by one replica--> sent, and forgotten
//	   ^                 |        |
//	   |  not now        |        \--refused for good--> failed
//	   \--backoff--------/                                 |
//	   \------------------ retry, by an administrator -----/
//
// Whatever is not sent by the time its code or link is over is forgotten.
//
// A mail that is claimed by a replica which dies then goes out once the claim
// is over; should the server have taken it just before, it goes out twice, with
// the same Message-ID (RFC 5322, section 3.6.4).
//
// Queues are bounded: those of all, and those to one address, so that somebody
// who asks for a link again and again keeps nobody else's mail back. The lists
// are found without a Scan, as there is a fixed number of them.
//
// What is told of a failure is what the server answered, without the address,
// code and link of the message: some servers quote what they refuse.
//
// The package does not receive mail, and it does not decide who is told what.
package mail
