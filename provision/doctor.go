package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/store"
)

// FindingCode says what kind of thing is wrong; it is stable.
type FindingCode string

// The codes of findings. Of those that are harmless nobody notices anything:
// they are what processes leave behind that die, and whoever needs a name takes
// it over from them.
const (
	FindMissing       FindingCode = "entry-missing"       // an account bears a name, and no entry leads from it to the account
	FindStale         FindingCode = "entry-stale"         // an entry leads to no account, or to one without that name. Harmless
	FindReservation   FindingCode = "reservation-expired" // a name was reserved, and never given. Harmless
	FindUnfinished    FindingCode = "account-unfinished"  // an account was begun, and never finished. Harmless
	FindChange        FindingCode = "change-unfinished"   // a new name was announced, and never given. Harmless
	FindDuplicateLink FindingCode = "duplicate-link"      // several accounts bear the same link
	FindDuplicateMail FindingCode = "duplicate-email"
	FindDuplicateUser FindingCode = "duplicate-username"
	FindDeletion      FindingCode = "deletion-unfinished" // an account is refused as deleted, and still there
	FindHistory       FindingCode = "history-broken"      // the last change of an account is not in its history
	FindOrphan        FindingCode = "orphan"              // a record of an account that is gone
	FindUnreadable    FindingCode = "unreadable"          // a record that this version cannot read
)

// EventHistoryLost is a note in the history of an account: what happened before
// is not known any more.
const EventHistoryLost = "history_lost"

// Finding is something in the store that is not as it should be.
type Finding struct {
	Code     FindingCode `json:"code"`
	Key      string      `json:"key"`     // of the record; names in keys are keyed hashes
	Account  string      `json:"account"` // its id; "": none
	Detail   string      `json:"detail"`  // what is wrong, for administrators
	Do       string      `json:"do"`      // what a repair does, or what an administrator can do
	Harmless bool        `json:"harmless"`
	Repaired bool        `json:"repaired"`
	Accounts []Bearer    `json:"accounts,omitempty"` // that bear the same name
}

// Bearer is one of several accounts that bear one name.
type Bearer struct {
	ID         string    `json:"id"`
	Username   string    `json:"username"`
	Email      string    `json:"email"` // verified
	Status     Status    `json:"status"`
	Created    time.Time `json:"created"`
	LastSignIn time.Time `json:"last_sign_in,omitzero"`
	Found      bool      `json:"found"` // it is the one that a sign-in finds
}

// Records are what another package keeps, so that Examine can judge them too.
type Records struct {
	Kind string // what stands before the colon in their keys
	// Read tells whether a record can be read. Its error is for administrators.
	Read func(key string, value []byte) error
	// PerAccount: the rest of the key is the id of an account.
	PerAccount bool
	// Trifling: one of an account that is gone tells nothing of anybody.
	Trifling bool
	Cure     string // what an administrator can do about one that cannot be read; ID stands for the account
	// Removable tells whether a repair may remove one that cannot be read; nil:
	// none.
	Removable func(value []byte) bool
}

// Examination says how to examine a store.
type Examination struct {
	Repair bool
	Others []Records
	// Pause waits for so long, so that what is under way can end; nil: by the
	// wall clock.
	Pause func(context.Context, time.Duration) error
}

// Health is what an examination found.
type Health struct {
	Accounts int                 `json:"accounts"` // looked at, in every state
	Entries  int                 `json:"entries"`  // of the indexes
	Records  map[string]int      `json:"records"`  // looked at, by what stands before the colon in their keys
	Findings []Finding           `json:"findings"` // at most MostFindings
	Counts   map[FindingCode]int `json:"counts"`   // all of them
	Repaired int                 `json:"repaired"`
	Remain   int                 `json:"remain"`   // neither repaired nor harmless
	Harmless int                 `json:"harmless"` // and not repaired
}

// OK reports whether nothing is wrong (any more) that does harm.
func (h Health) OK() bool { return h.Remain == 0 }

const (
	// MostFindings bounds the findings that are told one by one. Who has lost an
	// index has as many as people.
	MostFindings = 10_000
	// settled is how long nobody may touch what somebody might be at work on,
	// before it counts as left behind.
	settled = lease + lease/2
)

// examination is one walk through the store.
type examination struct {
	*Directory
	Examination
	health Health
	hash   hashes
	known  map[mark]struct{} // accounts
	// expected are what accounts name and has not been seen: entries that lead
	// to them, and their last change.
	expected map[mark]struct{}
	suspect  []*verdict // found, and not settled
}

// Examine walks through the store and finds what the protocol would not have
// left there. Sign-ins and administrators go on meanwhile: what looks wrong in
// the walk is read again, and what somebody could be at work on once more after
// longer than a lease. With Repair each finding is then put right by
// compare-and-swap on the very bytes that were judged, one key at a time; the
// account is the truth, and what two accounts claim is left to an
// administrator. Several examinations may run at once, and one that is cut
// short has done no harm.
//
// It needs about 40 bytes of memory for each account and each of its names, 160
// MB for a million people with a link, an e-mail and a username, and as much for
// a while for what Scan remembers on Redis. Errors: auth.ErrStoreDown.
func (d *Directory) Examine(ctx context.Context, how Examination) (Health, error) {
	x := &examination{
		Directory: d, Examination: how, hash: newHashes(), known: map[mark]struct{}{}, expected: map[mark]struct{}{},
		health: Health{Records: map[string]int{}, Findings: []Finding{}, Counts: map[FindingCode]int{}},
	}
	if x.Pause == nil {
		x.Pause = pause
	}
	err := x.walk(ctx)
	if err == nil {
		err = x.settle(ctx)
	}
	slices.SortStableFunc(x.health.Findings, func(a, b Finding) int {
		return cmp.Or(worse(a)-worse(b), strings.Compare(string(a.Code), string(b.Code)), strings.Compare(a.Key, b.Key))
	})
	return x.health, storeTrouble("examine", err)
}

func worse(f Finding) int {
	switch {
	case f.Repaired:
		return 1
	case f.Harmless:
		return 2
	}
	return 0
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// verdict is a finding, and what else the examination needs to know of it.
type verdict struct {
	Finding
	// evidence is the bytes that were judged. Somebody who is at work changes
	// them.
	evidence string
	// sure: the protocol never leaves this, not even for a moment.
	sure  bool
	again func(context.Context) (*verdict, error) // nil: there is nothing (any more)
	cure  func(context.Context) error             // nil: only an administrator can tell what is right
}

// note keeps a verdict until it is settled; nil: there is none.
func (x *examination) note(ctx context.Context, v *verdict, err error) error {
	if v == nil || err != nil {
		return err
	}
	x.suspect = append(x.suspect, v)
	if len(x.suspect) < MostFindings {
		return nil
	}
	return x.settle(ctx)
}

// settle waits until what was somebody's work has come to an end, judges again,
// and repairs.
func (x *examination) settle(ctx context.Context) error {
	suspect := x.suspect
	x.suspect = nil
	if slices.ContainsFunc(suspect, func(v *verdict) bool { return !v.sure }) {
		if err := x.Pause(ctx, settled); err != nil {
			return err
		}
	}
	var found []*verdict
	for _, v := range suspect {
		if !v.sure {
			again, err := v.again(ctx)
			if err != nil {
				return err
			}
			if again == nil || again.evidence != v.evidence || again.Code != v.Code {
				continue
			}
			v = again
		}
		found = append(found, v)
	}
	// All are judged before the first is repaired: to repair is to be at work.
	for _, v := range found {
		if x.Repair {
			if err := x.repair(ctx, v); err != nil {
				return err
			}
		}
		x.count(v.Finding)
	}
	return nil
}

// repair cures what was found, as it is by now, and looks whether it helped.
// What fails but for the store is told with the finding.
func (x *examination) repair(ctx context.Context, v *verdict) error {
	now, err := v.again(ctx)
	if err == nil && now != nil && now.cure != nil {
		if err = now.cure(ctx); err == nil {
			now, err = v.again(ctx)
		}
	}
	switch {
	case errors.Is(err, store.ErrDown), ctx.Err() != nil:
		return err
	case err != nil:
		v.Detail += fmt.Sprintf("; the repair failed: %v", err)
	case now == nil:
		// Perhaps another examination, or a sign-in, was faster.
		v.Repaired = true
		x.log().InfoContext(ctx, "the store was repaired", "code", string(v.Code), "key", v.Key, "account", v.Account)
	}
	return nil
}

func (x *examination) count(f Finding) {
	h := &x.health
	h.Counts[f.Code]++
	switch {
	case f.Repaired:
		h.Repaired++
	case f.Harmless:
		h.Harmless++
	default:
		h.Remain++
	}
	if len(h.Findings) < MostFindings {
		h.Findings = append(h.Findings, f)
	}
}
