// Package clientip says who is at the other end of a request: the direct
// peer, whether its forwarding headers may be believed, and the client's
// address. It reads headers and changes none; without trusted proxies the
// client is the peer and no header is looked at.
package clientip

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Unix, as a trusted proxy, stands for every peer of a Unix socket.
const Unix = "unix"

// Proxies are the peers whose X-Forwarded-*, Forwarded, X-Real-IP and
// X-Original-* headers are believed. The zero value trusts nobody.
type Proxies struct {
	nets []netip.Prefix
	unix bool
}

// Peer is what a request's connection says about its sender.
type Peer struct {
	Addr    netip.Addr // the direct peer; invalid on a Unix socket
	Client  netip.Addr // Addr, or what trusted proxies report; may be invalid on a Unix socket
	Trusted bool       // forwarding headers of this request may be believed
}

// String returns the client's address as logs show it.
func (p Peer) String() string {
	if !p.Client.IsValid() {
		return Unix
	}
	return p.Client.String()
}

// New reads trusted_proxies: CIDRs, single addresses, or "unix".
func New(trusted []string) (*Proxies, error) {
	p := &Proxies{}
	for _, s := range trusted {
		if s == Unix {
			p.unix = true
			continue
		}
		prefix, err := parsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("read trusted proxy %q: %w", s, err)
		}
		p.nets = append(p.nets, prefix)
	}
	return p, nil
}

// parsePrefix also unmaps ::ffff:10.0.0.0/104, since addresses are unmapped
// before they are compared.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// Peer judges the connection and, where the peer is trusted, the headers of
// a request.
func (p *Proxies) Peer(r *http.Request) Peer {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		peer := Peer{Trusted: p.unix}
		if peer.Trusted {
			peer.Client, _ = p.client(r.Header)
		}
		return peer
	}
	addr, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return Peer{}
	}
	peer := Peer{Addr: addr, Client: addr, Trusted: p.contains(addr)}
	if peer.Trusted {
		if client, ok := p.client(r.Header); ok {
			peer.Client = client
		}
	}
	return peer
}

func (p *Proxies) contains(addr netip.Addr) bool {
	for _, n := range p.nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// client reads the chain of a trusted peer. Two chains that disagree are
// garbage: a proxy maintains one of them and lets the client's own version of
// the other through.
func (p *Proxies) client(h http.Header) (netip.Addr, bool) {
	lists, standard := h["X-Forwarded-For"], h["Forwarded"]
	switch {
	case lists == nil && standard == nil:
		return netip.Addr{}, false
	case standard == nil:
		return p.walk(lists, parseAddr)
	case lists == nil:
		return p.walk(standard, parseForwarded)
	}
	one, ok := p.walk(lists, parseAddr)
	two, ok2 := p.walk(standard, parseForwarded)
	return one, ok && ok2 && one == two
}

// walk goes from the nearest hop to the farthest and stops at the first that
// is not trusted: everything left of it is the client's own claim. Garbage on
// the way makes the chain worthless.
func (p *Proxies) walk(lines []string, parse func(string) (netip.Addr, bool)) (last netip.Addr, ok bool) {
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more; {
			hop := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, hop = rest[:comma], rest[comma+1:]
			} else {
				more = false
			}
			addr, good := parse(strings.Trim(hop, " \t"))
			if !good {
				return netip.Addr{}, false
			}
			last, ok = addr, true
			if !p.contains(addr) {
				return last, true
			}
		}
	}
	return last, ok
}

// parseAddr reads an address with or without a port, unmapped and without a
// zone, which means nothing on another host.
func parseAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		pair, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = pair.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// parseForwarded reads the for parameter of one element of Forwarded (RFC
// 7239, section 4). Obfuscated and unknown identifiers are no addresses.
func parseForwarded(element string) (netip.Addr, bool) {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if strings.EqualFold(name, "for") {
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			return parseAddr(value)
		}
	}
	return netip.Addr{}, false
}

type peerKey struct{}

// With returns a context that carries the request's peer.
func With(ctx context.Context, p Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// From returns the peer that the front of the listener has judged. Without
// one it is unknown and not trusted.
func From(ctx context.Context) Peer {
	p, _ := ctx.Value(peerKey{}).(Peer)
	return p
}
