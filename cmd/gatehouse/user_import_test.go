package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/provision"
)

const (
	oldPassword = "old password of ada"
	oldBcrypt   = "$2y$05$abcdefghijklmnopqrstuuHiIrmVNdfSvNInuaIGe0rsM22rQZ0Xq"
	oldSHA      = "$6$rounds=5000$saltstring$l9ZXiAkf.GR7KMW.8lCFd9X2qovx80Y8Z0m2QXi1UdZ2cqdLBBaobfq2oFnIkYDonJPr0.qpUMfypsXYrP5tY."
)

func importedFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accounts")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// report runs an import for programs.
func (p *place) report(t *testing.T, code int, args ...string) importView {
	t.Helper()
	r := p.command("", append([]string{"user", "import", "--json"}, args...)...)
	var v importView
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil || r.code != code {
		t.Fatalf("%q: exit code %d, want %d: %v\n%s%s", args, r.code, code, err, r.stdout, r.stderr)
	}
	for i := range v.Accounts {
		v.Accounts[i].ID = ""
	}
	return v
}

// A file of accounts is taken over: each wholly or not at all, with its line. The
// same file again changes nothing. A dry run says the same and does nothing.
func TestImport(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, "", "user", "add", "taken", "--email", "taken@corp.example")
			file := importedFile(t, `[
  {"username": "ada", "email": "Ada@Corp.Example", "name": "Ada L.", "groups": ["staff"],
   "attributes": {"department": "R&D", "site": ["Bonn", "Ulm"]}, "password_hash": "`+oldBcrypt+`"},
  {"username": "bea"}, {"username": "gone", "disabled": true, "password_hash": "`+oldSHA+`"},
  {"username": "ADA", "password_hash": "`+oldSHA+`"},
  {"username": "cleo", "email": "ada@corp.example"},
  {"username": "dora", "email": "no address"},
  {"username": "eve", "password_hash": "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="},
  {"username": "fay", "email": "taken@corp.example"},
  {"username": "gwen", "admin": true},
  {"username": "hal", "groups": "staff"},
  {"username": "taken", "email": "other@corp.example"},
  {"username": "ida", "password_hash": "`+oldBcrypt+`", "Password_Hash": "`+oldSHA+`"}
]`)
			want := []importResult{
				{2, "ada", importAdded, "", "", nil},
				{4, "bea", importAdded, "", "", nil},
				{4, "gone", importAdded, "", "", nil},
				{5, "ADA", importRefused, "line 2 has this username already", "", nil},
				{6, "cleo", importRefused, "line 2 has this e-mail already", "", nil},
				{7, "dora", importRefused, `email: "no address": it is not an e-mail address`, "", nil},
				{8, "eve", importRefused, "a single run of SHA-1 ({SHA}) is guessed too fast", "", nil},
				{9, "fay", importRefused, `email: "taken@corp.example" is that of account taken`, "", nil},
				{10, "gwen", importRefused, `it is not an account: unknown field "admin"`, "", nil},
				{11, "hal", importRefused, "it is not an account: groups cannot be a string", "", nil},
				{12, "taken", importRefused, "there is an account of this username with another e-mail", "", nil},
				{13, "ida", importRefused, "it is not an account: Password_Hash stands there twice", "", nil},
			}
			look := func(v importView, want []importResult) {
				t.Helper()
				for i, r := range v.Accounts {
					v.Accounts[i].Why, _, _ = strings.Cut(r.Why, " (id")
					if strings.HasPrefix(r.Why, `email: "taken`) {
						v.Accounts[i].Why = want[i].Why // it ends with an id
					}
				}
				if d := cmp.Diff(want, v.Accounts); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
			}
			dry := p.report(t, exitFailed, "--accounts", file, "--dry-run")
			look(dry, want)
			if !dry.DryRun || dry.Added != 3 || dry.Refused != 9 {
				t.Errorf("%+v", dry)
			}
			p.refused(t, "no account", "user", "show", "ada")

			look(p.report(t, exitFailed, "--accounts", file), want)
			ada := p.shown(t, "ada")
			if ada.Email != "Ada@Corp.Example" || !ada.EmailVerified || ada.Name != "Ada L." || !cmp.Equal(ada.Groups, []string{"staff"}) ||
				!cmp.Equal(ada.Attributes["site"].Values, []string{"Bonn", "Ulm"}) || ada.PasswordImported != "bcrypt" {
				t.Errorf("%+v", ada)
			}
			if gone := p.shown(t, "gone"); gone.Status != provision.Disabled || !gone.HasPassword {
				t.Errorf("%+v", gone)
			}
			if history := p.must(t, "", "user", "history", "ada").stdout; !strings.Contains(history, "password set by administrator") || strings.Contains(history, "$2y$") {
				t.Errorf("history:\n%s", history)
			}
			for _, name := range []string{"cleo", "dora", "eve", "fay", "gwen", "hal"} {
				p.refused(t, "no account", "user", "show", name)
			}

			p.use(t, func(a *state) {
				if _, err := a.passwords.Authenticate(t.Context(), "ada", oldPassword); err != nil {
					t.Error(err)
				}
				if _, err := a.passwords.Authenticate(t.Context(), "gone", oldPassword); err != auth.ErrWrongPassword {
					t.Errorf("who was disabled elsewhere signs in: %v", err)
				}
			})
			decision := p.shown(t, "ada").Decision
			for i := range 3 {
				want[i].Result = importPresent
			}
			look(p.report(t, exitFailed, "--accounts", file), want)
			if now := p.shown(t, "ada"); now.Decision != decision || now.PasswordImported != "" {
				t.Errorf("the second time changed %+v", now)
			}
			p.must(t, "", "doctor")
		})
	}
}

// Htpasswd and Authelia's file, read from either end of the socket.
func TestImportForms(t *testing.T) {
	tests := []struct {
		name, flag, text string
		code             int
		want             []importResult
	}{
		{
			"htpasswd", "--htpasswd", "# people\r\nada:" + oldBcrypt + "\r\n\nbea@corp.example:" + oldSHA + "\nhunter2 hunter2\ncleo:\ndora:hunter2\neve:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\nbad@:" + oldSHA,
			exitFailed,
			[]importResult{
				{2, "ada", importAdded, "", "", nil},
				{4, "bea@corp.example", importAdded, "", "", nil},
				{5, "", importRefused, "it is not NAME:HASH", "", nil},
				{6, "cleo", importRefused, "there is no password hash", "", nil},
				{7, "dora", importRefused, "it is no password hash of a kind that is known here, and a password in plain text is not taken", "", nil},
				{8, "eve", importRefused, "Apache's MD5 (apr1) is guessed too fast", "", nil},
				{9, "bad@", importRefused, `email: "bad@": it is not an e-mail address`, "", nil},
			},
		},
		{
			"authelia", "--authelia", "---\nusers:\n  ada:\n    disabled: false\n    displayname: 'Ada L.'\n    password: '" + oldSHA + "'\n    email: ada@corp.example\n    groups: [staff, 'ops']\n" +
				"  bea: {password: \"" + oldBcrypt + "\", groups: ~, disabled: true, phone_number: '1'}\n  cleo: x\n  dora: {password: [x]}\n  eve: &e {groups: [*e]}\n  ada: {password: \"" + oldBcrypt + "\"}\n",
			exitFailed,
			[]importResult{
				{3, "ada", importAdded, "", "", nil},
				{9, "bea", importAdded, "not taken over: phone_number", "", nil},
				{10, "cleo", importRefused, "it is not a map with displayname, email, groups and password", "", nil},
				{11, "dora", importRefused, "line 11: password has not the form that Authelia's has", "", nil},
				{12, "eve", importRefused, "line 12: groups has not the form that Authelia's has", "", nil},
				{13, "ada", importRefused, "line 3 has this username already", "", nil},
			},
		},
		{"one that is right", "--accounts", `[{"username": "ada"}]`, exitOK, []importResult{{1, "ada", importAdded, "", "", nil}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &place{config: writeConfig(t, routesText)}
			file := importedFile(t, tt.text)
			if d := cmp.Diff(tt.want, p.report(t, tt.code, tt.flag, file, "--dry-run").Accounts); d != "" {
				t.Errorf("dry (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.want, p.report(t, tt.code, tt.flag, file).Accounts); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			people := p.command(tt.text, "user", "import", tt.flag, "-")
			if !strings.Contains(people.stdout, "ada: there already, and not changed\n") || !strings.Contains(people.stderr, " there already") || people.code != tt.code {
				t.Errorf("for people:\n%s%s", people.stdout, people.stderr)
			}
			for _, secret := range []string{"hunter2", "$apr1$"} {
				if strings.Contains(people.stdout+people.stderr, secret) {
					t.Errorf("%q is printed:\n%s%s", secret, people.stdout, people.stderr)
				}
			}
		})
	}
}

// What is no file of accounts at all changes nothing, and says what it lacks.
func TestImportRefusesFiles(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	for _, tt := range []struct{ name, flag, text, want string }{
		{"empty", "--htpasswd", "# nobody\n", "there is no account in the file"},
		{"empty list", "--accounts", "[]", "there is no account in the file"},
		{"empty YAML", "--authelia", "# nobody", "there is no account in the file"},
		{"not text", "--htpasswd", "ada:\xff", "not UTF-8 text"},
		{"an object", "--accounts", `{"username": "ada"}`, "not a JSON list of accounts"},
		{"cut JSON", "--accounts", `[{"username": "ada"},` + "\n" + `{"username": "b`, "line 2: the file is not JSON"},
		{"two lists", "--accounts", `[{"username": "ada"}] []`, "something follows the list"},
		{"other YAML", "--authelia", "people: {ada: {}}", "no map users"},
		{"two documents", "--authelia", "users: {ada: {}}\n---\nusers: {bea: {}}", "second YAML document"},
		{"too large", "--htpasswd", strings.Repeat("x", maxImport+1), "split it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.refused(t, tt.want, "user", "import", tt.flag, importedFile(t, tt.text))
		})
	}
	p.refused(t, "no such file", "user", "import", "--htpasswd", filepath.Join(t.TempDir(), "none"))
	if out := p.must(t, "", "user", "list", "--json").stdout; out != "[]\n" {
		t.Errorf("there is %s", out)
	}
}

// An import that broke off between an account and its password is finished by
// the same file. Attack: a file that gives a password to somebody who signs in
// through a provider.
func TestImportFinishes(t *testing.T) {
	p := &place{config: writeConfig(t, routesText+"local: {enabled: true}\n")}
	p.must(t, "", "user", "add", "ada")
	p.must(t, "", "user", "add", "linked")
	p.use(t, func(a *state) {
		linked, err := a.directory.Bearer(t.Context(), "linked")
		if err != nil {
			t.Fatal(err)
		}
		if err := a.resolver.SignedIn(t.Context(), linked.ID, false); err != nil {
			t.Fatal(err)
		}
	})
	v := p.report(t, exitFailed, "--htpasswd", importedFile(t, "ada:"+oldBcrypt+"\nlinked:"+oldBcrypt))
	want := []importResult{
		{1, "ada", importFinished, "", "", nil},
		{2, "linked", importRefused, "there is an account of this username that has no password and signs in otherwise", "", nil},
	}
	if d := cmp.Diff(want, v.Accounts); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if !p.shown(t, "ada").HasPassword || p.shown(t, "linked").HasPassword {
		t.Error("the passwords are not where they belong")
	}
}

// A file as large as may be goes through the socket.
func TestImportThroughSocket(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.serve(t)
	line := "# " + strings.Repeat("x", 1022) + "\n"
	text := strings.Repeat(line, maxImport/len(line)-1) + "ada:" + oldBcrypt
	if v := p.report(t, exitOK, "--htpasswd", importedFile(t, text)); v.Added != 1 {
		t.Errorf("%+v", v)
	}
}

// Groups of a file are local groups. Attack: a file from elsewhere, where a group
// of the same name meant less, makes administrators, and nobody notices.
func TestImportTellsOfAdministrators(t *testing.T) {
	p := &place{config: writeConfig(t, routesText+"admin: {groups: [admins, root]}\n")}
	file := importedFile(t, `[{"username": "ada", "groups": ["staff", "root", "admins"]}, {"username": "bea", "groups": ["Admins", "staff"]}]`)
	want := []importResult{{1, "ada", importAdded, "", "", []string{"root", "admins"}}, {1, "bea", importAdded, "", "", nil}}
	if d := cmp.Diff(want, p.report(t, exitOK, "--dry-run", "--accounts", file).Accounts); d != "" {
		t.Errorf("--dry-run (-want +got):\n%s", d)
	}
	for _, dry := range [][]string{{"--dry-run"}, nil} {
		r := p.must(t, "", append([]string{"user", "import", "--accounts", file}, dry...)...)
		if !strings.Contains(r.stdout, "added; AN ADMINISTRATOR, by admin.groups: root, admins\n") || strings.Count(r.stdout, "ADMINISTRATOR") != 1 ||
			!strings.Contains(r.stderr, "Administrators by their groups (admin.groups): 1 of those added") {
			t.Errorf("%q: %s%s", dry, r.stdout, r.stderr)
		}
	}
	// Who was there already is what they were.
	if r := p.must(t, "", "user", "import", "--accounts", file); strings.Contains(r.stdout+r.stderr, "ministrator") {
		t.Errorf("given again: %s%s", r.stdout, r.stderr)
	}
}
