package config

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"gatehouse/auth"
)

// longestAfter bounds the times that are counted after somebody has gone.
const longestAfter = 3650 * day

func (l *loader) validateProvisioning(c *Config) {
	p, at := &c.JITProvisioning, "jit_provisioning"
	for _, name := range slices.Sorted(maps.Keys(p.AttributeSources)) {
		l.validateSources(child(at+".attribute_sources", name), name, p.AttributeSources[name], c)
	}
	for i, name := range p.ProtectedAttributes {
		path := index(at+".protected_attributes", i)
		switch name {
		case AttrUsername:
			l.problem(path, "the username is fixed when the account is made, so it needs no protection", "remove it")
		case AttrEmail:
			l.problem(path, "the e-mail address has rules of its own: it is how an account is found", "remove it; trust_email: never makes a connection's addresses count for nothing")
		case AttrGroups:
			l.problem(path, "protects single groups by their names only", "name them in jit_provisioning.protected_groups; groups_allowed: [] lets a connection supply none")
		default:
			l.validateAttributeName(path, name)
		}
	}
	l.refuseTwice(at+".protected_attributes", p.ProtectedAttributes)
	l.validateGroups(at+".protected_groups", p.ProtectedGroups)
	l.refuseTwice(at+".protected_groups", p.ProtectedGroups)
	l.validateDuration(at+".quarantine", p.Quarantine, 0, longestAfter)
	l.validateInactive(at+".inactive", p.Inactive)
}

// validateSources judges who may write one attribute.
func (l *loader) validateSources(path, name string, sources []string, c *Config) {
	switch name {
	case AttrUsername:
		l.problem(path, "the username is fixed when the account is made, so that no source comes after another", "remove it")
		return
	case AttrGroups:
		l.problem(path, "an account has the groups of all its sources, as jit.group_sync says", "remove it")
		return
	}
	l.validateAttributeName(path, name)
	if len(sources) == 0 {
		l.problem(path, "names no source, so that nobody could write it", "write the ids of connections, the strongest first, and local for administrators; or use protected_attributes")
	}
	for i, id := range sources {
		at := l.item(path, i)
		l.validateConnectionID(at, l.show(at, id), id, c, auth.Local)
	}
	l.refuseTwice(path, sources)
}

// validateInactive judges the rule for accounts that nobody uses. A day is the
// least: a shorter time would end accounts between two working days.
func (l *loader) validateInactive(path string, in Inactive) {
	for _, after := range [...]struct {
		key string
		d   time.Duration
	}{{"disable_after", in.DisableAfter}, {"delete_after", in.DeleteAfter}} {
		switch {
		case after.d != 0 && after.d < day:
			l.problem(path+"."+after.key, short(after.d)+" is shorter than a day", "write 0 for never, or a time such as 90d")
		case after.d > longestAfter:
			l.problem(path+"."+after.key, fmt.Sprintf("%s is longer than %s", short(after.d), short(longestAfter)), "write 0 for never, or a shorter time")
		}
	}
	if in.DeleteAfter > 0 && in.DeleteAfter <= in.DisableAfter {
		l.problem(path+".delete_after", fmt.Sprintf("%s is not longer than disable_after, %s: an account would never be disabled first", short(in.DeleteAfter), short(in.DisableAfter)), "make it longer, or remove disable_after")
	}
	l.validateGroups(path+".exempt_groups", in.ExemptGroups)
}
