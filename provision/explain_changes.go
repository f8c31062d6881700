package provision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// AttributeChange is what becomes of one attribute of an account.
type AttributeChange struct {
	Name   string     `json:"name"`
	Before *Attribute `json:"before"` // null: the account does not have it
	After  *Attribute `json:"after"`
	Sent   []string   `json:"sent"`   // by the connection, after its rules; null: not at all
	Policy string     `json:"policy"` // mode/on_absent
	What   string     `json:"what"`   // one of the changes below
	Why    string     `json:"why"`
}

// What becomes of an attribute or a group.
const (
	ChangeWritten     = "written"
	ChangeUnchanged   = "unchanged"
	ChangeNotWritten  = "not_written"  // it was sent, and the account keeps what it had
	ChangeKept        = "kept"         // it was not sent
	ChangeDeleted     = "deleted"      //
	ChangeSessionOnly = "session_only" // it reaches this session, and not the account
)

// visit is one answer of a connection and the account before (nil: there was
// none) and after it. What has become of the account is read from there; only
// why, from the rules.
type visit struct {
	conn          *connection
	id            admitted
	before, after *Account
	held          map[string][]string // what reached the session only
}

func (v visit) attributes() []AttributeChange {
	was := map[string]Attribute{}
	if v.before != nil {
		was = v.before.Attributes
	}
	names := map[string]bool{}
	for _, m := range []map[string]Attribute{was, v.after.Attributes} {
		for name := range m {
			names[name] = true
		}
	}
	for name := range v.id.Attributes {
		names[name] = true
	}
	list := []AttributeChange{}
	if c, any := v.email(); any {
		list = append(list, c)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c := AttributeChange{Name: name, Before: in(was, name), After: in(v.after.Attributes, name), Policy: v.policy(name)}
		values, sent := v.id.Attributes[name]
		if sent {
			c.Sent = append([]string{}, values...)
			c.What, c.Why = v.sent(c)
		} else {
			c.What, c.Why = v.absent(c)
		}
		if c.After != nil && c.After.Source != auth.Local && slices.Contains(v.conn.all.ProtectedAttributes, name) {
			c.Why += "; it is not in force: it is protected, and not from an administrator"
		}
		list = append(list, c)
	}
	return list
}

func (v visit) policy(name string) string {
	mode, onAbsent := v.conn.Policy(name)
	return mode + "/" + onAbsent
}

func in(attributes map[string]Attribute, name string) *Attribute {
	if a, has := attributes[name]; has {
		return &a
	}
	return nil
}

// sent tells of an attribute that the answer has.
func (v visit) sent(c AttributeChange) (what, why string) {
	mode, _ := v.conn.Policy(c.Name)
	_, held := v.held[c.Name]
	stays := c.Before != nil && c.After != nil && c.Before.Source == c.After.Source && slices.Equal(c.Before.Values, c.After.Values)
	switch {
	case held && c.Before != nil && c.After == nil:
		return ChangeSessionOnly, "it reaches the headers of this session only, and what the connection had stored is deleted"
	case held:
		return ChangeSessionOnly, "it reaches the headers of this session only"
	case stays && c.Before.Source == v.conn.ID && slices.Equal(c.Before.Values, c.Sent):
		return ChangeUnchanged, "the connection gave it already"
	case stays || c.After == nil:
		return ChangeNotWritten, v.whyNotWritten(c, mode)
	case v.before == nil:
		return ChangeWritten, "the account is new"
	case c.Before == nil:
		return ChangeWritten, "the account did not have it"
	case c.Before.Source == v.conn.ID:
		return ChangeWritten, "the connection gave the former value, too"
	}
	if _, ranked := v.conn.all.AttributeSources[c.Name]; ranked {
		return ChangeWritten, "in attribute_sources the connection is stronger than " + c.Before.Source
	}
	return ChangeWritten, fmt.Sprintf("its mode is %s, whoever gave the former value", mode)
}

func (v visit) whyNotWritten(c AttributeChange, mode string) string {
	switch {
	case !v.conn.supplies(c.Name):
		return "attribute_sources does not name the connection for it"
	case mode == config.ModeImportOnce:
		return "its mode is import_once: it is written when the account is made, and not later"
	case c.Before == nil:
		return "the connection does not write it"
	case v.conn.outranked(v.after, c.Name, c.Before.Source):
		return fmt.Sprintf("in attribute_sources %s, who gave the value, is stronger", c.Before.Source)
	default:
		return fmt.Sprintf("its mode is %s, and the value is from %s", mode, c.Before.Source)
	}
}

// absent tells of an attribute that the answer does not have.
func (v visit) absent(c AttributeChange) (what, why string) {
	_, onAbsent := v.conn.Policy(c.Name)
	notSent := "it was not sent, and "
	own := c.Before != nil && c.Before.Source == v.conn.ID
	switch {
	case c.After == nil && own:
		return ChangeDeleted, notSent + "was from this connection"
	case c.After == nil:
		return ChangeDeleted, notSent + "on_absent is delete, whoever gave it"
	case slices.Contains(v.conn.all.ProtectedAttributes, c.Name):
		return ChangeKept, "it is one of protected_attributes, which no sync touches"
	case !v.conn.supplies(c.Name):
		return ChangeKept, "attribute_sources does not name the connection for it"
	case v.id.silent(v.conn):
		return ChangeKept, "the answer has no attributes at all, and such an answer wipes nothing"
	case onAbsent == config.AbsentDelete:
		return ChangeKept, fmt.Sprintf("%sattribute_sources lets %s, who gave it, supply it", notSent, c.Before.Source)
	case onAbsent == config.AbsentKeep:
		return ChangeKept, notSent + "on_absent is keep"
	default:
		return ChangeKept, notSent + "is from " + c.Before.Source
	}
}

// email tells of the address as of any attribute.
func (v visit) email() (c AttributeChange, any bool) {
	var was Email
	if v.before != nil {
		was = v.before.Email
	}
	now, id := v.after.Email, v.id
	c = AttributeChange{Name: config.AttrEmail, Before: asAttribute(was), After: asAttribute(now), Policy: v.policy(config.AttrEmail)}
	if id.Email != "" {
		c.Sent = []string{id.Email}
	}
	verified := "verified"
	if !now.Verified {
		verified = "not verified: applications do not see it, and no account is found by it"
	}
	mode, _ := v.conn.Policy(config.AttrEmail)
	switch {
	case c.Before == nil && c.After == nil && c.Sent == nil:
		return c, false
	case c.After == nil && c.Sent != nil:
		c.What, c.Why = ChangeNotWritten, v.whyNotWritten(c, mode)
	case c.After == nil:
		c.What, c.Why = ChangeDeleted, "it was not sent, and was from this connection"
	case was != now:
		c.What, c.Why = ChangeWritten, verified
	case id.Email == "":
		c.What, c.Why = ChangeKept, "no address was sent"
	case was.Verified && !id.EmailVerified:
		c.What, c.Why = ChangeNotWritten, "one that is not verified never takes the place of a verified one"
	case was.Verified == id.EmailVerified && foldEmail(now.Address) == foldEmail(id.Email):
		c.What, c.Why = ChangeUnchanged, verified
	case !v.conn.writes(v.after, config.AttrEmail, mode, false, true, was.Source):
		c.What, c.Why = ChangeNotWritten, v.whyNotWritten(c, mode)
	default:
		c.What, c.Why = ChangeNotWritten, "the account has a password or gets codes by mail, or the address belongs to another account, or did until lately"
	}
	return c, true
}

func asAttribute(e Email) *Attribute {
	if e.Address == "" {
		return nil
	}
	return &Attribute{Values: []string{e.Address}, Source: e.Source, Time: e.Time}
}

// GroupChange is what becomes of a group that one source has given.
type GroupChange struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	Before bool   `json:"before"`
	After  bool   `json:"after"`
	What   string `json:"what"` // as of an attribute
	// InForce tells whether applications would see it: what a connection gave
	// counts while the connection may give it.
	InForce bool   `json:"in_force"`
	Why     string `json:"why"`
}

// groups tells of each group, and asks r what is in force.
func (v visit) groups(r *Resolver) []GroupChange {
	type key struct{ name, source string }
	all := map[key]*GroupChange{}
	note := func(a *Account) {
		for _, g := range a.Groups {
			k := key{g.Name, g.Source}
			if all[k] == nil {
				all[k] = &GroupChange{Name: g.Name, Source: g.Source}
			}
			all[k].Before, all[k].After = all[k].Before || a == v.before, all[k].After || a == v.after
		}
	}
	if v.before != nil {
		note(v.before)
	}
	note(v.after)
	list := []GroupChange{}
	for _, name := range v.id.Groups {
		if all[key{name, v.conn.ID}] == nil {
			list = append(list, GroupChange{
				Name: name, Source: v.conn.ID, What: ChangeNotWritten, Why: "group_sync is " + v.conn.JIT.GroupSync,
			})
		}
	}
	for _, c := range all {
		alone := v.after.clone()
		alone.Groups = []Group{{Name: c.Name, Source: c.Source}}
		c.InForce = c.After && len(r.groupsOf(alone)) > 0
		c.What, c.Why = v.group(*c)
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b GroupChange) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Source, b.Source))
	})
	return list
}

func (v visit) group(c GroupChange) (what, why string) {
	sync := "group_sync is " + v.conn.JIT.GroupSync
	own := c.Source == v.conn.ID
	switch {
	case !c.Before:
		what, why = ChangeWritten, "the connection gives it"
	case !c.After && own:
		what, why = ChangeDeleted, "the connection does not give it any more, and "+sync
	case !c.After:
		what, why = ChangeDeleted, sync+", whoever gave it"
	case slices.Contains(v.conn.all.ProtectedGroups, c.Name):
		what, why = ChangeKept, "it is one of protected_groups, which no sync touches"
	case own && slices.Contains(v.id.Groups, c.Name):
		what, why = ChangeUnchanged, "the connection gives it"
	case own && v.id.silent(v.conn):
		what, why = ChangeKept, "the answer has no attributes at all, and such an answer wipes nothing"
	case own:
		what, why = ChangeKept, "the connection does not give it any more, and "+sync
	default:
		what, why = ChangeKept, "it is from "+c.Source
	}
	if c.After && !c.InForce {
		why += "; it is not in force: who gave it may not give it today"
	}
	return what, why
}
