package test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/test/servers"
)

// typed presses keys, wherever the focus is.
func typed(t *testing.T, b *servers.Chromium, keys string) {
	t.Helper()
	b.Do(t, chromedp.KeyEvent(keys))
}

// on reports whether the focus is on the selector's element.
func on(t *testing.T, b *servers.Chromium, css string) bool {
	t.Helper()
	return servers.Ask(t, b, chromedp.Evaluate[bool](`document.activeElement.matches('`+css+`')`))
}

// tabTo presses the tab key until the focus is on the element, as somebody
// without a mouse does.
func tabTo(t *testing.T, b *servers.Chromium, css string) {
	t.Helper()
	for range 60 { // more than any page has controls
		if on(t, b, css) {
			seen(t, b)
			return
		}
		typed(t, b, kb.Tab)
	}
	t.Fatalf("%s is not reached with the tab key at %s", css, b.Location(t))
}

// focused waits until the focus is on the element: a page sets it after it is
// shown.
func focused(t *testing.T, b *servers.Chromium, css string) {
	t.Helper()
	servers.WaitFor(t, "the focus on "+css, func(context.Context) bool { return on(t, b, css) })
	seen(t, b)
}

// seen fails the test unless somebody who looks at the page sees what has the
// focus (WCAG 2.2, 2.4.7 and 2.4.11).
func seen(t *testing.T, b *servers.Chromium) {
	t.Helper()
	if why := servers.Ask(t, b, chromedp.Evaluate[string](`(() => {
		const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
		if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) return e.outerHTML + " has no outline";
		const past = Math.max(-box.top, box.bottom - innerHeight, -box.left, box.right - innerWidth);
		if (past >= 1) return e.outerHTML + " is out of sight";
		return "";
	})()`)); why != "" {
		t.Errorf("the focus is not seen at %s: %s", b.Location(t), why)
	}
}

// controls are all that a page lets a person operate, in its order.
const controls = `[...document.querySelectorAll("a[href], button, input, summary")].filter((e) => e.checkVisibility())`

// walks presses the tab key through the whole page and back. Every control is
// reached, in the order of the page, which is that in which people read it.
func walks(t *testing.T, b *servers.Chromium) {
	t.Helper()
	for _, jump := range servers.Ask(t, b, chromedp.Evaluate[[]string](controls+`.filter((e, i, all) => {
		if (i === 0) return false;
		const box = e.getBoundingClientRect(), last = all[i-1].getBoundingClientRect();
		return box.top < last.bottom && (box.bottom <= last.top || box.left < last.right);
	}).map((e) => e.outerHTML)`)) {
		t.Errorf("%s is before what precedes it in the order of the keyboard", jump)
	}
	at := func() int {
		return servers.Ask(t, b, chromedp.Evaluate[int](controls+`.indexOf(document.activeElement)`))
	}
	moves := func(to int, option ...chromedp.KeyOption) {
		t.Helper()
		b.Do(t, chromedp.KeyEvent(kb.Tab, option...))
		if now := at(); now != to {
			t.Fatalf("the tab key leads to control %d of %s, want %d", now, b.Location(t), to)
		}
		seen(t, b)
	}
	first, n := at(), servers.Ask(t, b, chromedp.Evaluate[int](controls+`.length`))
	for i := first + 1; i < n; i++ {
		moves(i)
	}
	for i := n - 2; i >= max(first, 0); i-- {
		moves(i, chromedp.KeyModifiers(chromedp.ModifierShift))
	}
}

// keyOn reads the key for an authenticator app from the page.
func keyOn(t *testing.T, b *servers.Chromium) *authenticator {
	t.Helper()
	return &authenticator{secret: strings.Join(strings.Fields(servers.Ask(t, b, chromedp.TextContent(chromedp.CSS(".key")))), "")}
}
