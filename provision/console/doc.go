// Package console is how administrators reach accounts over HTTP. Today that is
// the JSON API; it does what the user commands do, by the same code, and under
// the same names.
//
// Under the prefix:
//
//	GET  admin/api/accounts                          all of them
//	POST admin/api/accounts                          a new one
//	GET  admin/api/accounts/{name}                   one, by username, e-mail or id
//	GET  admin/api/accounts/{name}/history           what happened to it
//	GET  admin/api/accounts/{name}/factors           what it has enrolled
//	POST admin/api/accounts/{name}/disable           and enable, unlock, require-mfa,
//	                                                 reset-mfa, setup-link
//	GET  admin/api/requests/{id}                     what was decided about a request, and why
//
//	no session ----> 401
//	no administrator -> 403     a group of admin.groups, assigned here; by a
//	       |                    provider only where admin.allow_federated says so
//	       v
//	the command ---> 200 and what it prints with --json; 404 no such account;
//	                 400 it cannot be read; 422 it was refused, and why
//
// Whoever is signed in as an administrator in some browser must not be made to
// act by another site: what changes something is a POST of this site, in JSON.
//
// The package judges who may ask. It does not change accounts itself and knows
// no passwords.
package console
