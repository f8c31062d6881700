package proxy

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"weak"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/web"
)

// Attack: make so many requests, or such long ones, that the memory fills or
// the refusals are forgotten.
func TestDecisionsAreBounded(t *testing.T) {
	var d Decisions
	note := func(id, path, verdict string, p *auth.Person) {
		x := &exchange{id: id, target: target{path: path}, verdict: verdict, status: 200, person: p}
		d.note(x, &http.Request{Method: "GET", Host: "a.example", RequestURI: path})
	}
	note("refused", "/admin/", verdictForbidden, &auth.Person{User: "ann"})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range rememberedDecisions {
				// A question about ours is forbidden to everybody.
				verdict := []string{verdictUnauthenticated, verdictForbidden, verdictAllowed}[j%3]
				note(fmt.Sprintf("%d-%d", i, j), "/"+strings.Repeat("x", 60_000), verdict, nil)
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
	// Nor is what narrows a verdict kept, of which a stranger can send a lot.
	q, err := parseAllowed("allowed_groups=" + strings.Repeat("aaaaaaa,", 2000))
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{id: "narrowed", route: ownRoute("/oauth2/"), verdict: verdictForbidden, inquiry: inquiry{further: q}, person: &auth.Person{User: strings.Repeat("u", 9000), AMR: slices.Repeat([]string{"x"}, 5000)}}
	d.note(x, &http.Request{})
	if j, _ := d.Find("narrowed"); len(j.User) > rememberedText || len(j.AMR) != rememberedValues || len(j.Decision.Rule[0].Values) != rememberedValues || j.Decision.Outcome != Refused {
		t.Errorf("remembered: %+v", j)
	}
	if _, err := parseAllowed("allowed_groups=" + strings.Repeat("a", maxAllowed)); err == nil {
		t.Error("a query without end is taken")
	}
	for _, n := range d.other.all {
		if len(n.path) > rememberedText {
			t.Fatalf("%d bytes of a path are remembered", len(n.path))
		}
	}
	// An id that comes twice is that of the newest.
	note("twice", "/first", verdictAllowed, nil)
	note("twice", "/second", verdictAllowed, nil)
	if j, _ := d.Find("twice"); j.Path != "/second" {
		t.Errorf("%+v", j)
	}
	if _, found := d.Find("none"); found {
		t.Error("an id that was never there is found")
	}
	note("own", "/oauth2/account", verdictOwn, nil)
	if _, found := d.Find("own"); found {
		t.Error("a request for Gatehouse itself is remembered")
	}
}

// What is remembered outlives the configuration, and must not keep it.
func TestDecisionsHoldNoGateway(t *testing.T) {
	var d Decisions
	gone := func() weak.Pointer[Gateway] {
		cfg := defaults()
		cfg.Routes = to("http://127.0.0.1:9", config.Route{Path: "/", Access: config.Access{Groups: []string{"admins"}}})
		g, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.Sessions, g.Pages, g.Log, g.Decisions = somebody(), &web.Pages{Prefix: "/oauth2"}, slog.New(slog.DiscardHandler), &d
		g.Own = http.NotFoundHandler()
		r := httptest.NewRequest("GET", "http://app.example/x", nil)
		r.Header.Set("Cookie", "_gatehouse=bob")
		g.ServeHTTP(httptest.NewRecorder(), r)
		return weak.Make(g)
	}()
	if n := len(d.refused.all); n != 1 {
		t.Fatalf("%d refusals are remembered", n)
	}
	j, _ := d.Find(d.refused.all[0].id)
	if j.User != "acme:7" || j.Decision == nil || j.Decision.Outcome != Refused || len(j.Decision.Rule) != 1 {
		t.Errorf("%+v", j)
	}
	for range 10 {
		runtime.GC()
		if gone.Value() == nil {
			return
		}
	}
	t.Error("a decision keeps the gateway that made it")
}
