package metrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/store/memory"
)

// TestDocumented: docs/operations.md has a row for each metric, with its type
// and labels, and for no other.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	row := regexp.MustCompile("(?m)^\\| `(gatehouse_[a-z_]+)` \\| ([a-z]+) \\| ?([a-z` ]*?) ?\\|")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		labels := strings.Fields(strings.ReplaceAll(m[3], "`", ""))
		slices.Sort(labels)
		documented[m[1]] = append([]string{m[2]}, labels...)
	}
	m := used(t)
	_ = m.Store(memory.New())
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	served := map[string][]string{}
	for _, f := range families {
		name := f.GetName()
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		what := []string{strings.ToLower(f.GetType().String())}
		for _, l := range f.GetMetric()[0].GetLabel() {
			what = append(what, l.GetName())
		}
		served[name] = what
	}
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("docs/operations.md (-served +documented):\n%s", diff)
	}
	// A test that forgets to use a metric would also forget to look for it.
	if registered := described(t); len(registered) != len(served) {
		t.Errorf("%d metrics are registered, and %d used: %v", len(registered), len(served), registered)
	}
}

// described are the names that New registers.
func described(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?:counters|histograms|gauges?)\("([a-z_]+)",|Name: "([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1]+m[2])
	}
	return names
}

// TestStartedAt: the time of the first configuration is there from the start.
func TestStartedAt(t *testing.T) {
	if text := scrape(t, New("", time.Unix(1_700_000_000, 500_000_000))); !strings.Contains(text, "success_timestamp_seconds 1.7000000005e+09\n") {
		t.Error("the time is not that of the start")
	}
}
