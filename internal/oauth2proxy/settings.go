package oauth2proxy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sources are what oauth2-proxy is started with.
type Sources struct {
	File     []byte // oauth2-proxy.cfg, in TOML; nil: none
	FileName string
	Alpha    []byte // the alpha configuration, in YAML; nil: none
	// Environ is the environment as NAME=value, of which OAUTH2_PROXY_* counts.
	// In the alpha configuration any variable does.
	Environ []string
	Flags   []Flag
	// ReadFile reads the file of e-mail addresses that an option names.
	ReadFile func(name string) ([]byte, error)
	// PublicURL is what browsers see, where no option says it; empty: not known.
	PublicURL string
}

// Flag is a flag of the command line, without its dashes.
type Flag struct{ Name, Value string }

// setting is the value that an option has.
type setting struct {
	option option
	shown  string   // the option as it was spelled where it was set
	values []string // one, or the items of a list
	raw    []string // the values before variables were put in; nil: there are none
}

// spelled is the value of an option where somebody has set it.
type spelled struct {
	shown string
	items []string // of a list; nil: one text
	text  string
	raw   []string // all of it before variables were put in; nil: there are none
}

// settings are what all sources say together.
type settings struct {
	set      map[string]setting // by the name in the file
	ignored  []string           // variables with the prefix that are no option
	injected injected           // what only the alpha configuration can say
	references
}

const variablePrefix = "OAUTH2_PROXY_"

// read reads all sources, the weakest first. A list is replaced and not added
// to, as oauth2-proxy does.
func read(src Sources) (*settings, error) {
	all := options()
	s := &settings{set: map[string]setting{}, references: references{}}
	file, err := readFile(src.FileName, src.File, known(all, func(o option) string { return o.name }))
	if err != nil {
		return nil, err
	}
	environment, ignored := readEnvironment(src.Environ, all)
	s.ignored = ignored
	flags, err := readFlags(src.Flags, all)
	if err != nil {
		return nil, err
	}
	for _, from := range []map[string]spelled{file, environment, flags} {
		for _, o := range all {
			given, ok := from[o.name]
			if !ok {
				continue
			}
			value, err := o.read(given)
			if err != nil {
				return nil, err
			}
			s.set[o.name] = value
		}
	}
	if src.Alpha != nil {
		if err := s.readAlpha(src.Alpha, src.Environ); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read judges a value. The error never shows it: it may be a secret that was
// given to the wrong option.
func (o option) read(given spelled) (setting, error) {
	s := setting{option: o, shown: given.shown, raw: given.raw}
	if given.items != nil && o.kind != list {
		return s, fmt.Errorf("%s takes one value and has a list", given.shown)
	}
	var err error
	switch o.kind {
	case list:
		if s.values = given.items; given.items == nil && given.text != "" {
			s.values = strings.Split(given.text, ",")
		}
	case boolean:
		var b bool
		b, err = strconv.ParseBool(given.text)
		s.values = []string{strconv.FormatBool(b)}
	case number:
		_, err = strconv.Atoi(given.text)
		s.values = []string{given.text}
	case span:
		_, err = parseSpan(given.text)
		s.values = []string{given.text}
	case text:
		s.values = []string{given.text}
	}
	if err != nil {
		return s, fmt.Errorf("%s has a value that it cannot have: %s is wanted", given.shown, map[kind]string{
			boolean: "true or false", number: "a number", span: "a duration such as 1h30m",
		}[o.kind])
	}
	return s, nil
}

// parseSpan reads a duration. A number without a unit has that of
// time.Duration, nanoseconds, there too.
func parseSpan(s string) (time.Duration, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Duration(n), nil
	}
	return time.ParseDuration(s)
}

// readEnvironment returns what OAUTH2_PROXY_* says, and which of them are no
// option. An empty variable counts as none. Where it runs in a cluster, the
// names of services are in the environment too, so what is not known cannot be
// an error.
func readEnvironment(environ []string, all []option) (given map[string]spelled, ignored []string) {
	variables := known(all, func(o option) string { return variablePrefix + strings.ToUpper(o.name) })
	given = map[string]spelled{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, variablePrefix) || value == "" {
			continue
		}
		if o, ok := variables[name]; ok {
			given[o.name] = spelled{shown: name, text: value}
		} else {
			ignored = append(ignored, name)
		}
	}
	slices.Sort(ignored)
	return given, ignored
}

// usual reports whether an option has the value that it has anyway.
func (s setting) usual() bool {
	joined := strings.Join(s.values, ",")
	switch s.option.kind {
	case boolean:
		return joined == "false" && s.option.usual == "" || joined == s.option.usual
	case span:
		is, _ := parseSpan(joined)
		usual, _ := parseSpan(s.option.usual)
		return is == usual
	case number:
		return joined == "0" && s.option.usual == "" || joined == s.option.usual
	}
	return joined == s.option.usual
}

// names returns the names of what is set, in order.
func (s *settings) names() []string { return slices.Sorted(maps.Keys(s.set)) }
