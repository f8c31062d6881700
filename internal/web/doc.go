// Package web is what people see: templates, the stylesheet, and the one
// table that turns an error into a status and a page. It knows nothing of
// sign-in, accounts or routes; those hand it values to show.
//
// Every page works without JavaScript and is sent with a strict Content
// Security Policy. A page says what happened and what to do, and carries the
// request id; it never shows an error's own text.
package web
