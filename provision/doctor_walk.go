package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strings"
)

// entryKinds are the indexes.
var entryKinds = [...]string{"link", "email", "username"}

// mark remembers a string by 128 bits: among four million, two are taken for
// the same once in 10^25 walks.
type mark [2]uint64

type hashes struct{ a, b maphash.Seed }

func newHashes() hashes { return hashes{maphash.MakeSeed(), maphash.MakeSeed()} }

// of is the mark of a key, or of a key and the account that it leads to.
func (h hashes) of(key, account string) mark {
	whole := key + "\x00" + account
	return mark{maphash.String(h.a, whole), maphash.String(h.b, whole)}
}

// walk looks at every record once, and at the accounts again if something that
// they name did not turn up. Accounts come first: what an account names was
// written before it.
func (x *examination) walk(ctx context.Context) error {
	if err := x.walkAccounts(ctx); err != nil {
		return err
	}
	for _, kind := range entryKinds {
		if err := x.walkEntries(ctx, kind); err != nil {
			return err
		}
	}
	for _, kind := range append(x.ownRecords(), x.Others...) {
		if err := x.walkOthers(ctx, kind); err != nil {
			return err
		}
	}
	if len(x.expected) == 0 {
		return nil
	}
	return x.walkMissing(ctx)
}

func (x *examination) walkAccounts(ctx context.Context) error {
	return x.Store.Scan(ctx, accountPrefix, func(key string, value []byte) error {
		x.health.Accounts++
		x.health.Records[strings.TrimSuffix(accountPrefix, ":")]++
		id := strings.TrimPrefix(key, accountPrefix)
		x.known[x.hash.of(accountPrefix, id)] = struct{}{}
		a, err := decodeOwn(key, value)
		if err != nil || a.Change != nil || !a.settledDown() {
			v, wrong := x.judgeAccount(ctx, id)
			if wrong = x.note(ctx, v, wrong); wrong != nil || err != nil {
				return wrong
			}
		}
		if a.changed() {
			x.expected[x.hash.of(historyKey(id), a.Decision)] = struct{}{}
		}
		return x.eachName(a, func(_ name, lead mark) error {
			x.expected[lead] = struct{}{}
			return nil
		})
	})
}

// eachName calls f for each name that leads, or should lead, to an account.
func (x *examination) eachName(a *Account, f func(n name, lead mark) error) error {
	if !a.settledDown() {
		return nil
	}
	for _, n := range x.names().of(a) {
		if err := f(n, x.hash.of(n.key, a.ID)); err != nil {
			return err
		}
	}
	return nil
}

// settledDown reports whether all names of the account must lead to it: it is
// neither being made nor being deleted.
func (a *Account) settledDown() bool { return a.Status != Pending && a.Status != Deleting }

func (x *examination) walkEntries(ctx context.Context, kind string) error {
	return x.Store.Scan(ctx, kind+":", func(key string, value []byte) error {
		x.health.Entries++
		x.health.Records[kind]++
		if e, err := decodeEntry(value); err == nil && e.Until.IsZero() {
			lead := x.hash.of(key, e.Account)
			if _, ok := x.expected[lead]; ok {
				delete(x.expected, lead)
				return nil
			}
		}
		v, err := x.judgeEntry(ctx, key)
		return x.note(ctx, v, err)
	})
}

// walkMissing judges the names that no entry was seen for, and the accounts
// whose last change no history knew. Those that several
// accounts bear are judged together: else the first would be given what the
// second has as good a claim to.
func (x *examination) walkMissing(ctx context.Context) error {
	again := func(whole func(*Account) error, f func(*Account, name) error) error {
		return x.Store.Scan(ctx, accountPrefix, func(key string, value []byte) error {
			a, err := decodeOwn(key, value)
			if err != nil {
				return nil // told already
			}
			if err := whole(a); err != nil {
				return err
			}
			return x.eachName(a, func(n name, lead mark) error {
				if _, ok := x.expected[lead]; !ok {
					return nil
				}
				return f(a, n)
			})
		})
	}
	once, several := map[mark]struct{}{}, map[mark][]string{}
	judgeChanged := func(a *Account) error {
		if _, ok := x.expected[x.hash.of(historyKey(a.ID), a.Decision)]; !ok {
			return nil
		}
		v, err := x.judgeAccount(ctx, a.ID)
		return x.note(ctx, v, err)
	}
	err := again(judgeChanged, func(_ *Account, n name) error {
		k := x.hash.of(n.key, "")
		if _, twice := once[k]; twice {
			several[k] = nil
		}
		once[k] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	shared := map[string]mark{}
	nothing := func(*Account) error { return nil }
	err = again(nothing, func(a *Account, n name) error {
		k := x.hash.of(n.key, "")
		if _, ok := several[k]; ok {
			several[k] = append(several[k], a.ID)
			shared[n.key] = k
			return nil
		}
		v, err := x.judgeName(ctx, n.key, []string{a.ID})
		return x.note(ctx, v, err)
	})
	if err != nil {
		return err
	}
	for key, k := range shared {
		v, err := x.judgeName(ctx, key, several[k])
		if err := x.note(ctx, v, err); err != nil {
			return err
		}
	}
	return nil
}

// ownRecords are what this package keeps beside accounts and entries.
func (x *examination) ownRecords() []Records {
	return []Records{{
		Kind: strings.TrimSuffix(signInPrefix, ":"), PerAccount: true, Trifling: true,
		Read: func(_ string, value []byte) error {
			_, err := decodeSignIn(value)
			return err
		},
		// It is only a time, and keeps its account from signing in.
		Removable: func([]byte) bool { return true },
	}, {
		Kind: strings.TrimSuffix(historyPrefix, ":"), PerAccount: true,
		Read: func(key string, value []byte) error {
			log, err := decodeHistory(value)
			for _, e := range log.Entries {
				delete(x.expected, x.hash.of(key, e.Decision))
			}
			return err
		},
		Cure:      "without it the account cannot be changed, not by a sign-in either; the history of another version is left to that version",
		Removable: func(value []byte) bool { return !ofAnotherVersion(value) },
	}}
}

func (x *examination) walkOthers(ctx context.Context, kind Records) error {
	prefix := kind.Kind + ":"
	return x.Store.Scan(ctx, prefix, func(key string, value []byte) error {
		x.health.Records[kind.Kind]++
		if kind.PerAccount {
			id := strings.TrimPrefix(key, prefix)
			if _, ok := x.known[x.hash.of(accountPrefix, id)]; !ok {
				v, err := x.judgeOrphan(ctx, key, id, kind)
				if v != nil || err != nil {
					return x.note(ctx, v, err)
				}
			}
		}
		if kind.Read(key, value) != nil {
			v, err := x.judgeOther(ctx, key, kind)
			return x.note(ctx, v, err)
		}
		return nil
	})
}

// ofAnotherVersion reports whether a record that cannot be read says that
// another version wrote it.
func ofAnotherVersion(value []byte) bool {
	var r struct {
		Version int `json:"v"`
	}
	return json.Unmarshal(value, &r) == nil && r.Version != 0 && r.Version != accountVersion
}

// changed reports whether the account has been changed since it was made, and
// since there is history.
func (a *Account) changed() bool { return a.settledDown() && a.Decision != a.Origin }

// decodeOwn decodes an account that was found under a key.
func decodeOwn(key string, value []byte) (*Account, error) {
	a, err := decodeAccount(value)
	if err != nil {
		return nil, err
	}
	if accountKey(a.ID) != key {
		return nil, fmt.Errorf("decode account: it is %q", a.ID)
	}
	return a, nil
}
