package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// Header is one header as it goes over the wire.
type Header struct{ Name, Value string }

// Identity turns a person into headers: those for an upstream, and those of a
// forward-auth verdict. It is safe for concurrent use.
type Identity struct {
	Log *slog.Logger // of values that did not fit; nil: slog.Default

	user, email, groups, preferred string
	attribute                      func(name string) string // header name; "": none
	attributes                     []string                 // configured names, sorted
	removal                        removal
	seed                           maphash.Seed
	known                          [1024]atomic.Pointer[encoded]
}

// encoded is a person's headers. Encoding costs; a person is the same pointer
// from request to request and never changes.
type encoded struct {
	person   *auth.Person
	upstream []field
	// verdict is what forward-auth answers: every header, empty when not known,
	// so that the asking proxy overwrites what its client sent.
	verdict []field
}

type field struct {
	name   string
	values []string // one value; shared between requests, never appended to
}

// IdentityHeaders compiles identity_headers. Attributes are the names that
// connections map; a person may have others, set by an administrator.
func IdentityHeaders(cfg config.IdentityHeaders, attributes []string) (*Identity, error) {
	id := &Identity{seed: maphash.MakeSeed()}
	var names []string
	for _, c := range []struct {
		to   *string
		name string
	}{{&id.user, cfg.User}, {&id.email, cfg.Email}, {&id.groups, cfg.Groups}, {&id.preferred, cfg.PreferredUsername}} {
		if *c.to = http.CanonicalHeaderKey(c.name); c.name != "" {
			names = append(names, c.name)
		}
	}
	for _, a := range append(attributes, auth.AttributeName) {
		if a != config.AttrUsername && a != config.AttrEmail && a != config.AttrGroups {
			id.attributes = append(id.attributes, a)
		}
	}
	slices.Sort(id.attributes)
	id.attributes = slices.Compact(id.attributes)

	id.attribute = func(name string) string { return http.CanonicalHeaderKey(cfg.AttributeNames[name]) }
	if cfg.Attributes != "" {
		id.attribute = func(name string) string { return http.CanonicalHeaderKey(cfg.Attributes + attributeSuffix(name)) }
	}
	core := len(names)
	for _, a := range id.attributes {
		if header := id.attribute(a); header != "" {
			names = append(names, header)
		}
	}
	taken := map[string]bool{}
	for _, name := range names {
		if reservedName(name) {
			return nil, fmt.Errorf("identity_headers: %q cannot be an identity header", name)
		}
		if f := folded(name); taken[f] {
			return nil, fmt.Errorf("identity_headers: two values would share the header %q", name)
		} else {
			taken[f] = true
		}
	}
	id.removal = newRemoval(append(names[:core:core], slices.Collect(maps.Values(cfg.AttributeNames))...), cfg.Attributes)
	return id, nil
}

// attributeSuffix returns the end of an attribute's header name: cost_center
// is Cost-Center. Whatever a header name may not have becomes a hyphen.
func attributeSuffix(name string) string {
	parts := strings.Split(folded(name), "-")
	for i, p := range parts {
		if p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "-")
}

// Upstream returns the headers that an application gets with p's requests:
// user, e-mail, groups and preferred username always, empty when not known,
// and the attributes that p has.
func (id *Identity) Upstream(p *auth.Person) []Header { return list(id.of(p).upstream) }

func list(fields []field) []Header {
	out := make([]Header, len(fields))
	for i, f := range fields {
		out[i] = Header{f.name, f.values[0]}
	}
	return out
}

// ErrTooLarge is the error of Fits.
var ErrTooLarge = errors.New("does not fit a header")

// Fits reports whether a user and an e-mail fit their headers; half of one
// would be somebody else. Errors: ErrTooLarge.
func Fits(user, email string) error {
	for _, v := range []struct{ what, value string }{{"user", user}, {"e-mail", email}} {
		if len(v.value) > maxHeader || len(encodeValue(v.value, false)) > maxHeader {
			return fmt.Errorf("check the size of the %s: %w", v.what, ErrTooLarge)
		}
	}
	return nil
}

// nobody stands for a request without a session.
var nobody auth.Person

// of returns p's headers, encoded once while p is in use. The table is
// bounded: a person may push out another, never grow it.
func (id *Identity) of(p *auth.Person) *encoded {
	if p == nil {
		p = &nobody
	}
	slot := &id.known[maphash.Comparable(id.seed, p)%uint64(len(id.known))]
	if e := slot.Load(); e != nil && e.person == p {
		return e
	}
	e := id.encode(p)
	slot.Store(e)
	return e
}

func (id *Identity) encode(p *auth.Person) *encoded {
	e := &encoded{person: p}
	add := func(configured, verdict, value string) {
		if configured != "" {
			e.upstream = append(e.upstream, field{configured, []string{value}})
		}
		if verdict != "" {
			e.verdict = append(e.verdict, field{verdict, []string{value}})
		}
	}
	add(id.user, verdictPrefix+"User", id.scalar(p, "user", p.User))
	add(id.email, verdictPrefix+"Email", id.scalar(p, "email", p.Email))
	add(id.groups, verdictPrefix+"Groups", id.list(p, "groups", p.Groups))
	add(id.preferred, verdictPrefix+"Preferred-Username", id.scalar(p, "preferred_username", p.PreferredUsername))

	taken := map[string]bool{} // by attributes; configured ones come first
	for _, name := range id.names(p) {
		values, has := p.Attributes[name]
		suffix := attributeSuffix(name)
		if taken[folded(suffix)] {
			id.log().Warn("attribute not sent: another one has its header", "user", shown(p.User), "attribute", name)
			continue
		}
		taken[folded(suffix)] = true
		configured := id.attribute(name)
		if !has || configured != "" && id.clashes(configured) {
			configured = ""
		}
		add(configured, http.CanonicalHeaderKey(verdictPrefix+"Attr-"+suffix), id.attributeValue(p, name, values))
	}
	return e
}

// names returns the configured attribute names and then those that only p
// has, each part sorted.
func (id *Identity) names(p *auth.Person) []string {
	names := slices.Clone(id.attributes)
	for name := range p.Attributes {
		if _, configured := slices.BinarySearch(id.attributes, name); !configured && name != "" {
			names = append(names, name)
		}
	}
	slices.SortFunc(names[len(id.attributes):], cmp.Compare[string])
	return names
}

// clashes reports whether an attribute, which an administrator may name
// freely, would land on a header that means something else.
func (id *Identity) clashes(header string) bool {
	f := folded(header)
	for _, core := range []string{id.user, id.email, id.groups, id.preferred} {
		if core != "" && folded(core) == f {
			return true
		}
	}
	return reservedName(header)
}

// attributeValue encodes an attribute: the display name is one value, where a
// comma is a comma; all others are lists, even of one, so that "a,b" and two
// values never look alike.
func (id *Identity) attributeValue(p *auth.Person, name string, values []string) string {
	if name == auth.AttributeName && len(values) == 1 {
		return id.scalar(p, name, values[0])
	}
	return id.list(p, name, values)
}

func (id *Identity) scalar(p *auth.Person, name, value string) string {
	if len(value) <= maxHeader {
		if v := encodeValue(value, false); len(v) <= maxHeader {
			return v
		}
	}
	id.log().Warn("identity header left empty: the value is too long", "user", shown(p.User), "header", name, "bytes", len(value))
	return ""
}

func (id *Identity) list(p *auth.Person, name string, items []string) string {
	value, dropped := encodeList(items)
	if dropped > 0 {
		id.log().Warn("identity header shortened: items do not fit", "user", shown(p.User), "header", name, "dropped", dropped, "items", len(items))
	}
	return value
}

func (id *Identity) log() *slog.Logger {
	if id.Log == nil {
		return slog.Default()
	}
	return id.Log
}
