package proxy

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// Attack: begin a long download of a file, and go on with it when the session has
// ended.
func TestFilesEndWithTheSession(t *testing.T) {
	dir := t.TempDir()
	const size = 64 << 20
	if err := os.WriteFile(filepath.Join(dir, "film"), make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := defaults()
	cfg.Routes = to("file:"+dir, config.Route{Path: "/", Access: anyone})
	who := somebody()
	f := newGateway(t, cfg, who)
	base := time.Now()
	f.Now = func() time.Time { return base }
	startGateway(t, f)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.addr+"/film", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", "_gatehouse=ann")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	who.change(func(p *people) { p.all = map[string]*auth.Person{} })
	for _, x := range f.Exchanges.due(base.Add(time.Hour)) {
		f.check(t.Context(), x)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n == size {
		t.Errorf("%d bytes came, and %v", n, err)
	}
	if !strings.Contains(f.log.String(), "open exchange cut") {
		t.Errorf("the log does not tell:\n%s", f.log)
	}
}
