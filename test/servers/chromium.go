package servers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// Chromium is a headless browser with a profile of its own.
type Chromium struct {
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// StartChromium starts a browser that is closed, and its profile removed,
// when the test ends.
func StartChromium(t testing.TB) *Chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("start chromium: %v; ./test/run installs it", err)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), // the profile goes to a temporary folder that chromedp makes and removes
		chromedp.Headless,
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-default-apps", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("password-store", "basic"),
		chromedp.Flag("force-color-profile", "srgb"),
	)
	b := &Chromium{}
	ctx, cancel := chromedp.NewContext(alloc, chromedp.WithListener(b.listen))
	b.ctx = ctx
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return b
}

// listen keeps what the browser complains about.
func (b *Chromium) listen(event any) {
	entry, ok := event.(*log.EventEntryAdded)
	if !ok || entry.Entry.Source != log.EntrySourceSecurity {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, entry.Entry.Text)
}

// Problems returns the security complaints since the last call, such as
// violations of a content security policy.
func (b *Chromium) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.problems
	b.problems = nil
	return p
}

// Do runs the steps in order and fails the test when one of them does not
// come to an end within half a minute.
func (b *Chromium) Do(t testing.TB, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	Ask(t, b, chromedp.Steps(steps...))
}

// Ask runs a step that answers something, such as chromedp.Text, and returns
// the answer. It fails the test when that takes longer than half a minute.
func Ask[T any](t testing.TB, b *Chromium, step chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, step)
	if err != nil {
		where, _ := chromedp.Run(b.ctx, chromedp.Location())
		t.Fatalf("chromium at %s: %v", where, err)
	}
	return v
}

// Go opens a URL.
func (b *Chromium) Go(t testing.TB, url string) {
	t.Helper()
	b.Do(t, chromedp.Navigate(url))
}

// Location returns the URL that the browser shows.
func (b *Chromium) Location(t testing.TB) string {
	t.Helper()
	return Ask(t, b, chromedp.Location())
}

// Viewport sets the size of the window's content in CSS pixels.
func (b *Chromium) Viewport(t testing.TB, width, height int64) {
	t.Helper()
	b.Do(t, chromedp.EmulateViewport(width, height))
}

// Theme makes pages believe that the person prefers "light" or "dark".
func (b *Chromium) Theme(t testing.TB, scheme string) {
	t.Helper()
	b.Do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// Screenshot writes the whole page as a PNG file.
func (b *Chromium) Screenshot(t testing.TB, path string) {
	t.Helper()
	png := Ask(t, b, chromedp.FullScreenshot(100))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		t.Fatal(err)
	}
}
