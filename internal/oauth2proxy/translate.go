package oauth2proxy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Result is a deployment as config.yaml.
type Result struct {
	Config    []byte
	Variables []string // that the configuration refers to: to be set before it is used
	Closed    []string // why nobody can come in as it stands; empty: it does what it did
	Ignored   []string // variables that oauth2-proxy did not look at either
}

// Translate writes what the sources say as config.yaml. The error is a
// *FlagError where a flag is wrong; no error shows a value.
func Translate(src Sources) (Result, error) {
	s, err := read(src)
	if err != nil {
		return Result{}, err
	}
	t := &translation{src: src, settings: s, usual: map[string]string{}, root: &node{}}
	for _, o := range options() {
		t.usual[o.name] = o.usual
	}
	for _, section := range []string{"server", "secrets", "store", "session", "connections", "local", "mfa", "identity_headers", "routes", "api_paths", "log"} {
		t.root.in(section)
	}
	t.server()
	t.store()
	t.session()
	t.connection()
	t.local()
	t.headers()
	t.routes()
	t.remains()
	var b strings.Builder
	for _, note := range t.head {
		comment(&b, "", note)
	}
	for _, section := range t.root.below {
		if section.key == "api_paths" && section.value == "" {
			continue
		}
		var one strings.Builder
		(&node{below: []*node{section}}).write(&one, 0)
		if one.Len() > 0 {
			b.WriteString("\n" + one.String())
		}
	}
	return Result{Config: []byte(b.String()), Variables: t.variables, Closed: t.closed, Ignored: s.ignored}, nil
}

// translation is the state of one Translate.
type translation struct {
	src       Sources
	settings  *settings
	usual     map[string]string // values, by option
	root      *node
	head      []string
	variables []string
	closed    []string
	proxies   []string // in front, that are named
}

// values returns what an option has and how it was spelled, which is empty
// where nothing is set.
func (t *translation) values(name string) ([]string, origin) {
	if s, ok := t.settings.set[name]; ok {
		return s.values, origin(s.shown)
	}
	if usual := t.usual[name]; usual != "" {
		return []string{usual}, ""
	}
	return nil, ""
}

func (t *translation) list(name string) ([]string, origin) { return t.values(name) }

func (t *translation) text(name string) (value string, shown origin) {
	values, shown := t.values(name)
	if len(values) > 0 {
		value = values[0]
	}
	return value, shown
}

func (t *translation) truth(name string) (value bool, shown origin) {
	text, shown := t.text(name)
	return text == "true", shown
}

func (t *translation) span(name string) (value time.Duration, shown origin) {
	text, shown := t.text(name)
	value, _ = parseSpan(text) // judged when it was read
	return value, shown
}

// set reports whether somebody has given an option a value, and how it was
// spelled.
func (t *translation) set(name string) (shown origin, ok bool) {
	s, ok := t.settings.set[name]
	return origin(s.shown), ok && strings.Join(s.values, "") != ""
}

// needs notes a variable of the configuration.
func (t *translation) needs(name string) string {
	if !slices.Contains(t.variables, name) {
		t.variables = append(t.variables, name)
	}
	return variable(name)
}

// close notes why nobody can come in.
func (t *translation) close(format string, args ...any) string {
	why := fmt.Sprintf(format, args...)
	t.closed = append(t.closed, why)
	t.root.named = append(t.root.named, origins(args)...) // the head has it
	return why
}

// remains names the options that are set and that nothing names yet: at their
// section where there is something to do, in the head where there is not.
func (t *translation) remains() {
	named := map[string]bool{}
	t.root.names(named)
	var same []string
	type answer struct{ section, text string }
	var answers []answer
	which := map[answer][]string{}
	for _, o := range options() {
		s, ok := t.settings.set[o.name]
		if !ok || named[s.shown] {
			continue
		}
		if s.usual() {
			same = append(same, s.shown)
			continue
		}
		a := answer{o.section, o.instead}
		if o.instead == "" {
			a.text = "had no effect with the other options"
		}
		if which[a] == nil {
			answers = append(answers, a)
		}
		which[a] = append(which[a], s.spelled())
	}
	said := t.head
	t.head = []string{"Written by gatehouse migrate oauth2-proxy. At the end of a line stands the option that it comes from; each other option that was set is named in a comment."}
	if len(t.closed) > 0 {
		t.head = append(t.head, "NOBODY CAN SIGN IN AS IT STANDS: "+strings.Join(t.closed, "; ")+".")
	}
	t.head = append(t.head, said...)
	if len(t.variables) > 0 {
		t.head = append(t.head, "Set before it is used: "+strings.Join(t.variables, ", ")+".")
	}
	if len(same) > 0 {
		t.head = append(t.head, "Needs nothing here: "+strings.Join(same, ", ")+".")
	}
	t.head = append(t.head, t.settings.injected.rest...)
	for _, a := range answers {
		note := strings.Join(which[a], ", ") + ": " + a.text
		if a.section == "" {
			t.head = append(t.head, note)
			continue
		}
		section := t.root.in(a.section)
		section.notes = append(section.notes, note)
	}
}
