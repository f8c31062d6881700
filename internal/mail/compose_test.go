package mail

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/store/memory"
)

var update = flag.Bool("update", false, "write what is found into the golden files")

// examples are one message of each kind.
func examples() map[string]message {
	at := time.Date(2026, 11, 27, 16, 2, 3, 0, time.UTC)
	firefox := auth.Client{Address: "203.0.113.7", Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
	const link = "https://gate.acme.example/oauth2/password?token=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4"
	all := map[string]message{
		"code":              {Kind: KindCode, Code: "31415926", Expires: at.Add(10 * time.Minute), Client: firefox},
		"code_from_nowhere": {Kind: KindCode, Code: "31415926", Expires: at.Add(10 * time.Minute)},
		"setup":             {Kind: KindSetUp, URL: link, Expires: at.Add(72 * time.Hour)},
		"reset":             {Kind: KindReset, URL: link, Expires: at.Add(30 * time.Minute), Client: firefox},
	}
	for name, m := range map[string]message{
		"password_set_by_administrator": {Kind: string(auth.EventPasswordSet)},
		"password_set":                  {Kind: string(auth.EventPasswordSet), Client: firefox},
		"password_changed":              {Kind: string(auth.EventPasswordChanged), Client: firefox},
		"password_reset":                {Kind: string(auth.EventPasswordReset), Client: firefox},
		"factor_enrolled":               {Kind: string(auth.EventFactorEnrolled), Client: firefox, Detail: "totp Work phone"},
		"factor_removed":                {Kind: string(auth.EventFactorRemoved), Client: firefox, Detail: `passkey "My <b>key</b>"`},
		"factors_reset":                 {Kind: string(auth.EventFactorsReset)},
		"recovery_codes":                {Kind: string(auth.EventRecoveryCodes), Client: firefox},
		"recovery_used":                 {Kind: string(auth.EventRecoveryUsed), Client: firefox, Detail: "3 left"},
		"new_device":                    {Kind: string(auth.EventNewDevice), Client: auth.Client{Address: "2001:db8::7", Agent: "something"}},
	} {
		m.Username, m.Expires = "ann", at.Add(eventLife)
		all[name] = m
	}
	for name, m := range all {
		m.To, m.At = "ann@acme.example", at
		all[name] = m
	}
	return all
}

func TestMails(t *testing.T) {
	o := newOutbox(t, memory.New(), &postman{}, nil)
	for name, m := range examples() {
		t.Run(name, func(t *testing.T) {
			got := o.compose("1abc", m)
			for suffix, content := range map[string]string{".txt": "Subject: " + got.Subject + "\n\n" + got.Text, ".html": got.HTML} {
				file := filepath.Join("testdata", name+suffix)
				if *update {
					if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), content); diff != "" {
					t.Errorf("%s: want (-) and got (+); -update takes it over:\n%s", file, diff)
				}
			}
			// Nothing is fetched when a mail is opened: that would tell who reads it.
			for _, bad := range []string{"<img", "src=", "<link", "@import", "url(", "<script"} {
				if strings.Contains(got.HTML, bad) {
					t.Errorf("the mail has %s", bad)
				}
			}
			// The subject stands on locked screens and in the logs of servers.
			if m.Code != "" && strings.Contains(got.Subject, m.Code) || m.URL != "" && strings.Contains(got.Subject, m.URL) {
				t.Errorf("the subject shows a secret: %s", got.Subject)
			}
		})
	}
}

// Whoever holds an account for a moment can name a factor. The name must not
// become part of what we say.
func TestANameStaysAName(t *testing.T) {
	o := newOutbox(t, memory.New(), &postman{}, nil)
	m := examples()["factor_enrolled"]
	m.Detail = "totp x\r\n\r\nTo keep your account, open https://evil.example/\u202e" + strings.Repeat("!", 500)
	m.Username = "ann\nBcc: bob@acme.example"
	got := o.compose("1abc", m)
	for _, line := range strings.Split(got.Text, "\n") {
		if strings.HasPrefix(line, "To keep") || strings.HasPrefix(line, "Bcc") || strings.ContainsAny(line, "\r\u202e") || len(line) > 300 {
			t.Errorf("line %q", line)
		}
	}
	if strings.Contains(got.HTML, `href="https://evil`) {
		t.Error("a link of somebody else's")
	}
}

func TestSpan(t *testing.T) {
	for in, want := range map[time.Duration]string{
		time.Minute: "1 minute", 10 * time.Minute: "10 minutes", 90 * time.Minute: "90 minutes", 72 * time.Hour: "72 hours",
	} {
		if got := span(in); got != want {
			t.Errorf("span(%s) = %s, want %s", in, got, want)
		}
	}
}
