package provision

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// What of an account history keeps.
const (
	fieldStatus    = "status"
	fieldUsername  = "username"
	fieldEmail     = "email"
	fieldAttribute = "attribute"
	fieldGroups    = "groups"
	fieldLinks     = "links"
)

// Bounds of one entry.
const (
	maxValueBytes = 256
	maxValues     = 8
	maxEntryBytes = 8 << 10
)

// factKey is one thing that an account can have: a single one, or a set, whose
// elements come from a source.
type factKey struct{ field, name, source, issuer string }

func (k factKey) set() bool { return k.field == fieldGroups || k.field == fieldLinks }

// facts are what an account has. The times at which it got it are history's
// own.
type facts map[factKey]HistoryValue

func factsOf(a *Account) facts {
	f := facts{
		{field: fieldStatus}:   {Values: []string{string(a.Status)}},
		{field: fieldUsername}: {Values: []string{a.Username}},
	}
	if a.Email.Address != "" {
		f[factKey{field: fieldEmail}] = HistoryValue{Values: []string{a.Email.Address}, Source: a.Email.Source, Verified: a.Email.Verified}
	}
	for name, v := range a.Attributes {
		f[factKey{field: fieldAttribute, name: name}] = HistoryValue{Values: v.Values, Source: v.Source}
	}
	for _, g := range a.Groups {
		f.add(factKey{field: fieldGroups, source: g.Source}, HistoryValue{Values: []string{g.Name}})
	}
	for _, l := range a.Links {
		f.add(factKey{field: fieldLinks, source: l.Connection, issuer: l.Issuer}, HistoryValue{Values: []string{l.Subject}})
	}
	return f
}

// add puts elements into a set.
func (f facts) add(k factKey, v HistoryValue) {
	f[k] = HistoryValue{Values: append(f[k].Values, v.Values...)}
}

// take removes elements from a set, and the set with its last one.
func (f facts) take(k factKey, v HistoryValue) {
	left := without(f[k].Values, v.Values)
	if len(left) == 0 {
		delete(f, k)
		return
	}
	f[k] = HistoryValue{Values: left}
}

func without(list, gone []string) []string {
	if len(gone) == 0 {
		return list
	}
	drop := make(map[string]bool, len(gone))
	for _, v := range gone {
		drop[v] = true
	}
	var kept []string
	for _, v := range list {
		if !drop[v] {
			kept = append(kept, v)
		}
	}
	return kept
}

// diff is what makes to of from: an empty list when both are the same.
func diff(from, to facts) []HistoryChange {
	keys := maps.Clone(from)
	maps.Copy(keys, to)
	changes := []HistoryChange{}
	for _, k := range slices.SortedFunc(maps.Keys(keys), compareFacts) {
		before, had := from[k]
		after, has := to[k]
		c := HistoryChange{Field: k.field, Name: k.name, Source: k.source, Issuer: k.issuer}
		switch {
		case k.set():
			if gone := without(before.Values, after.Values); len(gone) > 0 {
				c.Removed = &HistoryValue{Values: gone}
			}
			if come := without(after.Values, before.Values); len(come) > 0 {
				c.Added = &HistoryValue{Values: come}
			}
			if c.Removed == nil && c.Added == nil {
				continue
			}
		case had && has && before.equal(after):
			continue
		default:
			if had {
				c.Old = &before
			}
			if has {
				c.New = &after
			}
		}
		changes = append(changes, c)
	}
	return changes
}

func (v HistoryValue) equal(w HistoryValue) bool {
	return slices.Equal(v.Values, w.Values) && v.Source == w.Source && v.Verified == w.Verified && v.Cut == w.Cut && v.More == w.More
}

// compareFacts orders them as people read an account.
func compareFacts(a, b factKey) int {
	order := []string{fieldStatus, fieldUsername, fieldEmail, fieldLinks, fieldGroups, fieldAttribute}
	return cmp.Or(
		slices.Index(order, a.field)-slices.Index(order, b.field),
		strings.Compare(a.name, b.name), strings.Compare(a.source, b.source), strings.Compare(a.issuer, b.issuer),
	)
}

// before works out what the account was before some entries, newest last, of
// which only what history kept is known. unknown is how many things are not.
func (f facts) before(entries []HistoryEntry) (then facts, unknown int) {
	then = maps.Clone(f)
	lost := map[factKey]bool{}
	for _, e := range slices.Backward(entries) {
		if e.More > 0 {
			return facts{}, e.More // whose values may be of anything
		}
		for _, c := range e.Changes {
			k := factKey{c.Field, c.Name, c.Source, c.Issuer}
			if k.set() && (c.Added.partial() || c.Removed.partial()) {
				lost[k] = true
			}
			then.undo(k, c)
		}
	}
	for k := range lost {
		delete(then, k)
	}
	return then, len(lost)
}

func (f facts) undo(k factKey, c HistoryChange) {
	switch {
	case k.set():
		if c.Added != nil {
			f.take(k, *c.Added)
		}
		if c.Removed != nil {
			f.add(k, *c.Removed)
		}
	case c.Old != nil:
		f[k] = *c.Old
	default:
		delete(f, k)
	}
}

// partial reports whether history kept less than there was.
func (v *HistoryValue) partial() bool { return v != nil && v.Cut+v.More > 0 }

// bounded returns as much of the changes as one entry may keep, and how many
// it does not.
func bounded(changes []HistoryChange) (kept []HistoryChange, more int) {
	kept = []HistoryChange{}
	size := 0
	for _, c := range changes {
		c.Old, c.New, c.Removed, c.Added = c.Old.bounded(), c.New.bounded(), c.Removed.bounded(), c.Added.bounded()
		length := len(encodeHistory(c)) + 1
		if size+length > maxEntryBytes {
			more++ // and go on: a huge value must not hide what comes after it
			continue
		}
		size += length
		kept = append(kept, c)
	}
	return kept, more
}

func (v *HistoryValue) bounded() *HistoryValue {
	if v == nil {
		return nil
	}
	b := *v
	if over := len(b.Values) - maxValues; over > 0 {
		b.Values, b.More = b.Values[:maxValues], b.More+over
	}
	b.Values = append([]string{}, b.Values...)
	for i, value := range b.Values {
		short, cut := shorten(value)
		b.Values[i], b.Cut = short, b.Cut+cut
	}
	return &b
}

// shorten returns the beginning of a text, in whole characters, and how many
// bytes of it are gone.
func shorten(s string) (short string, cut int) {
	if len(s) <= maxValueBytes {
		return s, 0
	}
	n := maxValueBytes
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], len(s) - n
}
