// Package returnurl decides where a browser may be sent back to after a
// sign-in or a sign-out. It owns the one judgement of such URLs:
//
//	rd, X-Auth-Request-Redirect, X-Forwarded-{Proto,Host,Uri}, request URI, "/"
//	         each in turn --Judge--> the first that stays on the site
//
// A URL stays on the site when a browser, reading the very bytes that are
// emitted, ends up at the origin of public_url or at a host of
// session.return_domains. Gatehouse would otherwise be an open redirector:
// a link that begins with the name of a trusted site and ends on a forged
// sign-in page.
//
// What browsers read in more than one way (TAB, CR and LF inside, a backslash,
// user information, "https:host", hosts that are not plain ASCII) is refused
// instead of repaired: nobody needs it, and a repair that differs from the
// browser's is the hole. An invalid URL is never an error; the next candidate
// is taken.
//
// The package writes no response. Whoever redirects puts the string into
// Location as it is; http.Redirect must not be used, because it rewrites
// what was judged.
package returnurl
