package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// find reads a record; nil: there is none.
func (x *examination) find(ctx context.Context, key string) ([]byte, error) {
	value, err := x.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return value, err
}

// bearer reads an account; nil: there is none, or it cannot be read, of which
// it has a finding of its own.
func (x *examination) bearer(ctx context.Context, id string) (a *Account, exists bool, err error) {
	value, err := x.find(ctx, accountKey(id))
	if value == nil || err != nil {
		return nil, false, err
	}
	a, err = decodeOwn(accountKey(id), value)
	if err != nil {
		return nil, true, nil
	}
	return a, true, nil
}

// judgeAccount judges a record of an account by itself.
func (x *examination) judgeAccount(ctx context.Context, id string) (*verdict, error) {
	key := accountKey(id)
	value, err := x.find(ctx, key)
	if value == nil || err != nil {
		return nil, err
	}
	v := &verdict{
		Finding:  Finding{Key: key, Account: id},
		evidence: string(value),
		again:    func(ctx context.Context) (*verdict, error) { return x.judgeAccount(ctx, id) },
	}
	a, err := decodeOwn(key, value)
	if err != nil {
		v.Code, v.sure = FindUnreadable, true
		v.Detail = fmt.Sprintf("the account cannot be read (%v): nobody can come in as it, and lists of accounts leave it out", err)
		v.Do = "restore the record from a backup, or run the version that wrote it; a repair leaves it alone"
		return v, nil
	}
	switch {
	case a.Status == Deleting:
		v.Code = FindDeletion
		v.Detail = fmt.Sprintf("the deletion of %s has begun and was not finished: the account is refused, and what it had is still there", a.Username)
		v.Do = "a repair finishes the deletion, as gatehouse user delete " + id + " does"
		v.cure = func(ctx context.Context) error {
			err := x.Delete(ctx, id)
			if errors.Is(err, auth.ErrNotFound) {
				return nil // another one was faster
			}
			return err
		}
	case a.Change != nil && x.now().Before(a.Change.Until):
		return nil, nil // somebody is at work
	case a.Status == Pending:
		v.Code, v.Harmless = FindUnfinished, true
		v.Detail = "a sign-in or an administrator began this account and did not finish it: it is nobody, and it expires a day after it was begun"
		v.Do = "a repair removes it, with the entries that lead to it"
		v.cure = x.killing(a)
	case a.Change != nil:
		v.Code, v.Harmless = FindChange, true
		v.Detail = fmt.Sprintf("a sign-in or an administrator was about to give %s another name and did not finish: the account is as it was before", a.Username)
		v.Do = "a repair takes the announcement back, and the entry of that name"
		v.cure = x.killing(a)
	default:
		return x.judgeHistory(ctx, a)
	}
	return v, nil
}

// judgeHistory judges whether the history knows the change that made the
// account what it is: it was written before the account was. That what is older
// was dropped is as it should be.
func (x *examination) judgeHistory(ctx context.Context, a *Account) (*verdict, error) {
	if !a.changed() {
		return nil, nil
	}
	value, err := x.find(ctx, historyKey(a.ID))
	if err != nil {
		return nil, err
	}
	if log, err := decodeHistory(value); log.has(a.Decision) || err != nil && ofAnotherVersion(value) {
		return nil, nil // that of another version has a finding of its own
	}
	return &verdict{
		Finding: Finding{
			Code: FindHistory, Key: historyKey(a.ID), Account: a.ID,
			Detail: fmt.Sprintf("the history of %s does not know the account's last change (decision %s): it was lost", a.Username, a.Decision),
			Do:     "a repair notes in the history that something was lost; it cannot be brought back",
		},
		// Who changes the account writes both records, one after the other.
		evidence: string(a.raw),
		again:    func(ctx context.Context) (*verdict, error) { return x.judgeAccount(ctx, a.ID) },
		cure: func(ctx context.Context) error {
			doctor := WithActor(ctx, Actor{Kind: ActorDoctor}, "decision "+a.Decision+" is not in the history")
			_, err := x.Note(doctor, a.ID, EventHistoryLost)
			if errors.Is(err, auth.ErrNotFound) {
				return nil // it was deleted meanwhile
			}
			return err
		},
	}, nil
}

// judgeEntry judges an entry by what it leads to. One that is as it should be
// has no verdict, nor one of an account that has a verdict of its own.
func (x *examination) judgeEntry(ctx context.Context, key string) (*verdict, error) {
	value, err := x.find(ctx, key)
	if value == nil || err != nil {
		return nil, err
	}
	v := &verdict{
		Finding:  Finding{Key: key},
		evidence: string(value),
		again:    func(ctx context.Context) (*verdict, error) { return x.judgeEntry(ctx, key) },
		cure:     x.freeing(key, value),
	}
	e, err := decodeEntry(value)
	if err != nil {
		v.Code, v.sure = FindUnreadable, true
		v.Detail = "the entry cannot be read: whoever has this name cannot sign in"
		v.Do = "a repair removes it, and makes it anew if an account bears the name"
		return v, nil
	}
	v.Account = e.Account
	a, exists, err := x.bearer(ctx, e.Account)
	switch {
	case err != nil:
		return nil, err
	case exists && a == nil, !e.Until.IsZero() && x.now().Before(e.Until), e.isTombstone() && e.Tomb.holds(x.now()):
		return nil, nil
	case a != nil && x.leadsTo(key, a):
		return nil, nil
	case !e.Until.IsZero():
		v.Code, v.Harmless = FindReservation, true
		v.Detail = "a name was reserved for an account that it was never given to; the entry expires a day after"
		v.Do = "a repair removes it; whoever needs the name before that takes it over"
	case e.isTombstone():
		v.Code, v.Harmless = FindStale, true
		v.Detail = "the name of a deleted account was in quarantine, which is over"
		v.Do = "a repair removes the entry; it bars nobody"
	case a == nil:
		v.Code, v.Harmless = FindStale, true
		v.Detail = "the entry leads to an account that does not exist"
		v.Do = "a repair removes it; whoever needs the name before that takes it over"
	default:
		v.Code, v.Harmless = FindStale, true
		v.Detail = fmt.Sprintf("the entry leads to %s, which does not have that name: nobody is found by it", a.Username)
		v.Do = "a repair removes it; whoever needs the name before that takes it over"
	}
	return v, nil
}

// leadsTo reports whether an account has, or has announced, a name of that key.
func (x *examination) leadsTo(key string, a *Account) bool {
	all := x.names().of(a)
	if a.Change != nil {
		all = append(all, x.names().announced(a.Change)...)
	}
	return slices.ContainsFunc(all, func(n name) bool { return n.key == key })
}

// judgeName judges a name that these accounts bore when they were seen.
func (x *examination) judgeName(ctx context.Context, key string, ids []string) (*verdict, error) {
	for range 5 {
		v, stable, err := x.judgeNameNow(ctx, key, ids)
		if err != nil || stable {
			return v, err
		}
	}
	return nil, nil // nobody can tell; the next examination may
}

// judgeNameNow reads the accounts before and after the entry. They bore the
// name at the moment at which the entry was read if they have not changed; and
// the protocol confirms an entry before an account bears its name, and removes
// it after the account has given the name up.
func (x *examination) judgeNameNow(ctx context.Context, key string, ids []string) (v *verdict, stable bool, err error) {
	value, err := x.find(ctx, key)
	if err != nil {
		return nil, false, err
	}
	e, err := decodeEntry(value)
	readable := err == nil
	if readable && e.Account != "" && !slices.Contains(ids, e.Account) {
		ids = append(slices.Clone(ids), e.Account)
	}
	bearers, err := x.bearers(ctx, key, ids)
	if err != nil {
		return nil, false, err
	}
	now, err := x.find(ctx, key)
	if err != nil || !bytes.Equal(now, value) || (now == nil) != (value == nil) {
		return nil, false, err
	}
	after, err := x.bearers(ctx, key, ids)
	same := func(a, b *Account) bool { return bytes.Equal(a.raw, b.raw) }
	if err != nil || !slices.EqualFunc(bearers, after, same) {
		return nil, false, err
	}
	switch {
	case len(bearers) == 0:
		return nil, true, nil
	case len(bearers) > 1:
		v, err := x.duplicate(ctx, key, ids, bearers, e.Account)
		return v, true, err
	case readable && e.Account == bearers[0].ID && e.Until.IsZero():
		return nil, true, nil
	}
	a := bearers[0]
	n := x.nameOf(a, key)
	v = &verdict{
		Finding: Finding{
			Code: FindMissing, Key: key, Account: a.ID,
			Detail: fmt.Sprintf("%s bears %s, and %s: nobody finds the account by it", a.Username, n.words(), entryWords(value, e, readable, a)),
			Do:     "a repair makes the entry",
		},
		evidence: string(value),
		again:    func(ctx context.Context) (*verdict, error) { return x.judgeName(ctx, key, ids) },
		cure:     x.leading(n, a.ID, value),
	}
	// It is not sure: a sign-in may have found out for itself that the entry was
	// lost, and be about to put it back.
	return v, true, nil
}

// entryWords says what stands in the place of the entry of a name.
func entryWords(value []byte, e entry, readable bool, a *Account) string {
	switch {
	case value == nil:
		return "there is no entry for it"
	case !readable:
		return "its entry cannot be read"
	case e.Account == a.ID:
		return "its entry is only reserved and expires"
	}
	return "its entry leads to " + e.Account + ", which does not bear it"
}

// bearers are those of the accounts that bear a name, in the order of ids.
func (x *examination) bearers(ctx context.Context, key string, ids []string) ([]*Account, error) {
	var all []*Account
	for _, id := range ids {
		a, _, err := x.bearer(ctx, id)
		if err != nil {
			return nil, err
		}
		if a != nil && a.settledDown() && x.nameOf(a, key).key != "" {
			all = append(all, a)
		}
	}
	return all, nil
}

func (x *examination) nameOf(a *Account, key string) name {
	for _, n := range x.names().of(a) {
		if n.key == key {
			return n
		}
	}
	return name{}
}

// words is a name as administrators know it.
func (n name) words() string {
	switch n.kind {
	case byLink:
		return fmt.Sprintf("the link to %q at %s", n.link.Subject, n.link.Connection)
	case byEmail:
		return "the e-mail " + n.value
	default:
		return "the username " + n.value
	}
}

// duplicate tells of accounts that bear one name. Which of them is right nobody
// can tell from here: to choose would give one person's account to another.
func (x *examination) duplicate(ctx context.Context, key string, ids []string, bearers []*Account, leads string) (*verdict, error) {
	n := x.nameOf(bearers[0], key)
	v := &verdict{
		Finding: Finding{Key: key, Account: bearers[0].ID},
		sure:    true,
		again:   func(ctx context.Context) (*verdict, error) { return x.judgeName(ctx, key, ids) },
	}
	found := "none of them is found by it"
	for _, a := range bearers {
		last, err := x.lastSignIn(ctx, a.ID)
		if err != nil && !errors.Is(err, store.ErrDown) {
			last, err = time.Time{}, nil // unreadable, of which there is a finding
		}
		if err != nil {
			return nil, err
		}
		v.Accounts = append(v.Accounts, Bearer{
			ID: a.ID, Username: a.Username, Email: a.verifiedEmail(), Status: a.Status,
			Created: a.Created, LastSignIn: last, Found: a.ID == leads,
		})
		if a.ID == leads {
			found = a.ID + " is the one that is found by it"
		}
	}
	v.Detail = fmt.Sprintf("%d accounts bear %s; %s", len(bearers), n.words(), found)
	const look = "decide which account is right (gatehouse user show ID), and then, for the other, run "
	switch n.kind {
	case byLink:
		v.Code = FindDuplicateLink
		v.Do = look + "gatehouse user unlink ID --connection " + n.link.Connection + ", or gatehouse user delete ID"
	case byEmail:
		v.Code = FindDuplicateMail
		v.Do = look + `gatehouse user set ID --email "", or gatehouse user delete ID`
	default:
		v.Code = FindDuplicateUser
		v.Do = look + "gatehouse user delete ID"
	}
	v.Do += "; then run gatehouse doctor --repair. Accounts are never merged by themselves"
	return v, nil
}

// judgeOrphan judges a record that another one than this account's cannot be.
func (x *examination) judgeOrphan(ctx context.Context, key, id string, kind Records) (*verdict, error) {
	value, err := x.find(ctx, key)
	if value == nil || err != nil {
		return nil, err
	}
	if account, err := x.find(ctx, accountKey(id)); account != nil || err != nil {
		return nil, err
	}
	return &verdict{
		Finding: Finding{
			Code: FindOrphan, Key: key, Account: id,
			Detail: "a " + kind.Kind + " record of an account that does not exist (any more)",
			Do:     "a repair removes it", Harmless: kind.Trifling,
		},
		evidence: string(value),
		again:    func(ctx context.Context) (*verdict, error) { return x.judgeOrphan(ctx, key, id, kind) },
		cure:     x.removing(key, value),
	}, nil
}

// judgeOther judges whether a record can be read.
func (x *examination) judgeOther(ctx context.Context, key string, kind Records) (*verdict, error) {
	value, err := x.find(ctx, key)
	if value == nil || err != nil {
		return nil, err
	}
	unreadable := kind.Read(key, value)
	if unreadable == nil {
		return nil, nil
	}
	v := &verdict{
		Finding: Finding{
			Code: FindUnreadable, Key: key,
			Detail: "the record cannot be read: " + unreadable.Error(),
			Do:     kind.Cure,
		},
		evidence: string(value), sure: true,
		again: func(ctx context.Context) (*verdict, error) { return x.judgeOther(ctx, key, kind) },
	}
	if kind.PerAccount {
		v.Account = strings.TrimPrefix(key, kind.Kind+":")
		v.Do = strings.ReplaceAll(kind.Cure, "ID", v.Account)
	}
	if kind.Removable != nil && kind.Removable(value) {
		v.Do = "a repair removes it; " + v.Do
		v.cure = x.removing(key, value)
	}
	return v, nil
}
