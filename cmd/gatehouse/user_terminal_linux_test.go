package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal returns both ends of a new pseudo-terminal (pty(7)): what the person
// sees and types, and what the program has as its standard input.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

// typist types the next answer whenever it is asked a question.
type typist struct {
	keyboard *os.File
	answers  []string
	asked    bytes.Buffer
}

func (p *typist) Write(b []byte) (int, error) {
	if bytes.HasSuffix(b, []byte(": ")) && len(p.answers) > 0 {
		fmt.Fprintln(p.keyboard, p.answers[0])
		p.answers = p.answers[1:]
	}
	return p.asked.Write(b)
}

func TestAskPassword(t *testing.T) {
	tests := []struct {
		name    string
		answers []string
		want    string
		err     string
	}{
		{"the same twice", []string{"correct horse", "correct horse"}, "correct horse", ""},
		{"spaces count", []string{" x ", " x "}, " x ", ""},
		{"a slip of the finger", []string{"correct horse", "correct hose"}, "", "the two passwords differ"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			person, program := terminal(t)
			got, err := askPassword(program, &typist{keyboard: person, answers: tt.answers})
			if text := fmt.Sprint(err); got != tt.want || err != nil && text != tt.err || err == nil && tt.err != "" {
				t.Errorf("%q, %v, want %q, %q", got, err, tt.want, tt.err)
			}
			// Attack: look at the screen. The terminal would show each character
			// that is typed; a mark written last shows where to stop reading.
			if _, err := program.WriteString("END"); err != nil {
				t.Fatal(err)
			}
			var screen strings.Builder
			for buf := make([]byte, 256); !strings.Contains(screen.String(), "END"); {
				n, err := person.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				screen.Write(buf[:n])
			}
			if screen.String() != "END" {
				t.Errorf("the screen shows %q", &screen)
			}
			// Afterwards it shows again what is typed.
			state, err := unix.IoctlGetTermios(int(program.Fd()), getTermios)
			if err != nil || state.Lflag&unix.ECHO == 0 {
				t.Errorf("the terminal stays silent (error %v)", err)
			}
		})
	}
}

func TestAskPasswordWithoutTerminal(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := askPassword(file, &bytes.Buffer{}); !errors.Is(err, errNoTerminal) {
		t.Errorf("a file: %v, want errNoTerminal", err)
	}
	if _, err := askPassword(strings.NewReader("x\nx\n"), &bytes.Buffer{}); !errors.Is(err, errNoTerminal) {
		t.Errorf("a pipe: %v, want errNoTerminal", err)
	}
}
