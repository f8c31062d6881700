package clientip

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func request(remote string, header map[string][]string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = remote
	for k, v := range header {
		r.Header[k] = v
	}
	return r
}

func TestPeer(t *testing.T) {
	xff := func(lines ...string) map[string][]string { return map[string][]string{"X-Forwarded-For": lines} }
	for _, tt := range []struct {
		name    string
		trusted []string
		remote  string
		header  map[string][]string
		want    string
		believe bool
	}{
		{"nobody trusted, no header", nil, "192.0.2.1:999", nil, "192.0.2.1", false},
		// Attack: a client that makes itself another address for throttles and logs.
		{"spoofed by an untrusted peer", nil, "192.0.2.1:999", xff("10.0.0.1"), "192.0.2.1", false},
		{"one trusted hop", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff("192.0.2.7"), "192.0.2.7", true},
		// Attack: the client sends its own chain and the proxy appends to it.
		{"leftmost is the client's own claim", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff("127.0.0.1, 192.0.2.7"), "192.0.2.7", true},
		{"several trusted hops", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff("1.1.1.1, 192.0.2.7, 10.2.2.2"), "192.0.2.7", true},
		{"chain over several lines", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff("1.1.1.1", "192.0.2.7", "10.2.2.2"), "192.0.2.7", true},
		{"all hops trusted", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff("10.3.3.3, 10.2.2.2"), "10.3.3.3", true},
		{"garbage at the near end", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff("192.0.2.7, unknown"), "10.1.1.1", true},
		{"garbage beyond a trusted hop", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff("evil\x7f, 10.2.2.2"), "10.1.1.1", true},
		{"garbage beyond the client does not matter", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff("junk, 192.0.2.7"), "192.0.2.7", true},
		{"empty header", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff(""), "10.1.1.1", true},
		{"ports and brackets", []string{"10.0.0.0/8"}, "10.1.1.1:1", xff("[2001:db8::1]:44, 10.2.2.2:80"), "2001:db8::1", true},
		// Attack: ::ffff:10.0.0.1 must be the same peer as 10.0.0.1, for trust and for distrust.
		{"mapped peer is trusted", []string{"10.0.0.0/8"}, "[::ffff:10.1.1.1]:1", xff("::ffff:192.0.2.7"), "192.0.2.7", true},
		{"mapped prefix", []string{"::ffff:10.0.0.0/104"}, "10.1.1.1:1", xff("192.0.2.7"), "192.0.2.7", true},
		{"single address", []string{"10.1.1.1"}, "10.1.1.1:1", xff("192.0.2.7"), "192.0.2.7", true},
		{"mapped single address", []string{"::ffff:10.1.1.1"}, "10.1.1.1:1", xff("192.0.2.7"), "192.0.2.7", true},
		{"neighbour of a single address", []string{"10.1.1.1"}, "10.1.1.2:1", xff("192.0.2.7"), "10.1.1.2", false},
		{"forwarded", []string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"Forwarded": {`for=1.1.1.1, For="[2001:db8::7]:4711";proto=https`}}, "2001:db8::7", true},
		{"forwarded obfuscated", []string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"Forwarded": {`for=_hidden`}}, "10.1.1.1", true},
		// Attack: the proxy writes one of the two headers and passes the client's version of the other.
		{"two chains that disagree", []string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"X-Forwarded-For": {"192.0.2.7"}, "Forwarded": {"for=1.1.1.1"}}, "10.1.1.1", true},
		{"two chains that agree", []string{"10.0.0.0/8"}, "10.1.1.1:1", map[string][]string{"X-Forwarded-For": {"192.0.2.7"}, "Forwarded": {"for=192.0.2.7"}}, "192.0.2.7", true},
		{"no address at all", []string{"0.0.0.0/0"}, "@", xff("192.0.2.7"), "unix", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := New(tt.trusted)
			if err != nil {
				t.Fatal(err)
			}
			got := p.Peer(request(tt.remote, tt.header))
			if got.String() != tt.want || got.Trusted != tt.believe {
				t.Errorf("got %s trusted %v, want %s trusted %v", got, got.Trusted, tt.want, tt.believe)
			}
		})
	}
}

func TestPeerUnix(t *testing.T) {
	for _, tt := range []struct {
		name    string
		trusted []string
		want    string
		believe bool
	}{
		// Attack: a peer without an address must not count as trusted by default.
		{"not trusted", []string{"0.0.0.0/0", "::/0"}, "unix", false},
		{"trusted", []string{"unix"}, "192.0.2.7", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := New(tt.trusted)
			if err != nil {
				t.Fatal(err)
			}
			r := request("@", map[string][]string{"X-Forwarded-For": {"192.0.2.7"}})
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "s", Net: "unix"})))
			if got := p.Peer(r); got.String() != tt.want || got.Trusted != tt.believe {
				t.Errorf("got %s trusted %v, want %s trusted %v", got, got.Trusted, tt.want, tt.believe)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, bad := range []string{"", "10.0.0.0/33", "proxy.example", "unix:"} {
		if _, err := New([]string{bad}); err == nil {
			t.Errorf("New(%q): no error", bad)
		}
	}
}

func TestContext(t *testing.T) {
	if From(context.Background()).Trusted {
		t.Error("a request that no front has judged is trusted")
	}
	want := Peer{Trusted: true}
	if got := From(With(context.Background(), want)); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzPeer(f *testing.F) {
	f.Add("10.1.1.1:1", "1.1.1.1, 10.2.2.2", "for=1.1.1.1")
	f.Add("@", ",,,", `for="[::1]:x"`)
	p, err := New([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, remote, list, standard string) {
		got := p.Peer(request(remote, map[string][]string{"X-Forwarded-For": {list}, "Forwarded": {standard}}))
		if got.Client.Is4In6() || got.Client.Zone() != "" {
			t.Errorf("client %v is mapped or has a zone", got.Client)
		}
		if !got.Trusted && got.Client != got.Addr {
			t.Errorf("an untrusted peer %v became %v", got.Addr, got.Client)
		}
	})
}
