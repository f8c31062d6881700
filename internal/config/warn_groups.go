package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// warnGroups looks for connections that may supply any group while a rule of
// this file gives a group a meaning. The usual value of link_protected_groups
// does not count, or every connection would be warned about. Nor do protected
// groups: no connection can supply one.
func (l *loader) warnGroups(c *Config) {
	var named []string
	for i := range c.Routes {
		named = c.Routes[i].Access.appendGroups(named)
	}
	for i := range c.Connections {
		if !c.Connections[i].Disabled && l.isSet(index("connections", i)+".jit.link_protected_groups") {
			named = append(named, c.Connections[i].JIT.LinkProtectedGroups...)
		}
	}
	if c.Admin.AllowFederated {
		named = append(named, c.Admin.Groups...)
	}
	slices.Sort(named)
	named = slices.DeleteFunc(slices.Compact(named), func(g string) bool { return slices.Contains(c.JITProvisioning.ProtectedGroups, g) })
	for i := range c.Connections {
		c := &c.Connections[i]
		if c.Disabled || c.Groups != nil {
			continue
		}
		given := slices.DeleteFunc(slices.Clone(named), func(g string) bool { return !c.mayBeSent(g) })
		if len(given) == 0 {
			continue
		}
		list := strings.Trim(quote(strings.Join(given, ", ")), `"`)
		l.warning(index("connections", i)+".groups_allowed", WarnGroupsAllowed, fmt.Sprintf("connection %s may supply any group, also those that rules of this file name (%s): whoever manages groups there gives rights here; list the groups that it may supply", c.ID, list))
	}
}

// mayBeSent reports whether who manages groups at the provider can make a
// person a member of a group here, as far as groups_allowed lets it in.
func (c *Connection) mayBeSent(group string) bool {
	a, mapped := c.Attribute(AttrGroups)
	if !mapped || len(a.Constant) > 0 {
		return false
	}
	if _, renamed := c.GroupMapping[group]; !renamed {
		return true
	}
	for _, here := range c.GroupMapping {
		if slices.Contains(here, group) {
			return true
		}
	}
	return false
}

// warnSupplied looks for what the file itself has a connection supply, and
// what never arrives: because it is protected, not among groups_allowed, or
// called otherwise.
func (l *loader) warnSupplied(at string, c *Connection, all JITProvisioning) {
	for _, a := range c.Attributes {
		// The usual mapping of a name that the file does not mention is
		// nobody's intention.
		if path := child(at+".attributes", a.Name); l.isSet(path) && slices.Contains(all.ProtectedAttributes, a.Name) {
			l.warning(path, WarnProtected, fmt.Sprintf("connection %s: the attribute is in jit_provisioning.protected_attributes, so that no connection can supply it: what is mapped here is dropped", c.ID))
		}
	}
	groups, mapped := c.Attribute(AttrGroups)
	if !mapped {
		return
	}
	for i, name := range groups.Constant {
		if _, renamed := c.GroupMapping[name]; !renamed {
			l.warnDropped(l.item(at+".attributes.groups.constant", i), name, c, all)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.GroupMapping)) {
		path := child(at+".group_mapping", name)
		for i, here := range c.GroupMapping[name] {
			l.warnDropped(l.item(path, i), here, c, all)
		}
	}
	if c.Groups == nil {
		return
	}
	for i, group := range *c.Groups {
		path := index(at+".groups_allowed", i)
		switch {
		case slices.Contains(all.ProtectedGroups, group):
			l.warning(path, WarnProtected, fmt.Sprintf("connection %s: %s is in jit_provisioning.protected_groups, so that no connection can supply it", c.ID, l.show(path, group)))
		case len(groups.Constant) == 0 && !c.mayBeSent(group):
			l.warning(path, WarnGroupRenamed, fmt.Sprintf("connection %s: group_mapping calls %s otherwise before groups_allowed is asked, so that it never is supplied; write the name that it has here", c.ID, l.show(path, group)))
		}
	}
}

// warnDropped warns of a group that the file has the connection supply and
// that does not come in.
func (l *loader) warnDropped(path, group string, c *Connection, all JITProvisioning) {
	switch {
	case slices.Contains(all.ProtectedGroups, group):
		l.warning(path, WarnProtected, fmt.Sprintf("connection %s: %s is in jit_provisioning.protected_groups, so that no connection can supply it", c.ID, l.show(path, group)))
	case c.Groups != nil && !slices.Contains(*c.Groups, group):
		l.warning(path, WarnGroupDropped, fmt.Sprintf("connection %s: %s is not in groups_allowed, so that it is dropped; add it there", c.ID, l.show(path, group)))
	}
}

// appendGroups appends the groups that a rule names.
func (a *Access) appendGroups(groups []string) []string {
	groups = append(groups, a.Groups...)
	for i := range a.All {
		groups = a.All[i].appendGroups(groups)
	}
	for i := range a.Any {
		groups = a.Any[i].appendGroups(groups)
	}
	if a.Not != nil {
		groups = a.Not.appendGroups(groups)
	}
	return groups
}
