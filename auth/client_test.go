package auth

import (
	"net/netip"
	"strings"
	"testing"
)

func TestNewClient(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.7")
	for _, c := range []struct {
		name  string
		addr  netip.Addr
		agent string
		want  Client
	}{
		{"known", address, "Firefox", Client{"192.0.2.7", "Firefox"}},
		{"no address", netip.Addr{}, "Firefox", Client{"", "Firefox"}},
		{"nothing", netip.Addr{}, "", Client{}},
		{"long", address, strings.Repeat("x", MaxAgent+1), Client{"192.0.2.7", strings.Repeat("x", MaxAgent)}},
		{"cut within a character", address, strings.Repeat("x", MaxAgent-1) + "é", Client{"192.0.2.7", strings.Repeat("x", MaxAgent-1)}},
		{"not UTF-8", address, "Fire\xfffox", Client{"192.0.2.7", "Firefox"}},
	} {
		if got := NewClient(c.addr, c.agent); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
