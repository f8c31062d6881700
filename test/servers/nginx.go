package servers

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Nginx is Debian's nginx in front of something, with one server block.
type Nginx struct {
	*Process
	Addr string
	URL  string
	Dir  string // its prefix; logs and temporary files are in it
}

// StartNginx starts nginx on a free port. Server is the body of the server
// block, without listen; the location /nginx-is-up is taken. Beside are blocks
// that stand next to it, such as maps.
func StartNginx(t testing.TB, server string, beside ...string) *Nginx {
	t.Helper()
	return StartNginxOn(t, FreeAddr(t), server, beside...)
}

// escapeModules has set_escape_uri, which ingress-nginx is built with.
const escapeModules = `
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_set_misc_module.so;`

// StartNginxOn is StartNginx on a given address.
func StartNginxOn(t testing.TB, addr, server string, beside ...string) *Nginx {
	t.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		bin = "/usr/sbin/nginx" // not in the PATH of ordinary users
	}
	n := &Nginx{Addr: addr, Dir: t.TempDir()}
	n.URL = "http://" + n.Addr
	modules := ""
	if strings.Contains(server, "set_escape_uri") {
		modules = escapeModules
	}
	text := modules + strings.NewReplacer("{{addr}}", n.Addr, "{{dir}}", n.Dir, "{{server}}", server, "{{beside}}", strings.Join(beside, "\n")).Replace(`
daemon off;
worker_processes 1;
pid {{dir}}/nginx.pid;
error_log stderr warn;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path {{dir}}/body;
	proxy_temp_path {{dir}}/proxy;
	fastcgi_temp_path {{dir}}/fastcgi;
	uwsgi_temp_path {{dir}}/uwsgi;
	scgi_temp_path {{dir}}/scgi;
	{{beside}}
	server {
		listen {{addr}};
		location = /nginx-is-up { auth_request off; return 204; }
		{{server}}
	}
}
`)
	file := filepath.Join(n.Dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// As root, nginx's workers would drop to a user who cannot enter the folder.
	args := []string{"-p", n.Dir, "-c", file, "-e", "stderr"}
	if os.Getuid() == 0 {
		args = append(args, "-g", "user root;")
	}
	n.Process = StartProcess(t, exec.Command(bin, args...))
	WaitFor(t, "nginx to answer", func(ctx context.Context) bool {
		select {
		case <-n.Done():
			t.Fatalf("nginx ended:\n%s", n.Output())
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/nginx-is-up", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusNoContent
	})
	http.DefaultClient.CloseIdleConnections()
	return n
}
