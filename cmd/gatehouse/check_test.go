package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const conflicting = `
mfa: {enforce: all}
connections:
  - id: partner
    issuer: https://id.partner.example
    client_id: gatehouse
    client_secret: not shown
    jit: {enabled: false}
`

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		file string
		args []string
		code int
		out  string // all of stdout, with FILE for the name of the file
		talk string // the end of stderr
	}{
		{name: "valid", file: "", code: exitOK, talk: "FILE: valid\n"},
		{
			name: "problems", file: "sever: {}\nlog: {level: loud}\n", code: exitFailed,
			out: "FILE:1: sever: there is no such key; did you mean server?\n" +
				"FILE:2: log.level: \"loud\" is not one of its values; write debug, info, warn or error\n",
			talk: "FILE: 2 problems\n",
		},
		{
			name: "a warning is no refusal", file: conflicting, code: exitOK,
			out:  "FILE:8: connections[0].jit.enabled: warning mfa-all-jit-off: connection partner has jit.enabled: false, so its people have no account that could hold a second factor (totp, passkey, recovery_code), which mfa.enforce: all asks of everybody: they cannot sign in; set jit.enabled: true here, or mfa.enforce: local\n",
			talk: "FILE: valid, with 1 warning\n",
		},
		{
			name: "with --strict it is", file: conflicting, args: []string{"--strict"}, code: exitFailed,
			out:  "FILE:8: connections[0].jit.enabled: warning mfa-all-jit-off: connection partner has jit.enabled: false, so its people have no account that could hold a second factor (totp, passkey, recovery_code), which mfa.enforce: all asks of everybody: they cannot sign in; set jit.enabled: true here, or mfa.enforce: local\n",
			talk: "FILE: 1 warning, refused by --strict\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr strings.Builder
			code := runCheck(append([]string{"--config", file}, tt.args...), &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if got := strings.ReplaceAll(stdout.String(), file, "FILE"); got != tt.out {
				t.Errorf("stdout\n%s\nwant\n%s", got, tt.out)
			}
			if got := strings.ReplaceAll(stderr.String(), file, "FILE"); got != tt.talk {
				t.Errorf("stderr %q, want %q", got, tt.talk)
			}
		})
	}
}

func TestCheckJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	for _, tt := range []struct {
		name, file         string
		args               []string
		ok                 bool
		problems, warnings int
	}{
		{name: "valid", ok: true},
		{name: "problem", file: "a: 1\nb: 1\n", problems: 2},
		{name: "warning", file: conflicting, ok: true, warnings: 1},
		{name: "strict", file: conflicting, args: []string{"--strict"}, warnings: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr strings.Builder
			code := runCheck(append(tt.args, "--json", "--config="+file), &stdout, &stderr)
			var got struct {
				OK                 bool
				Problems, Warnings []struct {
					File, Path, What, Do, Code, Message string
					Line                                int
				}
			}
			if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
				t.Fatalf("%v in %s", err, stdout.String())
			}
			if got.OK != tt.ok || got.OK != (code == exitOK) || len(got.Problems) != tt.problems || len(got.Warnings) != tt.warnings {
				t.Errorf("exit code %d with %+v", code, got)
			}
			if got.Problems == nil || got.Warnings == nil {
				t.Error("a list is null: programs would have to look for that")
			}
			for _, p := range append(got.Problems, got.Warnings...) {
				if p.File != file || p.Line == 0 || p.Path == "" {
					t.Errorf("incomplete: %+v", p)
				}
			}
		})
	}
}

func TestCheckUsage(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for _, tt := range []struct {
		name string
		args []string
		code int
		out  string
		talk string
	}{
		{name: "help", args: []string{"--help"}, code: exitOK, out: "usage: gatehouse check"},
		{name: "unknown flag", args: []string{"--loud"}, code: exitUsage, talk: "-loud"},
		{name: "a name too many", args: []string{"config.yaml"}, code: exitUsage, talk: "--config"},
		{name: "no such file", args: []string{"--config", missing}, code: exitFailed, talk: "no such file"},
		{name: "no such file, json", args: []string{"--config", missing, "--json"}, code: exitFailed, out: `"ok": false`, talk: "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := runCheck(tt.args, &stdout, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.out) || !strings.Contains(stderr.String(), tt.talk) {
				t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
			}
		})
	}
}
