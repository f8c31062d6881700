package signin

import (
	"net/http"
	"net/url"
	"strings"

	"gatehouse/internal/web"
)

// signOut is GET and POST sign_out. A request that another site may have
// caused only gets a page that asks: else any image on any page could sign
// people out.
func (f *Flow) signOut(w http.ResponseWriter, r *http.Request) {
	rd := r.URL.Query().Get("rd")
	if r.Method == http.MethodPost {
		form, err := postForm(r)
		if err != nil {
			f.fail(w, r, "sign_out_failed", "", err)
			return
		}
		if form.Has("rd") {
			rd = form.Get("rd")
		}
	}
	if said := r.Header.Values("X-Auth-Request-Redirect"); rd == "" && len(said) == 1 {
		rd = said[0] // by a proxy in front: no page can have a browser send it elsewhere
	}
	returnTo, asked := f.Site.Judge(rd)
	if !f.meant(r) {
		f.Pages.ConfirmSignOut(w, r, web.SignOut{ReturnTo: returnTo})
		return
	}
	sess, err := f.Sessions.End(w, r)
	if err != nil {
		f.fail(w, r, "sign_out_failed", "", err)
		return
	}
	f.forget(w, r)
	if sess != nil {
		f.signedOut(r, sess)
	}
	if asked {
		redirect(w, r, returnTo)
		return
	}
	f.Pages.SignedOut(w, r)
}

// meant reports whether the person acted on this site. A GET changes something
// only when the browser says that its own origin caused it. What was typed or
// came from a bookmark ("none") is asked too: another program may have opened
// it.
func (f *Flow) meant(r *http.Request) bool {
	if r.Method == http.MethodPost {
		return f.origin.Check(r) == nil
	}
	if site := r.Header.Values("Sec-Fetch-Site"); len(site) > 0 {
		return len(site) == 1 && site[0] == "same-origin"
	}
	referer := r.Header.Values("Referer")
	if len(referer) != 1 {
		return false
	}
	u, err := url.Parse(referer[0])
	if err != nil || u.Host == "" {
		return false
	}
	return strings.ToLower(u.Scheme+"://"+u.Host) == f.Site.Origin() || (u.Host == r.Host && f.Site.Knows(u.Host))
}
