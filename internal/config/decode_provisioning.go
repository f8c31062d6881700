package config

// jitProvisioning reads what holds for all connections.
func jitProvisioning(o *object) JITProvisioning {
	defer o.done()
	return JITProvisioning{
		PreserveLocallyAddedClaims: o.flag("preserve_locally_added_claims", false),
		AttributeSources:           attributeSources(o),
		ProtectedAttributes:        o.texts("protected_attributes"),
		ProtectedGroups:            o.texts("protected_groups"),
		Quarantine:                 o.duration("quarantine", 0),
		Inactive:                   inactive(o.object("inactive")),
	}
}

func attributeSources(o *object) map[string][]string {
	entries := o.entries("attribute_sources")
	if len(entries) == 0 {
		return nil
	}
	sources := make(map[string][]string, len(entries))
	for _, e := range entries {
		sources[e.name] = o.l.oneOrMore(e.node, e.path)
	}
	return sources
}

func inactive(o *object) Inactive {
	defer o.done()
	return Inactive{
		DisableAfter: o.duration("disable_after", 0),
		DeleteAfter:  o.duration("delete_after", 0),
		ExemptGroups: o.texts("exempt_groups", "admins"),
	}
}
