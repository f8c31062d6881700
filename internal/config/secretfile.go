package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSecretFile is the size of the largest file with a secret, in bytes.
const maxSecretFile = 64 << 10

// secret returns the secret under a key, or in the file that key_file names,
// without the newline at its end. None is the zero Secret.
func (o *object) secret(key string) Secret {
	n, path := o.take(key)
	file, fromFile := o.secretFile(key)
	if n == nil {
		value := strings.TrimRight(fromFile, "\r\n")
		if file != "" && value == "" {
			o.l.problem(child(o.path, key+"_file"), "the file is empty", "write the secret into it")
		}
		return o.l.oneLine(value, child(o.path, key+"_file"))
	}
	value, ok := o.l.scalar(n, path)
	if !ok {
		return Secret{}
	}
	if value = strings.TrimRight(value, "\r\n"); value != "" && file != "" {
		o.l.problem(path, fmt.Sprintf("%s and %s_file are both set", key, key), "remove one of them")
	}
	if value == "" {
		value = strings.TrimRight(fromFile, "\r\n")
	}
	return o.l.oneLine(value, path)
}

// oneLine makes a secret of a value, unless it has more than one line: then
// it is some other file, such as a key in PEM.
func (l *loader) oneLine(value, path string) Secret {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		l.problem(path, "the secret has a control character or more than one line", "give it on one line, in UTF-8")
		return Secret{}
	}
	return NewSecret(value)
}

// secrets returns the list of secrets under a key, or in the file that
// key_file names, one on each line.
func (o *object) secrets(key string) []Secret {
	items, path, _ := o.list(key)
	file, content := o.secretFile(key)
	if file != "" && len(items) > 0 {
		o.l.problem(path, fmt.Sprintf("%s and %s_file are both set", key, key), "remove one of them")
	}
	var secrets []Secret
	for i, item := range items {
		at := index(path, i)
		if isNull(item) {
			o.l.problem(at, "is empty", "remove it")
		}
		value, _ := o.l.scalar(item, at)
		secrets = append(secrets, o.l.oneLine(value, at))
	}
	if file == "" || len(items) > 0 {
		return secrets
	}
	for line := range strings.Lines(content) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			secrets = append(secrets, o.l.oneLine(line, child(o.path, key+"_file")))
		}
	}
	if len(secrets) == 0 {
		o.l.problem(child(o.path, key+"_file"), "the file is empty", "write one key on each line")
	}
	return secrets
}

// secretFile returns the name under key_file and what is in that file.
func (o *object) secretFile(key string) (name, content string) {
	path := child(o.path, key+"_file")
	name = o.file(key+"_file", "")
	if name == "" {
		return "", ""
	}
	data, err := o.l.read(name, maxSecretFile)
	if err != nil {
		o.l.unreadable(path, name, err)
	}
	return name, string(data)
}
