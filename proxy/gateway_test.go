package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

func TestUnauthenticated(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: anyone})
	cfg.APIPaths = []string{"/api/", "/exact"}
	f := start(t, cfg, somebody())
	const page = "Accept: text/html,application/xhtml+xml;q=0.9"
	for _, tt := range []struct {
		name, method, target string
		headers              []string
		want                 string // Location; empty: 401
	}{
		{"navigation", "GET", "/a?b=c&d", []string{page}, "/oauth2/sign_in?rd=%2Fa%3Fb%3Dc%26d"},
		{"as it was sent", "GET", "/a%2fb/%41?x=%zz", []string{page}, "/oauth2/sign_in?rd=%2Fa%252fb%2F%2541%3Fx%3D%25zz"},
		{"head", "HEAD", "/a", []string{page}, "/oauth2/sign_in?rd=%2Fa"},
		{"fetched by navigation", "GET", "/", []string{page, "Sec-Fetch-Mode: navigate"}, "/oauth2/sign_in?rd=%2F"},
		// Attack: the way back is a path that a browser takes for a host.
		{"double slash", "GET", "//evil.example/", []string{page}, "/oauth2/sign_in?rd=%2F"},
		{"backslash", "GET", `/\evil.example/`, []string{page}, "/oauth2/sign_in?rd=%2F"},
		{"too long a way back", "GET", "/" + strings.Repeat("a", 5000), []string{page}, "/oauth2/sign_in?rd=%2F"},
		{"another way back", "GET", "/a", []string{page, "X-Auth-Request-Redirect: /b?c"}, "/oauth2/sign_in?rd=%2Fb%3Fc"},
		{"a way off the site", "GET", "/a", []string{page, "X-Auth-Request-Redirect: //evil.example/"}, "/oauth2/sign_in?rd=%2Fa"},
		{"post", "POST", "/", []string{page}, ""},
		{"no html", "GET", "/", []string{"Accept: application/json"}, ""},
		{"anything", "GET", "/", []string{"Accept: */*"}, ""},
		{"no accept", "GET", "/", nil, ""},
		{"xhr", "GET", "/", []string{page, "X-Requested-With: XMLHttpRequest"}, ""},
		{"fetch", "GET", "/", []string{page, "Sec-Fetch-Mode: cors"}, ""},
		{"api path", "GET", "/api/x", []string{page}, ""},
		{"api path itself", "GET", "/api", []string{page}, ""},
		{"exact api path", "GET", "/exact", []string{page}, ""},
		{"beside the api path", "GET", "/exact/", []string{page}, "/oauth2/sign_in?rd=%2Fexact%2F"},
		{"forged host", "GET", "/", []string{page, "X-Forwarded-Host: evil.example"}, "/oauth2/sign_in?rd=%2F"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := f.send(t, tt.method, tt.target, "", tt.headers...)
			if app.got() != nil {
				t.Fatal("it was forwarded")
			}
			if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Set-Cookie") != "" {
				t.Errorf("headers %v", resp.Header)
			}
			if tt.want != "" {
				if got := resp.Header.Get("Location"); resp.StatusCode != 302 || got != tt.want {
					t.Errorf("%d %s, want 302 %s", resp.StatusCode, got, tt.want)
				}
				return
			}
			var got map[string]string
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != 401 {
				t.Fatalf("status %d, %v", resp.StatusCode, err)
			}
			if got["error"] != "unauthenticated" || got["sign_in"] != "http://app.example/oauth2/sign_in" || got["request_id"] == "" {
				t.Errorf("body %v", got)
			}
		})
	}

	resp := f.raw(t, "GET /x?y HTTP/1.1\r\nHost: Other.example:8080\r\n"+page+"\r\n\r\n")
	if got, want := resp.Header.Get("Location"), "http://app.example/oauth2/sign_in?rd=%2Fx%3Fy"; got != want {
		t.Errorf("a host of nobody: %s, want %s", got, want)
	}
}

// TestStoreDown: trouble is no sign-out. The cookie stays, the answer is 503,
// and a public page is served without identity.
func TestStoreDown(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: anyone}, config.Route{Path: "/public/", Access: public})
	who := somebody()
	who.down = true
	f := start(t, cfg, who)
	resp := f.get(t, "/", "ann", "Accept: text/html")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("Location") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if app.got() != nil {
		t.Error("it was forwarded")
	}
	resp = f.get(t, "/public/", "ann")
	if r := app.got(); resp.StatusCode != 200 || r == nil || r.Header["X-Forwarded-User"] != nil {
		t.Errorf("public: %d, forwarded %v", resp.StatusCode, r)
	}
}

type broken struct{}

func (broken) Authenticate(*http.Request) (*auth.Session, *auth.Person, error) {
	return nil, nil, errors.New("secret detail")
}

// TestUnforeseenError: whatever goes wrong while a session is checked, nobody passes.
func TestUnforeseenError(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: anyone})
	f := start(t, cfg, broken{})
	resp := f.get(t, "/", "ann")
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 500 || app.got() != nil || strings.Contains(string(body), "secret") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if got := f.get(t, "/oauth2/auth", "ann").StatusCode; got != 503 {
		t.Errorf("forward-auth: %d, want 503", got)
	}
}

func TestAccessLog(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: anyone})
	f := start(t, cfg, somebody())
	f.get(t, "/x%2fy?code=hush", "ann", "Authorization: Bearer hush")
	waitFor(t, "the log line", func() bool { return strings.Contains(f.log.String(), "\n") })
	var got map[string]any
	if err := json.Unmarshal([]byte(f.log.String()), &got); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(f.log.String(), "hush") {
		t.Error("the log holds a secret")
	}
	for name, want := range map[string]any{"path": "/x%2fy", "method": "GET", "status": 200.0, "user": "ann", "route": "/", "client": "127.0.0.1"} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if id, _ := got["request_id"].(string); !wellFormedID(id) {
		t.Errorf("request id %q", id)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	cfg := defaults()
	f := newGateway(t, cfg, somebody())
	f.Own = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") })
	s := startGateway(t, f)
	if got := s.get(t, "/oauth2/x", "").StatusCode; got != 500 {
		t.Errorf("status %d, want 500", got)
	}
	waitFor(t, "the log lines", func() bool {
		return strings.Contains(s.log.String(), "oops") && strings.Contains(s.log.String(), `"status":500`)
	})
}

// TestOpenExchangesEnd: a session that has ended must not go on streaming. The
// checks are driven by hand; Watch calls the same every few seconds.
func TestOpenExchangesEnd(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*people)
		later  time.Duration
		cut    bool
	}{
		{"nothing", func(*people) {}, checkEvery, false},
		{"session ended", func(p *people) { delete(p.all, "ann") }, checkEvery, true},
		{"left the group", func(p *people) { p.all["ann"] = &auth.Person{User: "ann", Account: "1"} }, checkEvery, true},
		{"store down", func(p *people) { p.down = true }, checkEvery, false},
		{"store down for long", func(p *people) { p.down = true }, storeGrace, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := newApplication(t)
			app.answer(echo)
			cfg := defaults()
			cfg.Routes = to(app.URL, config.Route{Path: "/", Access: staff})
			who := somebody()
			f := newGateway(t, cfg, who)
			base := time.Now()
			clock := base
			f.Now = func() time.Time { return clock }
			s := startGateway(t, f)
			c := dial(t, s, "ann")
			who.change(tt.change)
			clock = base.Add(tt.later + time.Second)
			f.checkOpen(context.Background())
			// Attack: a forgotten stream keeps its session from being idle.
			who.change(func(p *people) {
				if p.uses != 1 || p.rechecks != 1 {
					t.Errorf("%d uses and %d rechecks, want one each", p.uses, p.rechecks)
				}
			})
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			err := c.Write(ctx, websocket.MessageText, []byte("x"))
			if err == nil {
				_, _, err = c.Read(ctx)
			}
			for tt.cut && err == nil { // an echo was faster
				_, _, err = c.Read(ctx)
			}
			if cut := err != nil; cut != tt.cut || ctx.Err() != nil {
				t.Errorf("cut %v (%v), want %v", cut, err, tt.cut)
			}
		})
	}
}

// TestOpenStreamOnPublicRouteEnds: it carries an identity all the same.
func TestOpenStreamOnPublicRouteEnds(t *testing.T) {
	app := newApplication(t)
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	who := somebody()
	f := newGateway(t, cfg, who)
	base := time.Now()
	clock := base
	f.Now = func() time.Time { return clock }
	s := startGateway(t, f)
	req, _ := http.NewRequest("GET", "http://"+s.addr+"/", nil)
	req.AddCookie(&http.Cookie{Name: "_gatehouse", Value: "ann"})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	who.change(func(p *people) { delete(p.all, "ann") })
	clock = base.Add(checkEvery + time.Second)
	f.checkOpen(context.Background())
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the stream ended as if it were whole")
	}
	waitFor(t, "the exchange to leave", func() bool { return len(f.Exchanges.due(clock)) == 0 })
}

func TestWatchEnds(t *testing.T) {
	f := newGateway(t, defaults(), somebody())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Exchanges.Watch(ctx, func() *Gateway { return f.Gateway }) }()
	cancel()
	<-done
}
