package proxy

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"

	"gatehouse/auth"
)

// static answers with a bare status.
func static(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
	})
}

// directory serves the files of a directory and nothing outside it, whatever
// symbolic links say: os.Root follows none that leave. It lists nothing, and
// shows no name that begins with a dot but .well-known.
type directory struct{ root *os.Root }

func openDirectory(path string) (*directory, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	return &directory{root}, nil
}

func (d *directory) close() { _ = d.root.Close() }

func (d *directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		x.gateway.refuse(x, r, auth.ErrMethodNotAllowed)
		return
	}
	name, ok := fileName(x.forwarded.path)
	if !ok {
		x.gateway.refuse(x, r, auth.ErrNotFound)
		return
	}
	if !x.route.public {
		// What this person may see, a shared cache must not show to others, nor
		// this browser once the session has ended.
		w.Header().Set("Cache-Control", "private, no-cache")
	}
	info, err := d.root.Stat(name)
	if err == nil && info.IsDir() {
		if _, err := d.root.Stat(name + "/index.html"); err == nil && !strings.HasSuffix(x.forwarded.path, "/") {
			// Relative to what the browser sees, so that no path can name a host.
			last := x.target.path[strings.LastIndexByte(x.target.path, '/')+1:]
			at := "./" + last + "/"
			if x.target.hasQuery {
				at += "?" + x.target.query
			}
			w.Header().Set("Location", at)
			w.WriteHeader(http.StatusMovedPermanently)
			return
		}
		name += "/index.html"
		info, err = d.root.Stat(name)
	}
	// Only regular files: opening a pipe would wait for ever.
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	var f *os.File
	if err == nil {
		f, err = d.root.Open(name)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			x.gateway.log().Warn("file not served", "request_id", x.id, "route", x.route.name, "error", err)
		}
		x.gateway.refuse(x, r, auth.ErrNotFound)
		return
	}
	defer f.Close()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, name, info.ModTime(), f)
}

// fileName returns the name of a file below the directory. A path that could
// be read as anything but plain names is no file.
func fileName(path string) (string, bool) {
	decoded, err := url.PathUnescape(path)
	if err != nil || strings.ContainsAny(decoded, "\\\x00") {
		return "", false
	}
	decoded = strings.Trim(decoded, "/")
	if decoded == "" {
		return ".", !strings.Contains(path, "//")
	}
	if !fs.ValidPath(decoded) || strings.Contains(path, "//") {
		return "", false
	}
	for segment := range strings.SplitSeq(decoded, "/") {
		if strings.HasPrefix(segment, ".") && segment != ".well-known" {
			return "", false
		}
	}
	return decoded, true
}
