package throttle

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// networkBits is what one customer of a network has of IPv6. Counting single
// addresses would count nothing.
const networkBits = 56

// network is the address from which an attempt comes, or the network in which
// one customer can pick addresses; "" where it is not known.
func network(c auth.Client) string {
	addr, err := netip.ParseAddr(c.Address)
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(networkBits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

// countClient counts the attempt for the client of the context. Errors:
// *auth.Throttled, auth.ErrStoreDown.
func (a *Attempt) countClient(ctx context.Context) error {
	from := network(auth.ClientOf(ctx))
	if from == "" {
		return nil
	}
	t := a.throttle
	key := "attempts:" + t.Index.Hash("attempts-client", from)
	err := t.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
		now := t.now()
		c := decode(old, now)
		if wait := c.All.Until.Sub(now); wait > 0 {
			return nil, 0, &auth.Throttled{RetryAfter: wait, Client: true}
		}
		c.All, a.ofClient = c.All.addClient(now)
		value, err := json.Marshal(c)
		return value, c.ends().Sub(now), err
	})
	if err == nil {
		a.client = key
	}
	return trouble("count attempt of a client", err)
}

// refundClient takes the attempt off the client's counter.
func (a *Attempt) refundClient(ctx context.Context) error {
	if a.client == "" {
		return nil
	}
	err := a.throttle.Store.Update(ctx, a.client, func(old []byte) ([]byte, time.Duration, error) {
		c := decode(old, a.throttle.now())
		if c.All = c.All.remove(a.ofClient); c.empty() {
			return nil, 0, nil
		}
		value, err := json.Marshal(c)
		return value, store.KeepTTL, err
	})
	if err == nil {
		a.client = ""
	}
	return trouble("refund attempt of a client", err)
}
