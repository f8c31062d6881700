package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxConstant bounds the values of a constant, in bytes: a header holds no more.
const maxConstant = 8 << 10

func (l *loader) validateAttribute(path string, a Attribute) {
	l.validateAttributeName(path, a.Name)
	from := path
	if _, ok := l.places[path+".from"]; ok {
		from = path + ".from"
	}
	for i, claim := range a.From {
		if at := l.item(from, i); !isClaimPath(claim) {
			l.problem(at, l.show(at, claim)+" is not the path of a claim", "write the names of claims, with dots between them where they nest")
		}
	}
	l.refuseTwice(from, a.From)
	l.validateConstant(path+".constant", a)
	l.validatePolicy(path, a)
}

func (l *loader) validateAttributeName(path, name string) {
	if !isName(name) {
		l.problem(path, "the name of an attribute is part of a header's name", "write letters, digits and - . _, beginning with a letter or digit, at most 64")
	}
}

func (l *loader) validateConstant(path string, a Attribute) {
	if len(a.Constant) == 0 {
		return
	}
	if a.Name == AttrUsername || a.Name == AttrEmail {
		// The first account that was made so would be everybody's.
		l.problem(path, "would be the same for everybody: all people would be one", "name the claim that has it, with from")
		return
	}
	size := 0
	for i, value := range a.Constant {
		size += len(value)
		if strings.TrimSpace(value) == "" {
			l.problem(l.item(path, i), "is empty", "write a value, or remove it")
		}
	}
	if size > maxConstant {
		l.problem(path, fmt.Sprintf("has more than %d bytes, which no header can hold", maxConstant), "write less")
	}
	l.refuseTwice(path, a.Constant)
}

// validatePolicy refuses the policies that mean nothing: those of attributes
// that have rules of their own, and contradictions.
func (l *loader) validatePolicy(path string, a Attribute) {
	var why string
	switch a.Name {
	case AttrUsername:
		why = "the username is fixed when the account is made"
	case AttrGroups:
		why = "groups have jit.group_sync"
	case AttrEmail:
		why = "the e-mail address has rules of its own: it is how an account is found"
	}
	for _, p := range [...]struct{ key, value string }{{"mode", a.Mode}, {"on_absent", a.OnAbsent}} {
		if why != "" && p.value != "" {
			l.problem(path+"."+p.key, "cannot be set here: "+why, "remove it")
		}
	}
	switch at := path + ".on_absent"; {
	case a.OnAbsent == "":
	case a.Mode == ModeSessionOnly:
		l.problem(at, "says what becomes of a stored value, and session_only stores none", "remove one of them")
	case len(a.Constant) > 0:
		l.problem(at, "says what becomes of a value that is not sent, and a constant always is there", "remove it")
	}
}

// validateAttributeNames refuses two attributes that would share one header:
// which of them an application sees would depend on the order of a map. A name
// of jit_provisioning in another spelling would protect nothing.
func (l *loader) validateAttributeNames(c *Config) {
	first := map[string]string{fold(AttrName): AttrName} // an account has a name whatever is mapped
	check := func(path, name string) {
		folded := fold(name)
		if other, ok := first[folded]; ok && other != name {
			l.problem(path, fmt.Sprintf("has the same header as the attribute %s: letter case and punctuation make no difference there", quote(other)), "rename one of them, or write both the same")
			return
		}
		first[folded] = name
	}
	for i, conn := range c.Connections {
		for _, a := range conn.Attributes {
			check(child(index("connections", i)+".attributes", a.Name), a.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.JITProvisioning.AttributeSources)) {
		check(child("jit_provisioning.attribute_sources", name), name)
	}
	for i, name := range c.JITProvisioning.ProtectedAttributes {
		check(index("jit_provisioning.protected_attributes", i), name)
	}
}
