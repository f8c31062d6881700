package config

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lineReader delivers a text line by line and counts them, so that it can be
// told how far a parser came.
type lineReader struct {
	rest []byte
	read int
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	end := bytes.IndexByte(r.rest, '\n') + 1
	if end == 0 {
		end = len(r.rest)
	}
	n := copy(p, r.rest[:end])
	r.rest = r.rest[n:]
	if n == end {
		r.read++
	}
	return n, nil
}

var syntaxLine = regexp.MustCompile(`^yaml: line (\d+): `)

// syntax reports an error of the YAML parser, which has read so many lines.
func (l *loader) syntax(data []byte, err error, read int) {
	message, line := err.Error(), 1
	if m := syntaxLine.FindStringSubmatch(message); m != nil {
		message = message[len(m[0]):]
		line, _ = strconv.Atoi(m[1])
	}
	message = strings.TrimPrefix(message, "yaml: ")
	if name, ok := strings.CutPrefix(message, "unknown anchor '"); ok {
		// A password that begins with * and is not quoted reads as an alias:
		// the parser's message would print it.
		name = strings.TrimSuffix(name, "' referenced")
		if at := bytes.Index(data, []byte("*"+name)); at >= 0 {
			line = bytes.Count(data[:at], []byte("\n")) + 1
		}
		l.problemAt(line, "", "YAML aliases (*name) are not supported", "write the value out; quote a text that begins with *")
		return
	}
	switch {
	case strings.HasPrefix(message, "did not find expected ','"):
		line++ // the parser counts from 0 here: where the bracket opens
	case strings.HasPrefix(message, "did not find expected"):
		line = badLine(data, read) // the parser names where the mapping around it begins
	}
	line = max(1, min(line, bytes.Count(data, []byte("\n"))+1))
	l.problemAt(line, "", "is not YAML: "+message, "correct the indentation or the quotes here, or just above")
}

// badLine returns the last of the lines read without which the text is YAML.
// The parser looks a line or two ahead.
func badLine(data []byte, read int) int {
	for line := read; line > 1 && line > read-4; line-- {
		end := 0
		for range line - 1 {
			end += bytes.IndexByte(data[end:], '\n') + 1
		}
		var document yaml.Node
		if yaml.Unmarshal(data[:end], &document) == nil {
			return line
		}
	}
	return read
}
