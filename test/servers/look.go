package servers

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// Look is a way in which a page is looked at.
type Look struct {
	Theme, Device string
	width         int64
}

// Looks are the ways in which pages are looked at: every one for pictures,
// otherwise as few as show every theme and every width.
func Looks(pictures bool) []Look {
	all := []Look{{"light", "phone", 390}, {"dark", "desktop", 1280}}
	if pictures {
		all = append(all, Look{"dark", "phone", 390}, Look{"light", "desktop", 1280})
	}
	return all
}

// Look looks at pages in that way from now on.
func (b *Chromium) Look(t testing.TB, l Look) {
	t.Helper()
	b.Theme(t, l.Theme)
	b.Viewport(t, l.width, 820)
}

// Judge fails the test when the page that is shown scrolls sideways, or has
// drawn a complaint about its own policy. In a folder, unless that is "", it
// leaves a picture for people to look at.
func (b *Chromium) Judge(t testing.TB, l Look, page, folder string) {
	t.Helper()
	if over := Ask(t, b, chromedp.Evaluate[float64]("document.documentElement.scrollWidth - innerWidth")); over > 0 {
		t.Errorf("%s, %s: %v px wider than the window", page, l.Device, over)
	}
	if problems := b.Problems(); problems != nil {
		t.Errorf("%s: the browser complains: %q", page, problems)
	}
	if folder != "" {
		b.Screenshot(t, filepath.Join(folder, page+"-"+l.Theme+"-"+l.Device+".png"))
	}
}
