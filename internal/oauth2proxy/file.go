package oauth2proxy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// readFile reads oauth2-proxy.cfg. Keys are found in any letter case, as there.
func readFile(name string, data []byte, options map[string]option) (map[string]spelled, error) {
	given := map[string]spelled{}
	if data == nil {
		return given, nil
	}
	var content map[string]any
	if err := toml.Unmarshal(data, &content); err != nil {
		// The parser's own words quote the line, which may hold a secret.
		at := ""
		if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := wrong.Position()
			at = fmt.Sprintf(" at line %d, column %d", line, column)
		}
		return nil, fmt.Errorf("read %s: it is no TOML%s", name, at)
	}
	var wrong []error
	for _, key := range slices.Sorted(maps.Keys(content)) {
		o, ok := options[strings.ToLower(key)]
		if !ok {
			wrong = append(wrong, fmt.Errorf("%s: oauth2-proxy has no option %s%s", name, shortened(key), nearest(strings.ToLower(key), options)))
			continue
		}
		value, err := plain(content[key])
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %s %w", name, o.name, err))
			continue
		}
		value.shown = o.name
		given[o.name] = value
	}
	return given, errors.Join(wrong...)
}

// plain returns a value of the file as text, or as the texts of a list.
func plain(value any) (spelled, error) {
	switch value := value.(type) {
	case []any:
		items := make([]string, len(value))
		for i, item := range value {
			one, err := plain(item)
			if err != nil || one.items != nil {
				return spelled{}, errors.New("has a list of something else than texts")
			}
			items[i] = one.text
		}
		return spelled{items: items}, nil
	case string:
		return spelled{text: value}, nil
	case bool:
		return spelled{text: strconv.FormatBool(value)}, nil
	case int64:
		return spelled{text: strconv.FormatInt(value, 10)}, nil
	case float64:
		return spelled{text: strconv.FormatFloat(value, 'g', -1, 64)}, nil
	}
	return spelled{}, errors.New("has a value of a kind that no option has")
}
