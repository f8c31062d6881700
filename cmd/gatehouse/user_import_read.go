package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"gatehouse/internal/strictjson"
	"gatehouse/provision"
)

// importEntry is one account of a file.
type importEntry struct {
	line    int
	new     provision.New
	hash    string // "": it has no password
	problem error  // it is no account
	left    string // what of it is not taken over
}

// readImport reads a file in the form that the flags name. Errors: the file is
// not of that form at all; what is wrong with one account is its problem.
func (c *userCommand) readImport(file []byte) ([]importEntry, error) {
	file = bytes.TrimPrefix(file, []byte("\ufeff"))
	if !utf8.Valid(file) {
		return nil, errors.New("the file is not UTF-8 text")
	}
	read := readHtpasswd
	switch {
	case c.accounts.given:
		read = readAccounts
	case c.authelia.given:
		read = readAuthelia
	}
	entries, err := read(file)
	if err == nil && len(entries) == 0 {
		err = errors.New("there is no account in the file")
	}
	return entries, err
}

// readHtpasswd reads Apache's name:hash, one a line. A name that is an address is
// the e-mail too, or it could not be a username.
func readHtpasswd(file []byte) ([]importEntry, error) {
	var entries []importEntry
	number := 0
	for text := range strings.Lines(string(file)) {
		number++
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		name, hash, found := strings.Cut(text, ":")
		e := importEntry{line: number, new: provision.New{Username: name}, hash: hash}
		switch {
		case !found:
			// It may be a password alone: none of it is printed.
			e.new.Username, e.problem = "", errors.New("it is not NAME:HASH")
		case hash == "":
			e.problem = errors.New("there is no password hash")
		}
		if strings.Contains(name, "@") {
			e.new.Email = name
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// readAccounts reads a JSON list of accounts.
func readAccounts(file []byte) ([]importEntry, error) {
	dec := json.NewDecoder(bytes.NewReader(file))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, errors.New("the file is not a JSON list of accounts")
	}
	lines := lineCounter{text: file}
	var entries []importEntry
	for dec.More() {
		e := importEntry{line: lines.at(dec.InputOffset())}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("line %d: the file is not JSON: %w", e.line, err)
		}
		e.readJSON(raw)
		entries = append(entries, e)
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("the file is not JSON: its list does not end: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the list of accounts")
	}
	return entries, nil
}

func (e *importEntry) readJSON(raw []byte) {
	var v struct {
		Username     string                      `json:"username"`
		Email        string                      `json:"email"`
		Name         string                      `json:"name"`
		Groups       []string                    `json:"groups"`
		Attributes   map[string]strictjson.Texts `json:"attributes"`
		PasswordHash string                      `json:"password_hash"`
		Disabled     bool                        `json:"disabled"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		e.problem = fmt.Errorf("it is not an account: %s", strings.TrimPrefix(err.Error(), "json: "))
		if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			e.problem = fmt.Errorf("it is not an account: %s cannot be a %s", cmp.Or(kind.Field, "an account"), kind.Value)
		}
	}
	if name, found := strictjson.Repeated(raw, strings.ToLower); found && e.problem == nil {
		e.problem = fmt.Errorf("it is not an account: %s stands there twice", name)
	}
	e.new = provision.New{Username: v.Username, Email: v.Email, Name: v.Name, Groups: v.Groups, Disabled: v.Disabled}
	e.hash = v.PasswordHash
	for name, values := range v.Attributes {
		if e.new.Attributes == nil {
			e.new.Attributes = map[string][]string{}
		}
		e.new.Attributes[name] = values
	}
}

// lineCounter tells the lines of places in a text that come one after another.
type lineCounter struct {
	text []byte
	seen int
	line int // before seen
}

// at returns the line of the next thing after a place, beyond spaces and a comma.
func (c *lineCounter) at(offset int64) int {
	end := int(offset)
	for end < len(c.text) && bytes.IndexByte([]byte(" \t\r\n,"), c.text[end]) >= 0 {
		end++
	}
	c.line += bytes.Count(c.text[c.seen:end], []byte("\n"))
	c.seen = end
	return c.line + 1
}

// readAuthelia reads the map users of Authelia's users file.
func readAuthelia(file []byte) ([]importEntry, error) {
	dec := yaml.NewDecoder(bytes.NewReader(file))
	var document yaml.Node
	if err := dec.Decode(&document); err != nil || len(document.Content) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, errors.New("there is no account in the file")
		}
		why := strings.TrimPrefix(err.Error(), "yaml: ")
		// What is quoted there may be a password that begins with an asterisk.
		if before, _, quoted := strings.Cut(why, "anchor '"); quoted {
			why = before + "anchor"
		}
		return nil, fmt.Errorf("the file is not YAML: %s", why)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has a second YAML document")
	}
	users := (*yaml.Node)(nil)
	for key, value := range pairs(document.Content[0]) {
		if key.Value == "users" {
			users = value
		}
	}
	if users == nil || users.Kind != yaml.MappingNode {
		return nil, errors.New("the file has no map users, as that of Authelia has")
	}
	var entries []importEntry
	for name, user := range pairs(users) {
		e := importEntry{line: name.Line, new: provision.New{Username: name.Value}}
		e.readYAML(user)
		entries = append(entries, e)
	}
	return entries, nil
}

// pairs are the keys and values of a map; of anything else there are none.
func pairs(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for pair := range slices.Chunk(n.Content, 2) {
			if !yield(pair[0], pair[1]) {
				return
			}
		}
	}
}

// readYAML reads one user. Nodes are looked at as they stand: an alias is
// refused, because a few of them can stand for more than the memory holds.
func (e *importEntry) readYAML(user *yaml.Node) {
	if user.Kind != yaml.MappingNode {
		e.problem = errors.New("it is not a map with displayname, email, groups and password")
		return
	}
	seen := map[string]bool{}
	var left []string
	for key, value := range pairs(user) {
		ok := true
		switch key.Value {
		case "displayname":
			e.new.Name, ok = scalar(value)
		case "email":
			e.new.Email, ok = scalar(value)
		case "password":
			e.hash, ok = scalar(value)
		case "groups":
			e.new.Groups, ok = scalars(value)
		case "disabled":
			var text string
			var err error
			text, ok = scalar(value)
			e.new.Disabled, err = strconv.ParseBool(text)
			ok = ok && err == nil
		default:
			left = append(left, key.Value)
		}
		if !ok {
			e.problem = fmt.Errorf("line %d: %s has not the form that Authelia's has", key.Line, key.Value)
		}
		if seen[key.Value] {
			e.problem = fmt.Errorf("line %d: %s stands there twice", key.Line, key.Value)
		}
		seen[key.Value] = true
	}
	if e.problem == nil && e.hash == "" {
		e.problem = errors.New("there is no password hash")
	}
	if len(left) > 0 {
		e.left = "not taken over: " + strings.Join(left, ", ")
	}
}

// scalar is the text of a node that is one; nothing is an empty one.
func scalar(n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		return "", false
	}
	if n.Tag == "!!null" {
		return "", true
	}
	return n.Value, true
}

// scalars are the texts of a list; nothing is an empty one.
func scalars(n *yaml.Node) ([]string, bool) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, true
	}
	if n.Kind != yaml.SequenceNode {
		return nil, false
	}
	var all []string
	for _, item := range n.Content {
		text, ok := scalar(item)
		if !ok {
			return nil, false
		}
		all = append(all, text)
	}
	return all, true
}
