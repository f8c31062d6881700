package mail

import (
	"cmp"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/auth"
)

// Mail is a message as it is sent.
type Mail struct {
	ID         string // the same at each attempt
	Date       time.Time
	To         string
	Subject    string
	Text, HTML string
}

//go:embed templates
var templates embed.FS

// page is what the templates show.
type page struct {
	Site    Site
	Subject string
	Title   string
	Said    []string
	Code    string
	Label   string // of URL
	URL     string
	Facts   []fact
	React   []string // what to do if it was somebody else
	Account bool     // React is about the account page
}

type fact struct{ Name, Value string }

// compose makes a mail of a message.
func (o *Outbox) compose(id string, m message) Mail {
	p := o.page(m)
	var text, html strings.Builder
	// Parsed at each mail: it takes less than a millisecond, and there are few.
	err := texttemplate.Must(texttemplate.New("mail.txt").Funcs(texttemplate.FuncMap{"wrap": wrap}).ParseFS(templates, "templates/mail.txt")).Execute(&text, p)
	if err == nil {
		err = htmltemplate.Must(htmltemplate.ParseFS(templates, "templates/mail.html")).Execute(&html, p)
	}
	if err != nil {
		panic("mail: a template does not fit the page: " + err.Error()) // a test renders each
	}
	return Mail{ID: id, Date: m.At, To: m.To, Subject: p.Subject, Text: text.String(), HTML: html.String()}
}

// page says a message in words.
func (o *Outbox) page(m message) page {
	p := page{Site: o.Site}
	at := " at " + o.Site.Name
	until := m.Expires.UTC().Format("2 January 2006, 15:04") + " UTC"
	life := span(m.Expires.Sub(m.At))
	switch m.Kind {
	case KindCode:
		p.Title, p.Code = "Your code", m.Code
		p.Said = []string{"Type this code where you were asked for it. It can be used once, within " + life + "."}
		p.React = []string{
			"Nobody at " + o.Site.Name + " will ever ask you for this code: give it to nobody.",
			"If you did not ask for it, somebody else may know your password. Change it, and tell your administrator.",
		}
		p.Account = true
	case KindSetUp:
		p.Title, p.Label, p.URL = "Set your password", "Set your password", m.URL
		p.Said = []string{"An account was made for you. Open this page to choose a password; the link can be used once, within " + life + "."}
		p.React = []string{"If you do not know what this is about, do nothing: without the link nobody can use the account. If the link is over, ask your administrator for another."}
	case KindReset:
		p.Title, p.Label, p.URL = "Reset your password", "Choose a new password", m.URL
		p.Said = []string{"Somebody, probably you, has asked for a new password. Open this page to choose one; the link can be used once, within " + life + "."}
		p.React = []string{"If it was not you, do nothing: your password stays as it is. Give the link to nobody. If such mails keep coming, tell your administrator."}
	default:
		t, _ := happened(auth.Event(m.Kind), m.Detail)
		p.Title, p.Said = t.subject, []string{t.said}
		if t.advice != "" {
			p.Said = append(p.Said, t.advice)
		}
		p.Facts = append(p.Facts, fact{"Account", m.Username})
		if t.detail != "" {
			p.Facts = append(p.Facts, fact{"What", t.detail})
		}
		p.React = []string{"If this was you, or you know of it, there is nothing to do.", "Otherwise change your password, end all other sessions and see to your second factors. If you cannot sign in any more, tell your administrator at once."}
		p.Account = true
	}
	p.Subject = oneLine(p.Title + at)
	p.Facts = append(p.Facts, fact{"When", m.At.UTC().Format("2 January 2006, 15:04:05") + " UTC"})
	p.Facts = append(p.Facts, from(m)...)
	if m.Code != "" || m.URL != "" {
		p.Facts = append(p.Facts, fact{"Good until", until})
	}
	for i := range p.Facts {
		p.Facts[i].Value = oneLine(p.Facts[i].Value)
	}
	return p
}

// from says where whatever the mail tells of came from. A command has no
// client, and only administrators give commands; none asks for a code or for
// another's password to be reset.
func from(m message) []fact {
	if m.Client == (auth.Client{}) && m.Kind != KindCode && m.Kind != KindReset {
		return []fact{{"By", "an administrator"}}
	}
	return []fact{
		{"From", cmp.Or(m.Client.Address, "an unknown address")},
		{"Device", cmp.Or(m.Client.Device(), "unknown")},
	}
}

// span is a time in words.
func span(d time.Duration) string {
	n, unit := int(d.Round(time.Minute)/time.Minute), "minute"
	if n > 120 {
		n, unit = int(d.Round(time.Hour)/time.Hour), "hour"
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// longest is how much of a value is shown, in characters.
const longest = 200

// oneLine keeps line breaks and their kin, which whoever chose a name may have
// put there, from looking like words of ours.
func oneLine(s string) string { return shortened(printable(s)) }

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
}

func shortened(s string) string {
	if utf8.RuneCountInString(s) > longest {
		s = string([]rune(s)[:longest]) + "…"
	}
	return strings.TrimSpace(s)
}

// wrap breaks a paragraph into lines of at most 72 characters, as plain mails
// have them.
func wrap(s string) string {
	const width = 72
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case used == 0:
		case used+1+n > width:
			b.WriteByte('\n')
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}
