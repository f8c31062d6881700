package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"strings"

	"gatehouse/auth"
)

//go:embed static
var static embed.FS

const (
	stylesheet = "gatehouse.css"
	icon       = "gatehouse.svg"
	script     = "passkey.js"
)

// asset is an embedded file and the hash by which its URL changes when its
// content does.
type asset struct {
	content     []byte
	hash        string
	contentType string
}

// sheets are the files under static/css of which the stylesheet is joined, in
// the order in which they are to win over one another.
var sheets = []string{"colours", "ground", "frame", "text", "choices", "forms", "enrol", "account"}

// assets are read once and never changed.
var assets = map[string]asset{
	stylesheet: newAsset(joined(sheets), "text/css; charset=utf-8"),
	icon:       newAsset(readStatic(icon), "image/svg+xml"),
	script:     newAsset(readStatic(script), "text/javascript; charset=utf-8"),
}

func readStatic(name string) []byte {
	content, err := static.ReadFile("static/" + name)
	if err != nil {
		panic(err) // the file is missing from the build
	}
	return content
}

func joined(sheets []string) []byte {
	var all [][]byte
	for _, name := range sheets {
		all = append(all, readStatic("css/"+name+".css"))
	}
	return bytes.Join(all, []byte("\n"))
}

func newAsset(content []byte, contentType string) asset {
	sum := sha256.Sum256(content)
	return asset{content: content, hash: hex.EncodeToString(sum[:8]), contentType: contentType}
}

// asset is the URL path of an asset.
func (p *Pages) asset(name string) string {
	return p.Prefix + "/static/" + assets[name].hash + "/" + name
}

// Stylesheet is the URL path of the stylesheet that Mount serves.
func (p *Pages) Stylesheet() string { return p.asset(stylesheet) }

// Mount adds the stylesheet, the icon and the script of passkeys to Gatehouse's own endpoints.
func (p *Pages) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET "+p.Prefix+"/static/", p.serveAsset)
}

// serveAsset answers with an asset. Under its present hash it may be kept for
// a year. Under another hash, which a replica of another version gave out, it
// is the present content all the same, since an unstyled page is worse than a
// slightly different one; but it must not be kept under that name.
func (p *Pages) serveAsset(w http.ResponseWriter, r *http.Request) {
	hash, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, p.Prefix+"/static/"), "/")
	a, ok := assets[name]
	if !ok {
		p.Error(w, r, auth.ErrNotFound)
		return
	}
	caching := noStore
	if hash == a.hash {
		caching = forever
	}
	send(w, http.StatusOK, a.contentType, policyNoForm, caching, a.content)
}
