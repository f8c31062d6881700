package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong in a file. It never holds a secret, nor
// what a variable expanded to.
type Problem struct {
	File string `json:"file"` // as given to Load
	Line int    `json:"line"` // the first is 1
	Path string `json:"path"` // such as connections[0].issuer; empty for the file as a whole
	What string `json:"what"` // what is wrong
	Do   string `json:"do"`   // what to do about it
}

func (p Problem) String() string {
	if p.Path == "" {
		return fmt.Sprintf("%s:%d: %s; %s", p.File, p.Line, p.What, p.Do)
	}
	return fmt.Sprintf("%s:%d: %s: %s; %s", p.File, p.Line, p.Path, p.What, p.Do)
}

// Problems is everything that is wrong in a file, by line. It is the error of
// Load for a file that could be read.
type Problems []Problem

// Error is one line a problem, without a final newline.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// Warning is something that works and is probably not what was meant.
type Warning struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Path    string `json:"path"`
	Code    string `json:"code"` // stable: scripts may rely on it
	Message string `json:"message"`
}

func (w Warning) String() string {
	return fmt.Sprintf("%s:%d: %s: warning %s: %s", w.File, w.Line, w.Path, w.Code, w.Message)
}

// shownLength is how much of a value a problem shows, in characters.
const shownLength = 80

// quote makes a value of the file fit to be shown: on one line, of bounded
// length, without terminal control sequences.
func quote(value string) string {
	if utf8.RuneCountInString(value) > shownLength {
		value = string([]rune(value)[:shownLength]) + "..."
	}
	return strconv.Quote(value)
}
