package proxy

import (
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"gatehouse/internal/config"
)

// TestWhateverDiffersIsAnotherRule: a request that has two readings may pass
// only where both are treated alike. Whoever adds a key to a route finds it
// here: by itself it makes a difference.
func TestWhateverDiffersIsAnotherRule(t *testing.T) {
	noDifference := []string{"Line", "Path", "Host", "Methods", "Contact"}
	kind := reflect.TypeFor[config.Route]()
	for i := range kind.NumField() {
		name := kind.Field(i).Name
		for _, tt := range leaves(kind.Field(i).Type, []int{i}) {
			routes := []config.Route{{Path: "/a/"}, {Path: "/b/"}}
			reflect.ValueOf(&routes[1]).Elem().FieldByIndex(tt.index).Set(tt.value)
			compiled := []*route{{}, {}}
			compiled[1].rewrite.on = routes[1].RewritePath != "" || routes[1].StripPrefix
			alike(routes, compiled)
			if got, want := same(compiled[0], compiled[1]), slices.Contains(noDifference, name); got != want {
				t.Errorf("routes that differ in %s%v are one rule: %v, want %v", name, tt.index, got, want)
			}
		}
	}
}

type leaf struct {
	index []int
	value reflect.Value // not the zero one
}

// leaves returns a value for each part of a type that has no parts itself.
func leaves(t reflect.Type, index []int) (all []leaf) {
	if t == reflect.TypeFor[config.Secret]() {
		return []leaf{{index, reflect.ValueOf(config.NewSecret("x"))}}
	}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			all = append(all, leaves(t.Field(i).Type, append(slices.Clone(index), i))...)
		}
		return all
	}
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.String:
		v.SetString("/x/")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem())
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
	default:
		panic("a route has a " + t.String() + ", which this test cannot make")
	}
	return []leaf{{index, v}}
}

// Two routes that rewrite are never one rule, however alike: their own paths
// are part of what they do. Attack: /a/../b/x, judged by one of them.
func TestRewritingRoutesAreRulesOfTheirOwn(t *testing.T) {
	table, err := newTable(to("http://127.0.0.1:1", config.Route{Path: "/a/", RewritePath: "/x/"}, config.Route{Path: "/b/", RewritePath: "/x/"}), "/oauth2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.judge("", http.MethodGet, "/a/../b/x"); err == nil {
		t.Error("it passed")
	}
}

func TestRewrite(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(
		app.URL,
		config.Route{Path: "/", Access: public, RewritePath: "/root/"},
		config.Route{Path: "/app/", Access: public, RewritePath: "/v2/"},
		config.Route{Path: "/deep/er/", Access: public, RewritePath: "/"},
		config.Route{Path: "/ü/", Access: public, RewritePath: `/ö"|/`},
		config.Route{Path: "/exact", Access: public, RewritePath: "/status/healthz"},
		config.Route{Path: "/exact/slash", Access: public, RewritePath: "/status/"},
		config.Route{Path: "/same/", Access: public},
	)
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		target, want string // "": 400
	}{
		{"/app/x", "/v2/x"},
		{"/app", "/v2"},
		{"/app/", "/v2/"},
		{"/app?q", "/v2?q"},
		{"/app/a%2fb/%7E?c=%2f", "/v2/a%2fb/%7E?c=%2f"},
		{"/app//x", "/v2//x"},
		{"/app/./x", "/v2/./x"},
		{"/app/x/../y", "/v2/x/../y"},
		{"/app/x;v=1/y", "/v2/x;v=1/y"},
		{"/deep/er/x", "/x"},
		{"/deep/er", "/"},
		{"/deep/er?q", "/?q"},
		{"/deep/er//x", ""},
		{"/deep/er/%2fx", ""},
		{`/deep/er/\x`, ""},
		{"/%C3%BC/x", "/%C3%B6%22%7C/x"},
		{"/ü/x", "/%C3%B6%22%7C/x"},
		{"/exact", "/status/healthz"},
		{"/exact?q", "/status/healthz?q"},
		{"/exact/slash", "/status/"},
		{"/exact/other", "/root/exact/other"},
		{"/", "/root/"},
		{"/x", "/root/x"},
		{"/same/x", "/same/x"},
		// Attack: the rules see a path below /, and the upstream one beside /root/.
		{"/../admin", ""},
		{"/x/../../admin", ""},
		{"/..%2fadmin", ""},
		{"/%2e%2e/admin", ""},
		{`/..\admin`, ""},
		{"/..;/admin", ""},
		{"/x/..%252f..%252fadmin", ""},
		{"/app/../admin", ""},
		{"/app/x/../../admin", ""},
	} {
		resp := f.get(t, tt.target, "")
		r := app.got()
		switch {
		case tt.want == "" && (resp.StatusCode != 400 || r != nil):
			t.Errorf("%s: status %d, forwarded %v; want 400", tt.target, resp.StatusCode, r)
		case tt.want != "" && (r == nil || r.RequestURI != tt.want):
			t.Errorf("%s: status %d, forwarded %v; want %s", tt.target, resp.StatusCode, r, tt.want)
		}
	}
}

func TestConnectTimeout(t *testing.T) {
	w := way{upstream: upstream{kind: "https", host: "127.0.0.1:1"}, connect: 3 * time.Second}
	transport, err := w.transport(false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if transport.TLSHandshakeTimeout != w.connect {
		t.Errorf("%s for the handshake", transport.TLSHandshakeTimeout)
	}
}
