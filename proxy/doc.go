// Package proxy is the front of the public listener. It owns every request
// from its first byte to the verdict, and proxies those that may pass.
//
//	listener (Listen)      HTTP/1.1, HTTP/2 over TLS and in the clear (prior knowledge);
//	                       both Content-Length and Transfer-Encoding: 400, close
//	  -> Gateway           CONNECT, TRACE: 405; request id, peer (internal/clientip), access log
//	  -> target            the path as it was sent, cut from the query
//	  -> table.judge       host, path, method -> route; every reading of the path must agree, else 400
//	  -> own prefix, /ping, /ready, /.well-known/gatehouse/ -> Gateway.Own
//	  -> Authenticator     session -> person; nobody: 302 or 401, store down: 503
//	  -> policy            access rule over the person: 403
//	  -> Gateway.rewrite   strip identity and forwarding headers, our cookie; set ours
//	  -> upstream          http, https, h2c, unix, static:CODE, file:DIR
//
// static:2xx is a verdict instead, with the identity in the answer (grant).
//
// The same table, policy and readings answer forward-auth (Gateway.ForwardAuth),
// where another proxy asks for the verdict and does the proxying.
//
// Exchanges that stay open, such as WebSockets, event streams and long
// downloads, are judged again every few seconds (Exchanges.Watch) and cut when
// their session has ended, or the rules of today would not let them begin.
//
// It does not sign people in, knows no cookie but by name, reads no account
// and renders no page: those come in through Authenticator, Own and Errors.
package proxy
