package web_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"gatehouse/internal/web"
)

var assetHash = regexp.MustCompile(`/static/[0-9a-f]{16}/`)

// nodes parses a page and returns its elements in order.
func nodes(t testing.TB, page string) []*html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var all []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attr(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// button returns where the page's one button leads, "-" when it has none.
func button(t testing.TB, page string) string {
	t.Helper()
	for _, n := range nodes(t, page) {
		if class, _ := attr(n, "class"); n.Data == "a" && class == "button" {
			href, _ := attr(n, "href")
			return href
		}
	}
	return "-"
}

// scripts is how many scripts a page loads: browsers have passkeys for scripts
// alone, and no other page has one.
func scripts(e exhibit) int {
	if strings.HasSuffix(e.name, "_passkey") {
		return 1
	}
	return 0
}

// Each page can be used with a keyboard, a screen reader and a password
// manager, and has nothing in it that the policy would have to allow.
func TestMarkupOfEveryPage(t *testing.T) {
	p := &web.Pages{Prefix: prefix, Banner: "This is a demonstration."}
	for _, e := range gallery(t) {
		t.Run(e.name, func(t *testing.T) {
			all := nodes(t, render(p, e).Body.String())
			count := map[string]int{}
			ids := map[string]*html.Node{}
			labels := map[string]string{}
			for _, n := range all {
				count[n.Data]++
				if id, ok := attr(n, "id"); ok {
					if ids[id] != nil {
						t.Errorf("two elements have the id %s", id)
					}
					ids[id] = n
				}
				if n.Data == "label" {
					to, _ := attr(n, "for")
					labels[to] = text(n)
				}
				for _, a := range n.Attr {
					if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
						t.Errorf("<%s %s>: neither style nor script may stand in a page", n.Data, a.Key)
					}
				}
			}
			for name, want := range map[string]int{"h1": 1, "main": 1, "title": 1, "header": 1, "footer": 1, "script": scripts(e), "style": 0} {
				if count[name] != want {
					t.Errorf("%d <%s>, want %d", count[name], name, want)
				}
			}
			invalid := 0
			for _, n := range all {
				switch n.Data {
				case "html":
					if lang, _ := attr(n, "lang"); lang != "en" {
						t.Errorf("lang=%q", lang)
					}
				case "title":
					if !strings.HasSuffix(text(n), " · Gatehouse") || len(text(n)) < len("x · Gatehouse") {
						t.Errorf("title %q", text(n))
					}
				case "img":
					if alt, _ := attr(n, "alt"); alt == "" {
						t.Error("an image without alternative text")
					}
				case "input":
					kind, _ := attr(n, "type")
					if kind == "hidden" {
						continue
					}
					id, _ := attr(n, "id")
					if labels[id] == "" {
						t.Errorf("the input %q has no label", id)
					}
					want := map[string]string{
						"username": "username", "password": "current-password", "code": "one-time-code",
						"new_password": "new-password", "again": "new-password", "name": "off",
					}
					sort, _, _ := strings.Cut(id, "-") // of several
					if got, _ := attr(n, "autocomplete"); got != want[sort] || got == "" {
						t.Errorf("input %s: autocomplete=%q, want %q", id, got, want[sort])
					}
					if mode, _ := attr(n, "inputmode"); id == "code" && mode != "numeric" && e.name != "factor_recovery" {
						t.Errorf("inputmode=%q", mode)
					}
					by, _ := attr(n, "aria-describedby")
					for ref := range strings.FieldsSeq(by) {
						if ids[ref] == nil || text(ids[ref]) == "" {
							t.Errorf("input %s is described by %q, which says nothing", id, ref)
						}
					}
					if bad, _ := attr(n, "aria-invalid"); bad == "true" {
						invalid++
						if !slices.Contains(strings.Fields(by), "problem") {
							t.Errorf("input %s is invalid and is not tied to the text that says why", id)
						}
					}
				case "a":
					if text(n) == "" {
						t.Error("a link without text")
					}
				case "svg":
					if hidden, _ := attr(n, "aria-hidden"); hidden != "true" {
						if parent, _ := attr(n.Parent, "aria-hidden"); parent != "true" {
							t.Error("a drawing that a screen reader would spell out")
						}
					}
				}
			}
			if ids["problem"] != nil && invalid == 0 {
				t.Error("a problem that is tied to no field")
			}
		})
	}
}

// palette reads the colours of a theme: the first :root block, overridden by
// the one for dark.
func palette(t *testing.T, dark bool) map[string][3]float64 {
	t.Helper()
	css, err := os.ReadFile("static/css/colours.css")
	if err != nil {
		t.Fatal(err)
	}
	light, rest, ok := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("no dark theme")
	}
	night, _, _ := strings.Cut(rest, "\n}\n")
	colours := map[string][3]float64{}
	read := func(block string) {
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(block, -1) {
			v, err := strconv.ParseUint(m[2], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			colours[m[1]] = [3]float64{float64(v>>16) / 255, float64(v>>8&255) / 255, float64(v&255) / 255}
		}
	}
	read(light)
	if dark {
		before := len(colours)
		read(night)
		if len(colours) != before {
			t.Error("the dark theme has a colour that the light one lacks")
		}
	}
	return colours
}

// luminance is relative luminance as WCAG 2.2 defines it.
func luminance(c [3]float64) float64 {
	var l [3]float64
	for i, v := range c {
		if v <= 0.04045 {
			l[i] = v / 12.92
		} else {
			l[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
}

func contrast(a, b [3]float64) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Text needs 4.5:1 (WCAG 2.2, 1.4.3), the edges of fields and the mark of
// focus 3:1 (1.4.11).
func TestContrastInBothThemes(t *testing.T) {
	const forText, forShape = 4.5, 3.0
	type pair struct {
		front, back string
		least       float64
	}
	pairs := []pair{
		{"on-accent", "accent", forText},
		{"on-accent", "accent-deep", forText},
		{"danger", "danger-well", forText},
		{"banner", "banner-well", forText},
		{"danger-edge", "card", forShape},
		{"field", "card", forShape},
		{"accent", "card", forShape},
		{"focus", "banner-well", forShape},
	}
	for _, ground := range []string{"paper", "arch", "arch-inner", "card", "well"} {
		for _, ink := range []string{"ink", "muted", "link"} {
			pairs = append(pairs, pair{ink, ground, forText})
		}
		pairs = append(pairs, pair{"focus", ground, forShape})
	}
	for tone := range 6 {
		pairs = append(pairs, pair{"on-tone", fmt.Sprintf("tone-%d", tone), forText})
	}
	for _, dark := range []bool{false, true} {
		colours := palette(t, dark)
		for _, p := range pairs {
			front, ok1 := colours[p.front]
			back, ok2 := colours[p.back]
			if !ok1 || !ok2 {
				t.Fatalf("no colour %s or %s", p.front, p.back)
			}
			if got := contrast(front, back); got < p.least {
				t.Errorf("dark %v: %s on %s has %.2f:1, want %.1f:1", dark, p.front, p.back, got, p.least)
			}
		}
	}
}

// Each file under static/css is part of the stylesheet that is served, once.
func TestStylesheetIsWhole(t *testing.T) {
	p := &web.Pages{Prefix: prefix}
	mux := http.NewServeMux()
	p.Mount(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, p.Stylesheet(), nil))
	for name, css := range styles(t) {
		if n := strings.Count(w.Body.String(), css); n != 1 {
			t.Errorf("%s is %d times in the stylesheet", name, n)
		}
	}
}

// A colour outside the palette would escape the test of contrast.
func TestNoColourOutsideThePalette(t *testing.T) {
	for name, css := range styles(t) {
		for i, line := range strings.Split(css, "\n") {
			colour := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|rgba?\(`).FindString(line)
			if colour != "" && !strings.HasPrefix(strings.TrimSpace(line), "--") && !strings.Contains(line, "#fff;") {
				t.Errorf("%s:%d: %s", name, i+1, colour)
			}
		}
	}
}

// styles are the files of the stylesheet, by path.
func styles(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("static/css/*.css")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	all := map[string]string{}
	for _, name := range names {
		css, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(css)
	}
	return all
}
