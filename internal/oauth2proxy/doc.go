// Package oauth2proxy says in config.yaml what a deployment of oauth2-proxy is
// configured to do. It reads that program's file, environment, flags and alpha
// configuration as it does itself (flags before environment before file), and
// writes each option as a key of config.yaml, or names it in a comment at the
// place where somebody would look for it, with what to do instead.
//
// Three rules hold for what is written:
//
//   - Nothing is dropped: each option that is set is named in the text, and one
//     that is not known is an error.
//   - Nothing is laxer than it was. A pattern of paths becomes public only as
//     far as a route can say just that; what does not fit stays protected. Where
//     oauth2-proxy admits by a rule that cannot be written, the connection is
//     written with enabled: false, and Result.Closed says why.
//   - No secret is written: a file or a variable is named in its place.
//
// It knows nothing of the program that it writes for but the keys of its file;
// whether the text is valid is for internal/config to say.
package oauth2proxy
