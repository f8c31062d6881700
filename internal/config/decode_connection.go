package config

// connectionTypes are the types of the contract; this version acts on oidc.
var connectionTypes = [...]string{"oidc", "github", "gitlab", "google", "entra", "oauth2"}

func connections(o *object) []Connection {
	objects := o.objects("connections")
	if len(objects) == 0 {
		return nil
	}
	all := make([]Connection, len(objects))
	for i, object := range objects {
		all[i] = connection(object)
	}
	return all
}

func connection(o *object) Connection {
	defer o.done()
	c := Connection{
		Line:         o.l.line(o.path),
		ID:           o.text("id", ""),
		Type:         o.choice("type", "oidc", connectionTypes[:]...),
		Issuer:       o.text("issuer", ""),
		ClientID:     o.text("client_id", ""),
		ClientSecret: o.secret("client_secret"),
		InsecureHTTP: o.flag("insecure_http", false),
		Scopes:       o.texts("scopes", "openid", "profile", "email"),
		EmailDomains: o.texts("email_domains"),
		Require:      require(o.object("require")),
		TrustEmail:   o.choice("trust_email", TrustClaim, TrustClaim, TrustAlways, TrustNever),
		User:         o.text("user", ""),
		GroupMapping: groupMapping(o),
		Attributes:   attributes(o),
		JIT:          jit(o.object("jit")),
		ACRValues:    acrValues(o.object("step_up")),
		Disabled:     !o.flag("enabled", true),
		Tests:        fixtures(o),
	}
	c.Name = o.text("name", c.ID)
	if c.User == "" {
		c.User = DefaultUser
	}
	if items, path, ok := o.list("groups_allowed"); ok {
		groups := o.l.texts(items, path)
		c.Groups = &groups
	}
	return c
}

// require reads the gate of a connection. A claim is held to one value or to
// any of a list.
func require(o *object) Require {
	defer o.done()
	r := Require{Groups: o.texts("groups")}
	for _, e := range o.entries("claims") {
		if r.Claims == nil {
			r.Claims = map[string][]string{}
		}
		r.Claims[e.name] = o.l.oneOrMore(e.node, e.path)
	}
	return r
}

// acrValues reads what a sign-in of another level is asked for by.
func acrValues(o *object) []string {
	defer o.done()
	return o.needed("acr_values")
}

// groupMapping reads what the groups of the provider are called here.
func groupMapping(o *object) map[string][]string {
	entries := o.entries("group_mapping")
	if len(entries) == 0 {
		return nil
	}
	names := make(map[string][]string, len(entries))
	for _, e := range entries {
		names[e.name] = o.l.oneOrMore(e.node, e.path)
	}
	return names
}

// unset is what attribute_sync may say in place of saying nothing.
const unset = "unset"

func jit(o *object) JIT {
	defer o.done()
	return JIT{
		Enabled:             o.flag("enabled", true),
		Create:              o.flag("create", true),
		AttributeSync:       o.choice("attribute_sync", unset, SyncOverrideAll, SyncPreserveLocal, SyncNone, unset),
		GroupSync:           o.choice("group_sync", GroupsSync, GroupsSync, GroupsOverride, GroupsMerge, GroupsNone),
		LinkExisting:        o.choice("link_existing", LinkAuto, LinkAuto, LinkAlways, LinkConfirm, LinkDeny),
		LinkProtectedGroups: o.texts("link_protected_groups", "admins"),
	}
}

// resolveAttributeSync lets the global switch decide for each connection that
// leaves attribute_sync unset; a value on the connection wins, whatever the
// switch says.
func (c *Config) resolveAttributeSync() {
	usual := SyncOverrideAll
	if c.JITProvisioning.PreserveLocallyAddedClaims {
		usual = SyncPreserveLocal
	}
	for i := range c.Connections {
		if j := &c.Connections[i].JIT; j.AttributeSync == unset {
			j.AttributeSync = usual
		}
	}
}
