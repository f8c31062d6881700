package oauth2proxy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// FlagError is a command line that oauth2-proxy would not take.
type FlagError struct{ what string }

func (e *FlagError) Error() string { return e.what }

func flagError(format string, args ...any) error {
	return &FlagError{fmt.Sprintf(format, args...)}
}

// ParseFlags reads a command line of oauth2-proxy. The files that it names are
// returned apart: who calls reads them. The error is a *FlagError.
func ParseFlags(args []string) (flags []Flag, config, alpha string, err error) {
	byFlag := known(options(), func(o option) string { return o.flag })
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag || name == "" {
			// Not shown: it may be a secret that a space has cut off.
			return nil, "", "", flagError("argument %d after -- is no flag: write --name=value, also for true and false", i+1)
		}
		name, value, given := strings.Cut(name, "=")
		o, ok := byFlag[name]
		switch {
		case name == "config", name == "alpha-config":
		case !ok:
			return nil, "", "", flagError("oauth2-proxy has no flag --%s%s", shortened(name), nearest(name, byFlag))
		case !given && o.kind == boolean:
			value, given = "true", true
		}
		if !given {
			if i++; i == len(args) {
				return nil, "", "", flagError("--%s has no value", name)
			}
			value = args[i]
		}
		switch name {
		case "config":
			config = value
		case "alpha-config":
			alpha = value
		default:
			flags = append(flags, Flag{Name: name, Value: value})
		}
	}
	return flags, config, alpha, nil
}

// readFlags returns what the flags say. A list may be given several times, and
// each time as a line of comma-separated values with quotes.
func readFlags(flags []Flag, all []option) (map[string]spelled, error) {
	given := map[string]spelled{}
	for _, f := range flags {
		found := false
		for _, o := range all {
			// Two options of the file may share a flag.
			if o.flag != f.Name {
				continue
			}
			found = true
			v := spelled{shown: "--" + f.Name, text: f.Value}
			if o.kind == list {
				items, err := commaSeparated(f.Value)
				if err != nil {
					return nil, flagError("--%s has a value that cannot be split at its commas", f.Name)
				}
				v = spelled{shown: v.shown, items: append(given[o.name].items, items...)}
			}
			if _, err := o.read(v); err != nil {
				return nil, &FlagError{err.Error()}
			}
			given[o.name] = v
		}
		if !found {
			return nil, flagError("oauth2-proxy has no flag --%s", shortened(f.Name))
		}
	}
	return given, nil
}

func commaSeparated(value string) ([]string, error) {
	items, err := csv.NewReader(strings.NewReader(value)).Read()
	if errors.Is(err, io.EOF) {
		return []string{}, nil
	}
	return items, err
}

// shortened is what somebody typed, as an error shows it: it may be a value
// that came into the wrong place.
func shortened(s string) string {
	const most = 40
	s, _, _ = strings.Cut(s, "=")
	if len(s) > most {
		s = s[:most] + "..."
	}
	return fmt.Sprintf("%q", s)
}

// nearest proposes the name that somebody may have meant: the usual mistake is
// the singular for the plural.
func nearest(name string, names map[string]option) string {
	for _, other := range []string{name + "s", strings.TrimSuffix(name, "s"), strings.ReplaceAll(name, "_", "-"), strings.ReplaceAll(name, "-", "_")} {
		if _, ok := names[other]; ok && other != name {
			return "; is " + other + " meant?"
		}
	}
	return ""
}
