package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

// TestPathConfusion sends paths that the gateway and some upstream could read
// differently, as nobody, from a public route. Whatever such a path means to
// an upstream, it never arrives there under the laxer rule: 400, or the answer
// of the stricter rule. Attack: CVE-like "/public/..;/admin" past a proxy that
// knows no path parameters, in front of a Java server.
func TestPathConfusion(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{
		"path: /, access: {groups: [staff]}, upstream: " + app.URL,
		"path: /public/, access: public, upstream: " + app.URL,
		"path: /public/admin/, access: {groups: [admins]}, upstream: " + app.URL,
		"path: /public/exact, access: {users: [root]}, upstream: " + app.URL,
		"path: /public/grüße/, access: {groups: [admins]}, upstream: " + app.URL,
		"path: /public/form, methods: [POST], access: {groups: [admins]}, upstream: " + app.URL,
	}))
	refused := []int{http.StatusBadRequest, http.StatusUnauthorized}
	for _, path := range []string{
		"/public/admin", "/public/admin/", "/public/admin/x", "/public/exact", "/public/gr%c3%bc%c3%9fe/", "/private",
		// Dot segments, decoded or not, to any depth.
		"/public/../private", "/public/./../private", "/public/x/../../private", "/public/..", "/public/../",
		"/public/%2e%2e/private", "/public/%2E%2E/private", "/public/.%2e/private", "/public/%2e./private", "/public/..%2fprivate", "/public/..%2Fprivate",
		"/public%2f..%2fprivate", "/public/%252e%252e/private", "/public/%252e%252e%252fprivate", "/public/%25252e%25252e/private",
		"/public/x/%2e%2e/admin/", "/public/x/..%2fadmin/", "/public/x%2f..%2fadmin/", "/public/%2e/admin/", "/public/./admin/",
		// Path parameters.
		"/public/..;/private", "/public/..;x=y/private", "/public/..;a=b;c=d/private", "/public/.;/admin/", "/public;x/admin/", "/public/;/admin/",
		"/public/admin;x/", "/public/admin;", "/public/admin;/x", "/public/exact;", "/public/exact;jsessionid=1", "/public/%2e%2e;/private",
		"/public/..%3b/private", "/public/..%3bx/private", "/public/x/..;/admin/", "/public/admin%3bx", "/;/public/../private", "/public/..%253b/private",
		// Double slashes.
		"/public//admin/", "//public/admin/x", "/public///admin", "/public//../private", "/public/x//../../admin", "/public/%2fadmin/", "/public%2fadmin/",
		"/public%2f%2fadmin/", "//evil.example/../private", "/public//exact",
		// Backslashes.
		`/public\admin\x`, `/public/\admin`, `/public/..\private`, `/public\..\private`, "/public%5cadmin", "/public/..%5cprivate", "/public/..%255cprivate", `/public/x\..\admin`,
		// Letter case.
		"/public/ADMIN/x", "/PUBLIC/admin/x", "/public/Admin", "/public/EXACT", "/public/%41dmin/", "/public/%61dmin/", "/public/%61DMIN/", "/Public/..%2fprivate",
		"/public/GR%c3%9c%c3%9fE/", "/public/adm\u0131n/", "/public/adm%c4%b1n/", "/public/adm%c4%b0n/",
		// An early end, white space, dots at the end.
		"/public/admin%3fx", "/public/admin%23x", "/public/admin%09", "/public/adm%0ain/", "/public/ad%0d%0amin/", "/public/admin%20", "/public/%20admin/", "/public/admin.", "/public/admin./x", "/public/exact.", "/public/exact%20", "/public/exact%2e",
		// Half of the world's normalisers leave no slash behind a last dot segment.
		"/public/exact/.", "/public/exact/x/..", "/public/exact/%2e", "/public/exact/x/%2e%2e", "/public/exact/..;/exact/.", `/public/exact\.`,
		// Lenient decoders: overlong UTF-8, %u.
		"/public/%c0%ae%c0%ae/private", "/public/..%c0%afprivate", "/public/%e0%80%ae%e0%80%ae/private", "/public/..%25u002fprivate", "/public/%25u002e%25u002e/private",
		"/public/..%25c0%25afprivate",
		// Compositions.
		"/public/..%252f..%252fprivate", "/public/%2e%2e%3b/private", `/public/..;\private`, "/public/%5c..%5c..%5cprivate", "/PUBLIC/..;/PRIVATE", "/public/x/..;/..;/private", "/public/%2e%2e%2fADMIN", "/public/;x/..;/private",
		"/public/.%252e/private", "/public/%2%65%2%65/private",
		// Absolute form.
		"http://" + g.Addr + "/public/../private", "http://" + g.Addr + "/public/%2e%2e/private", "http://" + g.Addr + "/public/admin/x", "HTTP://" + g.Addr + "/private", "http://" + g.Addr,
	} {
		t.Run(path, func(t *testing.T) {
			a := servers.Raw(t, "", g.Addr, servers.Head("GET "+path, g.Addr))
			if !slices.Contains(refused, a.StatusCode) && a.StatusCode != http.StatusFound {
				t.Errorf("answered %s", a.Status)
			}
		})
	}
	// What has no honest reading is malformed under every rule.
	for _, path := range []string{
		"/public/x\x00", "/public/x%00", "/public/%00/x", "/public/%2500", "/public/#", "/public/x#/../private", "/public/admin#", "/public/x%", "/public/x%2", "/public/x%zz", "/public/%u002e/x",
		"public/x", "*", "ftp://" + g.Addr + "/public/", "http://user@" + g.Addr + "/public/", "http:/public/", "/public/\x7f", "/public/\x01", "?x", "",
		"/public/" + strings.Repeat("a", 9<<10),
	} {
		t.Run(fmt.Sprintf("malformed %.30q", path), func(t *testing.T) {
			if a := servers.Raw(t, "", g.Addr, servers.Head("GET "+path, g.Addr)); a.StatusCode != http.StatusBadRequest {
				t.Errorf("answered %s", a.Status)
			}
		})
	}
	// A method that an upstream would take for another one.
	for _, line := range []string{"post /public/form", "Post /public/form", "POST /public/form", "POST /public/Form", "POST /public/form;x", "POST /public/%66orm"} {
		if a := servers.Raw(t, "", g.Addr, servers.Head(line, g.Addr, "Content-Length: 0")); !slices.Contains(refused, a.StatusCode) {
			t.Errorf("%s answered %s", line, a.Status)
		}
	}
	for _, r := range app.Requests() {
		t.Errorf("the application got %s %s", r.Method, r.RequestURI)
	}
	// The rules look at the path, never at the query.
	for _, path := range []string{"/public/x?/../private", "/public/x?a=/public/admin/&b=%00&c=%zz&d=..;/", "/public/?", "/public/form"} {
		if a := servers.Raw(t, "", g.Addr, servers.Head("GET "+path, g.Addr)); a.StatusCode != http.StatusOK {
			t.Errorf("%s answered %s", path, a.Status)
		} else if got := app.Last(t).RequestURI; got != path {
			t.Errorf("%s is forwarded as %s", path, got)
		}
	}
}

// TestOwnPathsHaveOneReading: whatever an upstream or a browser could read as
// an endpoint of Gatehouse never reaches the application, under any method,
// and what lies under the prefix and is no endpoint is 404.
func TestOwnPathsHaveOneReading(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, access: public, upstream: " + app.URL}))
	for _, path := range []string{
		"/OAUTH2/userinfo", "/Oauth2/sign_in", "//oauth2/userinfo", "/oauth2//userinfo", "/x/../oauth2/userinfo", "/./oauth2/userinfo", "/oauth2/./userinfo", "/oauth2/x/../userinfo",
		"/oauth2%2fuserinfo", "/%6fauth2/userinfo", "/oauth2;x/userinfo", "/;/oauth2/userinfo", `\oauth2\userinfo`, `/oauth2\userinfo`, "/%2e/oauth2/auth", "/x/..;/oauth2/auth", "/%252e%252e/oauth2/auth",
		"/x/%2e%2e/oauth2", "/oauth2%00", "/oauth2.", "/oauth2%20/auth", "/oauth2%23", "/oauth2%3fx", "/%6f%61%75%74%68%32/auth", "/oauth2/%75serinfo", "/oauth2/userinf%6f", "/oauth2/userinfo;x", "/oauth2/USERINFO",
		"/oauth2/userinfo%2f", "/oauth2/userinfo/", "/oauth2/auth/", "/oauth2/auth/x", "/oauth2/auth%2f", "/oauth2/..%2fuserinfo",
		"/PING", "/ping;x", "//ping", "/%70ing", "/x/../ping", "/READY", "/ready/.", "/.well-known/gatehouse", "/.well-known/gatehouse/x", "/.WELL-KNOWN/gatehouse/", "/.well-known//gatehouse/x",
		"/oauth2", "/oauth2/", "/oauth2/nothing", "/oauth2/static/../userinfo", "/oauth2/admin", "/oauth2/admin/", "/oauth2/jwks.json", "/oauth2/account/", "/oauth2/account/nothing", "/oauth2/link/x", "/oauth2/sign_in/x", "/oauth2/%2e%2e/x", "/oauth2/../x",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
			a := servers.Raw(t, "", g.Addr, servers.Head(method+" "+path, g.Addr, "Content-Length: 0", "Accept: text/html"))
			switch a.StatusCode {
			case http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed:
			default:
				// An escape of a harmless letter is the same path to everybody.
				if endpoint := strings.HasPrefix(path, "/oauth2/%75") || strings.HasSuffix(path, "%6f") || strings.Contains(path, "/%6f") || path == "/%70ing"; !endpoint {
					t.Errorf("%s %s answered %s", method, path, a.Status)
				}
			}
		}
	}
	for _, r := range app.Requests() {
		t.Errorf("the application got %s %s", r.Method, r.RequestURI)
	}
	// Neighbours of the prefix are the application's.
	for _, path := range []string{"/oauth2x", "/oauth2-docs/", "/pings", "/ping/", "/readyz", "/.well-known/security.txt", "/app/oauth2/auth"} {
		servers.Raw(t, "", g.Addr, servers.Head("GET "+path, g.Addr))
		if got := app.Last(t).RequestURI; got != path {
			t.Errorf("%s does not reach the application", path)
		}
	}
}

// TestTargetIsForwardedAsSent: where all readings fall under one rule, the
// application gets the very bytes that were judged. Applications rely on %2f.
func TestTargetIsForwardedAsSent(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, access: public, upstream: " + app.URL}))
	for _, target := range []string{
		"/", "/a", "/a/", "/a//b", "//a/b", "///", "/a/./b", "/a/../b", "/..", "/a/..;/b", "/a;v=1/b;w", "/a%2fb", "/a%2Fb%2f", "/a%2e%2e/b", "/%252e%252e/", "/%C3%BC", "/%c3%bc", "/ü", `/a\b`, "/a%5cb",
		"/A/b", "/a|b", "/a\"b", "/<a>", "/{a}", "/a^b`", "/[a]", "/a:b@c", "/~a", "/a+b%20c", "/a'b(c)*!$&,=", "/%3f%23", "/%41",
		"/?", "/a?", "/a??", "/a?b=c&d=%zz&;=%00&x=#"[:len("/a?b=c&d=%zz&;=%00&x=")], "/?a=ü&b=|\"<>{}", "/a?b?c/../d", "/a?next=http://evil.example/", "/" + strings.Repeat("long/", 1000),
	} {
		a := servers.Raw(t, "", g.Addr, servers.Head("GET "+target, g.Addr))
		if a.StatusCode != http.StatusOK {
			t.Errorf("%.60q answered %s", target, a.Status)
			continue
		}
		line, _, _ := strings.Cut(app.Last(t).Head, "\r\n")
		if want := "GET " + target + " HTTP/1.1"; line != want {
			t.Errorf("the application got %.80q, want %.80q", line, want)
		}
	}
	for absolute, want := range map[string]string{
		"http://" + g.Addr + "/a%2fb?c": "/a%2fb?c", "http://" + g.Addr + "?c": "/?c", "http://" + g.Addr: "/", "HTTP://" + g.Addr + "/x//y": "/x//y",
	} {
		a := servers.Raw(t, "", g.Addr, servers.Head("GET "+absolute, "elsewhere.example"))
		if got := app.Last(t); a.StatusCode != http.StatusOK || got.RequestURI != want || got.Host != g.Addr {
			t.Errorf("%s answered %s, and the application got %s of %s", absolute, a.Status, got.RequestURI, got.Host)
		}
	}
}
