package demo

import (
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
)

// address is where the gateway of the demonstration listens and what browsers
// call it.
type address struct {
	listen string // host:port
	host   string // as in the Host header
	url    string
}

// frontAddress judges where the gateway is to listen: a demonstration lets
// everybody in as anybody, so it must not be reachable from another machine.
func frontAddress(listen string) (address, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return address{}, fmt.Errorf("listen on %q: want host:port, such as 127.0.0.1:4180", listen)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return address{}, fmt.Errorf("listen on %q: the demonstration lets everybody be anybody, so it listens on loopback only", listen)
	}
	if port == "0" {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return address{}, err
		}
		defer l.Close()
		_, port, _ = net.SplitHostPort(l.Addr().String())
	}
	a := address{listen: net.JoinHostPort(host, port)}
	// Browsers keep one jar of cookies for all ports of a host. The identity
	// providers are 127.0.0.1; under another name the gateway's cookies stay
	// its own.
	a.host = net.JoinHostPort("localhost", port)
	if host != "127.0.0.1" {
		a.host = a.listen
	}
	a.url = "http://" + a.host
	return a, nil
}

// elsewhere is a page for people who come in under another name. It has no
// style: its policy lets nothing in from the other origin.
var elsewhere = template.Must(template.New("elsewhere").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Another address</title>
</head>
<body>
<h1>This demonstration has another address</h1>
<p>It answers at <a href="{{.}}">{{.}}</a> only.</p>
</body>
</html>
`))

// OnlyHost refuses requests that name another host. Without it a page at
// evil.example could make that name resolve to 127.0.0.1, be same-origin with
// this server and read from it whatever it likes (DNS rebinding). The gateway
// itself answers on its own paths whatever the host, because proxies ask it
// under any name; the one of the demonstration stands behind this too.
func OnlyHost(host string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != host {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusMisdirectedRequest)
			// The gateway is tried by its number, as its flag names it.
			_ = elsewhere.Execute(w, "http://"+host+"/")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// name is the host without the port, as routes write it.
func (a address) name() string {
	host, _, err := net.SplitHostPort(a.host)
	if err != nil { // it was joined above
		return a.host
	}
	return host
}
