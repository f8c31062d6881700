package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gatehouse/auth"
)

// Attack: make so many requests, or such long ones, that the memory fills or
// the refusals are forgotten.
func TestDecisionsAreBounded(t *testing.T) {
	var d Decisions
	note := func(id, path, verdict string) {
		x := &exchange{id: id, target: target{path: path}, verdict: verdict, status: 200}
		if verdict == verdictForbidden {
			x.person = &auth.Person{User: "ann"}
		}
		d.note(x, &http.Request{Method: "GET", Host: "a.example", RequestURI: path})
	}
	note("refused", "/admin/", verdictForbidden)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range rememberedDecisions {
				note(fmt.Sprintf("%d-%d", i, j), "/"+strings.Repeat("x", 60_000), verdictUnauthenticated)
			}
			_, _ = d.Find("refused")
		})
	}
	all.Wait()
	if j, found := d.Find("refused"); !found || j.User != "ann" || j.Path != "/admin/" {
		t.Errorf("a refusal is forgotten: %+v", j)
	}
	if len(d.other.all) != rememberedDecisions {
		t.Errorf("%d decisions are remembered", len(d.other.all))
	}
	for _, n := range d.other.all {
		if len(n.path) > rememberedText {
			t.Fatalf("%d bytes of a path are remembered", len(n.path))
		}
	}
	// An id that comes twice is that of the newest.
	note("twice", "/first", verdictAllowed)
	note("twice", "/second", verdictAllowed)
	if j, _ := d.Find("twice"); j.Path != "/second" {
		t.Errorf("%+v", j)
	}
	if _, found := d.Find("none"); found {
		t.Error("an id that was never there is found")
	}
	note("own", "/oauth2/account", verdictOwn)
	if _, found := d.Find("own"); found {
		t.Error("a request for Gatehouse itself is remembered")
	}
}
