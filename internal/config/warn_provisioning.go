package config

import (
	"fmt"
	"maps"
	"slices"

	"gatehouse/auth"
)

// warnPolicies looks for a mode or on_absent of an attribute that has no
// effect, because the connection stores nothing or is not to supply it. Where
// nothing is stored, session_only says what happens.
func (l *loader) warnPolicies(at string, c *Connection, all JITProvisioning) {
	for _, a := range c.Attributes {
		key := "mode"
		if a.Mode == "" {
			key = "on_absent"
		}
		if a.Mode == "" && a.OnAbsent == "" || slices.Contains(all.ProtectedAttributes, a.Name) {
			continue
		}
		path := child(at+".attributes", a.Name) + "." + key
		sources, ranked := all.AttributeSources[a.Name]
		switch {
		case !c.JIT.Enabled && a.Mode != ModeSessionOnly:
			l.warning(path, WarnPolicyUnused, fmt.Sprintf("connection %s has jit.enabled: false, so that nothing is stored and %s has no effect", c.ID, key))
		case c.JIT.Enabled && ranked && !slices.Contains(sources, c.ID):
			l.warning(path, WarnPolicyUnused, fmt.Sprintf("connection %s is not in jit_provisioning.attribute_sources.%s, so that it does not supply the attribute and %s has no effect", c.ID, a.Name, key))
		}
	}
}

// warnProvisioning looks for what jit_provisioning says to no effect.
func (l *loader) warnProvisioning(c *Config) {
	p, at := c.JITProvisioning, "jit_provisioning"
	for _, name := range slices.Sorted(maps.Keys(p.AttributeSources)) {
		path := child(at+".attribute_sources", name)
		if slices.Contains(p.ProtectedAttributes, name) {
			l.warning(path, WarnSourceUnused, "is in jit_provisioning.protected_attributes, so that no connection supplies it; remove it from one of them")
			continue
		}
		for i, id := range p.AttributeSources[name] {
			if why := c.idle(id, name); why != "" {
				l.warning(l.item(path, i), WarnSourceUnused, fmt.Sprintf("connection %s %s, so that it never supplies it to an account", id, why))
			}
		}
	}
	if in := p.Inactive; (in.DisableAfter > 0 || in.DeleteAfter > 0) && len(in.ExemptGroups) == 0 {
		l.warning(at+".inactive.exempt_groups", WarnNobodyExempt, "is empty: an administrator who was away for long would be locked out as well; name a group of people who are left alone, such as admins")
	}
}

// idle says why a source never supplies an attribute to an account. Of a connection that is
// disabled nothing is said: it may come back.
func (c *Config) idle(id, name string) string {
	conn := c.Connection(id)
	if id == auth.Local || conn == nil || conn.Disabled {
		return ""
	}
	switch {
	case !conn.maps(name):
		return "does not map the attribute"
	case !conn.JIT.Enabled:
		return "has jit.enabled: false and no accounts"
	}
	return ""
}
