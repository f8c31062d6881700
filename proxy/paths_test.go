package proxy

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// TestPaths walks the tricks by which an upstream is made to see another path
// than the gateway: each must be refused where the rules differ.
func TestPaths(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(
		app.URL,
		config.Route{Path: "/", Access: anyone},
		config.Route{Path: "/admin/", Access: staff},
		config.Route{Path: "/public/", Access: public},
		config.Route{Path: "/grüße/", Access: staff},
		config.Route{Path: "/a b/", Access: staff},
		config.Route{Path: "/exact", Access: staff},
	)
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		target string
		want   int // for bob, who has no groups
	}{
		{"/", 200},
		{"/admin", 403},
		{"/admin/", 403},
		{"/admin/x", 403},
		{"/adminx", 200},
		{"/exact", 403},
		{"/exact/", 200},
		{"/exact?x=/../", 403},
		{"/public/x", 200},

		// Readings that agree pass as they were sent.
		{"/files/a%2fb", 200},
		{"/files/a%2Fb%20c;v=1?q=%zz&r=;", 200},
		{"/files//b", 200},
		{"/files/100%25", 200},
		{"/files/..%2fother", 200},
		{"/files/%25252e", 200},
		{"/Files/ａdmin", 200},
		{"/%EF%BD%81dmin/", 200}, // full-width a is another letter
		{"/admin/%2e", 403},
		{"/public/a;b=1/c", 200},
		{"/grüße/x", 403},
		{"/gr%C3%BC%C3%9Fe/x", 403},
		{"/a%20b/x", 403},

		// Readings that differ.
		{"/ADMIN/x", 400},
		{"/Admin", 400},
		{"/%61dmin/", 400},
		{"/%2561dmin/", 400},
		{"/%252561dmin/", 400},
		{"//admin/", 400},
		{"/./admin/", 400},
		{"/x/../admin/", 400},
		{"/x/..;/admin/", 400},
		{"/x/..;a=b/admin/", 400},
		{"/x/%2e%2e/admin/", 400},
		{"/x/.%2e/admin/", 400},
		{"/x/..%2fadmin/", 400},
		{"/x/%2e%2e%2fadmin/", 400},
		{"/x%2f..%2fadmin/", 400},
		{"/x/..%5cadmin/", 400},
		{"/x/%252e%252e%252fadmin/", 400},
		{`/x\..\admin/`, 400},
		{`/\admin/`, 400},
		{"/%5cadmin/", 400},
		{"/admin;x/y", 400},
		{"/admin%3bx/y", 400},
		{"/;x/admin/", 400},
		{"/public/../admin/", 400},
		{"/public/..;/admin/", 400},
		{"/public/%2e%2e/secret", 400},
		{"/public/..%00/", 400},
		{"/public/%2e%2e;/%61dmin", 400},
		{"/admin/../public/", 400},
		{"/admin/..", 400},
		{"/x/%c0%ae%c0%ae/admin/", 400},
		{"/%c0%afadmin/", 400},
		{"/x/%e0%80%ae%e0%80%ae/admin/", 400},
		{"/x/..%c0%afadmin/", 400},
		{"/admin%3fx", 400},
		{"/admin%23x", 400},
		{"/ad%09min/", 400},
		{"/ad%0d%0amin/", 400},
		{"/admin%20/", 400},
		{"/admin./", 400},
		{"/x/..%20/admin/", 400},
		{"//evil.example/admin/", 400},
		{"//evil.example/x", 200},
		{"/%25u0061dmin/", 400},
		{"/a%2520b/x", 400},
		{"/x/..%2fa%20b/", 400},
		{"/exact%2f", 200}, // /exact/ is not /exact
		{"/exact/.", 400},  // /exact/ to RFC 3986, /exact to path.Clean
		{"/exact/x/%2e%2e", 400},
		{"/exact;x", 400},
		{"/EXACT", 400},
		{"/%E2%84%AAx", 200},

		// No honest reading at all.
		{"/x%00", 400},
		{"/x%2500", 400},
		{"/x%25%30%30", 400},
		{"/x#y", 400},
		{"/x?y#z", 400},
		{"/x%", 400},
		{"/x%2", 400},
		{"/x%zz", 400},
		{"/x%u0061", 400},
		{"*", 400},
		{"admin", 400},
		{"http:admin", 400},
		{"ftp://app.example/", 400},
		{"http://user@app.example/", 400},
		{"/" + strings.Repeat("a", maxPath), 400},
		{"/%" + strings.Repeat("25", 2000) + "61dmin", 400}, // too deep to look further
		{"/%" + strings.Repeat("25", 30) + "61dmin", 400},
		{"/%" + strings.Repeat("25", 30) + "61nother", 200},

		// Absolute form is judged by its path.
		{"http://app.example/x", 200},
		{"http://app.example/admin/x", 403},
		{"HTTP://app.example", 200},
		{"http://app.example?x=1", 200},

		// Gatehouse's own paths.
		{"/ping", 200},
		{"/oauth2/nothing", 404},
		{"/oauth2", 404},
		{"/oauth2/x/../nothing", 404},
		{"/oauth2/%2e%2e/admin", 400},
		{"/oauth2/..%2f", 400},
		{"/x/..%2foauth2/sign_in", 400},
		{"/OAuth2/sign_in", 400},
		{"/.well-known/gatehouse/x", 404},
		{"/.well-known/other", 200},
	} {
		t.Run(tt.target[:min(len(tt.target), 60)], func(t *testing.T) {
			resp := f.get(t, tt.target, "bob")
			if resp.StatusCode != tt.want {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.want)
			}
			r := app.got()
			if want := tt.want == 200 && tt.target != "/ping"; want != (r != nil) {
				t.Fatalf("the application got a request: %v, want %v", r != nil, want)
			}
			if r == nil {
				return
			}
			want := tt.target
			switch {
			case strings.EqualFold(want, "http://app.example"):
				want = "/"
			case strings.HasPrefix(want, "http://app.example?"):
				want = "/" + want[len("http://app.example"):]
			default:
				want = strings.TrimPrefix(want, "http://app.example")
			}
			if r.RequestURI != want {
				t.Errorf("the application got %q, want %q", r.RequestURI, want)
			}
		})
	}
}

// TestOwnPathsNotCleaned: ServeMux would answer an unclean path with a
// redirect, which a forward-auth client must never see.
func TestOwnPathsNotCleaned(t *testing.T) {
	f := start(t, defaults(), somebody())
	for _, target := range []string{"/oauth2//auth", "/oauth2/x/../auth", "/oauth2/./auth"} {
		if got := f.get(t, target, "ann").StatusCode; got != 404 {
			t.Errorf("%s: status %d, want 404", target, got)
		}
	}
}

func TestMethods(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(
		app.URL,
		config.Route{Path: "/", Access: anyone},
		config.Route{Path: "/items/", Access: staff, Methods: []string{"POST", "DELETE"}},
		config.Route{Path: "/only", Access: anyone, Methods: []string{"GET"}},
	)
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/items/1", 200},
		{"POST", "/items/1", 403},
		{"DELETE", "/items/1", 403},
		{"PUT", "/items/1", 200},
		// Attack: an application that reads methods in capitals.
		{"post", "/items/1", 400},
		{"get", "/items/1", 200},
		{"CONNECT", "/items/1", 405},
		{"CONNECT", "app.example:80", 405},
		{"TRACE", "/", 405},
		{"trace", "/", 405},
		{"OPTIONS", "*", 400},
		{"PRI", "*", 400},
	} {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			resp := f.send(t, tt.method, tt.target, "bob")
			if resp.StatusCode != tt.want {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.want)
			}
			if tt.want == 405 && resp.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestHosts(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(
		app.URL,
		config.Route{Host: "a.example", Path: "/", Access: public},
		config.Route{Host: "a.example", Path: "/secret/", Access: staff},
		config.Route{Host: "b.example", Path: "/only/", Access: public},
		config.Route{Path: "/shared/", Access: public},
	)
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		host, target string
		want         int
	}{
		{"a.example", "/", 200},
		{"A.Example", "/", 200},
		{"a.example.", "/", 200},
		{"a.example:8443", "/", 200},
		{"A.EXAMPLE.:80", "/secret/x", 401},
		{"a.example", "/shared/", 200},
		{"b.example", "/", 404},
		{"b.example", "/only/", 200},
		{"b.example", "/shared/x", 200}, // any host, since none of its own routes matches
		{"c.example", "/", 404},
		{"c.example", "/shared/x", 200},
		{"xa.example", "/", 404},
		{"a.example.evil.example", "/", 404},
		{"a.example..", "/", 404},
		{"[::1]:80", "/shared/", 200},
		{"a.example@evil", "/shared/", 400},
		{"a%2eexample", "/shared/", 400},
		{"a.example:x", "/shared/", 400},
		{"", "/shared/", 200},
		{"anything", "/ping", 200},
	} {
		t.Run(tt.host+tt.target, func(t *testing.T) {
			resp := f.raw(t, "GET "+tt.target+" HTTP/1.1\r\nHost: "+tt.host+"\r\nConnection: close\r\n\r\n")
			if resp.StatusCode != tt.want {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.want)
			}
		})
	}
}

// TestLetterCase: routes that differ in case alone mean it.
func TestLetterCase(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(
		app.URL,
		config.Route{Path: "/", Access: public},
		config.Route{Path: "/Kit/", Access: staff},
		config.Route{Path: "/kit/", Access: anyone},
	)
	f := start(t, cfg, somebody())
	for target, want := range map[string]int{
		"/kit/x": 200, "/Kit/x": 403, "/KIT/x": 400, "/kIt": 400, "/%E2%84%AAit/": 400, "/K%C4%B1t/": 400, "/other": 200,
	} {
		if got := f.get(t, target, "bob").StatusCode; got != want {
			t.Errorf("%s: status %d, want %d", target, got, want)
		}
	}
}

func TestStripPrefix(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(
		app.URL,
		config.Route{Path: "/app/", Access: public, StripPrefix: true},
		config.Route{Path: "/a b/", Access: public, StripPrefix: true},
	)
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		target, want string // "": 400
	}{
		{"/app", "/"},
		{"/app?x=1", "/?x=1"},
		{"/app/", "/"},
		{"/app/x%2fy?z", "/x%2fy?z"},
		{"/app/app/", "/app/"},
		{"/a%20b/c", "/c"},
		// Attack: the rest of the path names another host.
		{"/app//evil.example/", ""},
		{"/app/%2fevil.example/", ""},
		{"/app/%5cevil.example/", ""},
		{`/app/\evil.example/`, ""},
		{"/app/;/evil.example/", ""},
		{"/app/.//evil.example/", ""},
		{"/app/../x", ""},
		{"/%61pp/x", ""},
	} {
		t.Run(tt.target, func(t *testing.T) {
			resp := f.get(t, tt.target, "")
			r := app.got()
			switch {
			case tt.want == "" && (resp.StatusCode != 400 || r != nil):
				t.Errorf("status %d, forwarded %v; want 400", resp.StatusCode, r != nil)
			case tt.want != "" && (r == nil || r.RequestURI != tt.want):
				t.Errorf("status %d, forwarded %v; want %s", resp.StatusCode, r, tt.want)
			}
		})
	}
}

func TestTableRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		routes []config.Route
	}{
		{"two routes for one request", []config.Route{{Path: "/a"}, {Path: "/a"}}},
		{"overlapping methods", []config.Route{{Path: "/a/", Methods: []string{"GET", "PUT"}}, {Path: "/a/", Methods: []string{"PUT"}}}},
		{"not a path", []config.Route{{Path: "a"}}},
		{"query", []config.Route{{Path: "/a?b"}}},
		{"dots", []config.Route{{Path: "/a/../b"}}},
		{"double slash", []config.Route{{Path: "/a//b"}}},
		{"parameter", []config.Route{{Path: "/a;b"}}},
		{"escape", []config.Route{{Path: "/a%2fb"}}},
		{"strip an exact path", []config.Route{{Path: "/a", StripPrefix: true}}},
		{"upstream scheme", []config.Route{{Path: "/", Upstream: "ftp://x"}}},
		{"upstream path", []config.Route{{Path: "/", Upstream: "http://x/y"}}},
		{"upstream user", []config.Route{{Path: "/", Upstream: "http://u@x"}}},
		{"upstream without host", []config.Route{{Path: "/", Upstream: "http:///"}}},
		{"static", []config.Route{{Path: "/", Upstream: "static:99"}}},
		{"unix", []config.Route{{Path: "/", Upstream: "unix:relative"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := newTable(to("http://127.0.0.1:1", tt.routes...), "/oauth2"); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestHostileTargetIsCheap: a target that is made to have very many readings
// is given up soon. The bound is on work, so the test counts it.
func TestHostileTargetIsCheap(t *testing.T) {
	for _, hostile := range []string{
		"/%" + strings.Repeat("25", 4000) + "41",
		"/" + strings.Repeat("/..;a/.%2e\\", 700),
		"/" + strings.Repeat("a/", 4000),
		"/" + strings.Repeat(";/", 4000),
	} {
		n, bytes := 0, 0
		err := readings(hostile, func(s string) error { n++; bytes += len(s); return nil })
		if n > maxReadings || bytes > maxReadingBytes+maxPath {
			t.Errorf("%.20q...: %d readings of %d bytes, %v", hostile, n, bytes, err)
		}
	}
}

func FuzzReadings(f *testing.F) {
	for _, s := range []string{"/admin/", "/x/..;/admin", "/%252e%252e/admin", `/\admin`, "/%c0%afadmin", "//h/admin", "/ADMIN", "/a%2fb;c//d/./e"} {
		f.Add(s)
	}
	table, err := newTable(to("static:204", config.Route{Path: "/", Access: anyone}, config.Route{Path: "/admin/", Access: staff}, config.Route{Path: "/x/"}), "/oauth2")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := parseTarget(raw)
		if err != nil {
			if !errors.Is(err, auth.ErrMalformed) {
				t.Fatalf("error %v is not malformed", err)
			}
			return
		}
		if target.String() != raw {
			t.Fatalf("%q became %q", raw, target)
		}
		begun := time.Now()
		rt, err := table.judge("h", "GET", target.path)
		if took := time.Since(begun); took > time.Second {
			t.Fatalf("judging took %s", took)
		}
		if err != nil {
			return
		}
		// What passes must have one rule under any composition of steps, in
		// particular under three in a row.
		for _, a := range steps {
			for _, b := range steps {
				for _, c := range steps {
					if got := table.resolve("h", "GET", foldCase(spelled(c(b(a(target.path)))))); !same(got, rt) {
						t.Fatalf("%q falls under %v and, read as %q, under %v", raw, rt, c(b(a(target.path))), got)
					}
				}
			}
		}
		u, err := target.url("http", "h")
		if err == nil && u.RequestURI() != raw {
			t.Fatalf("%q is forwarded as %q", raw, u.RequestURI())
		}
	})
}

// FuzzRewrite: what is forwarded in place of what was judged has no reading
// outside of what the file says, nor one that names a host.
func FuzzRewrite(f *testing.F) {
	for _, path := range []string{"/x", "//evil/", "/%2f..;x/evil", "/../../admin", "/..%2f..%2fadmin"} {
		f.Add("/app" + path)
		f.Add("/other" + path)
		f.Add(path)
	}
	table, err := newTable(to("http://127.0.0.1:1",
		config.Route{Path: "/app/", StripPrefix: true}, config.Route{Path: "/other/", RewritePath: "/v2/ü/"}, config.Route{Path: "/", RewritePath: "/v2/ü/"}), "/oauth2")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := parseTarget(raw)
		if err != nil {
			return
		}
		rt, err := table.judge("", http.MethodGet, target.path)
		if err != nil || rt == nil || rt.own {
			return
		}
		to, err := rt.rewritten(target.path)
		if err != nil {
			return
		}
		read := resolveDots(backslashes(decodeAll(to)))
		outside := rt.rewrite.base != "" && read != "/v2/ü" && !strings.HasPrefix(read, "/v2/ü/")
		if !strings.HasPrefix(to, "/") || strings.HasPrefix(read, "//") || outside {
			t.Fatalf("%q is forwarded as %q", raw, to)
		}
	})
}
