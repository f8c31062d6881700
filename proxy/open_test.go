package proxy

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/internal/config"
)

// TestOpenExchangesUnderNewRules: what is open when the configuration changes is
// judged by the new one, and goes on where a request would still be let in.
func TestOpenExchangesUnderNewRules(t *testing.T) {
	ops := config.Access{Groups: []string{"ops"}}
	near := config.Access{ClientAddresses: []string{"127.0.0.0/8"}}
	far := config.Access{ClientAddresses: []string{"192.0.2.0/24"}}
	for _, tt := range []struct {
		name   string
		before config.Access
		who    string
		after  []config.Route
		change func(*config.Config)
		cut    bool
	}{
		{name: "nothing", before: staff, who: "ann", after: []config.Route{{Path: "/", Access: staff}}},
		{name: "a longer route that admits her too", before: staff, who: "ann", after: []config.Route{{Path: "/", Access: ops}, {Path: "/ws", Access: staff}}},
		{name: "another group", before: staff, who: "ann", after: []config.Route{{Path: "/", Access: ops}}, cut: true},
		{name: "another address", before: near, who: "ann", after: []config.Route{{Path: "/", Access: far}}, cut: true},
		{name: "no route", before: staff, who: "ann", after: []config.Route{{Path: "/other", Access: staff}}, cut: true},
		{name: "another host", before: staff, who: "ann", after: []config.Route{{Path: "/", Host: "b.example", Access: staff}}, cut: true},
		{
			name: "Gatehouse's own by now", before: staff, who: "ann", after: []config.Route{{Path: "/", Access: staff}},
			change: func(c *config.Config) { c.Server.Prefix = "/ws" }, cut: true,
		},
		{
			name: "ambiguous by now", before: staff, who: "ann", after: []config.Route{{Path: "/", Access: staff}, {Path: "/WS", Access: ops}},
			cut: true,
		},
		{
			name: "from behind a proxy by now", before: near, who: "ann", after: []config.Route{{Path: "/", Access: near}},
			change: func(c *config.Config) { c.Server.TrustedProxies = []string{"127.0.0.1/32"} }, cut: true,
		},
		{name: "public by now", before: staff, who: "ann", after: []config.Route{{Path: "/", Access: public}}},
		{name: "public as before", before: public, who: "", after: []config.Route{{Path: "/", Access: public}}},
		{name: "public no more, nobody", before: public, who: "", after: []config.Route{{Path: "/", Access: anyone}}, cut: true},
		{name: "public no more, somebody", before: public, who: "ann", after: []config.Route{{Path: "/", Access: staff}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := newApplication(t)
			app.answer(echo)
			cfg := defaults()
			cfg.Routes = to(app.URL, config.Route{Path: "/", Access: tt.before})
			who := somebody()
			f := newGateway(t, cfg, who)
			base := time.Now()
			f.Now = func() time.Time { return base }
			s := startGateway(t, f)
			c := dial(t, s, tt.who)

			cfg = defaults()
			cfg.Routes = to(app.URL, tt.after...)
			if tt.change != nil {
				tt.change(cfg)
			}
			next := newGateway(t, cfg, who)
			next.Exchanges, next.Now = f.Exchanges, func() time.Time { return base.Add(checkEvery + time.Second) }
			next.checkOpen(t.Context())

			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			var err error
			if !tt.cut { // else it is waited for: what is written may overtake it
				err = c.Write(ctx, websocket.MessageText, []byte("x"))
			}
			if err == nil {
				_, _, err = c.Read(ctx)
			}
			if cut := err != nil; cut != tt.cut || ctx.Err() != nil {
				t.Errorf("cut %v (%v), want %v\n%s", cut, err, tt.cut, next.log)
			}
			if told := strings.Contains(next.log.String(), "open exchange cut"); told != tt.cut {
				t.Errorf("in the log %v, want %v", told, tt.cut)
			}
		})
	}
}

// TestPublicExchangesCostNothing: nobody is asked for who has no identity, as long
// as the rules are those under which it began.
func TestPublicExchangesCostNothing(t *testing.T) {
	app := newApplication(t)
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	who := somebody()
	f := startGateway(t, newGateway(t, cfg, who))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.addr+"/", nil)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, x := range f.Exchanges.due(time.Now().Add(time.Hour)) {
		f.check(t.Context(), x)
	}
	who.change(func(p *people) {
		if p.uses+p.rechecks != 0 {
			t.Errorf("%d uses and %d rechecks, want none", p.uses, p.rechecks)
		}
	})
}
