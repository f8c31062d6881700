package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// registrations reads from the source which endpoints Gatehouse has of its own,
// as "GET /oauth2/sign_in"; without a method where the handler judges that
// itself. A mux cannot be asked, and a list that the program exports would be
// one more thing to forget. What cannot be read fails the test.
func registrations(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, s := range sources(t) {
		// The demonstration's applications and the socket of the commands are not
		// at the listener of the gateway.
		if s.test || within(s.pkg, "test") || within(s.pkg, "cmd/gatehouse/demo") || s.pkg == "internal/adminsock" {
			continue
		}
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, filepath.Join("..", filepath.FromSlash(s.path)), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			found, err := mounted(f)
			if err != nil {
				t.Errorf("%s: %s registers an endpoint in a way that this test cannot read: %v", s.path, f.Name.Name, err)
			}
			all = append(all, found...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// mounted are the endpoints that a function puts on a mux.
func mounted(f *ast.FuncDecl) (all []string, err error) {
	texts := map[string][]string{} // what the function's variables can be
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, value := range n.Rhs {
				name, ok := n.Lhs[i].(*ast.Ident)
				if !ok {
					break
				}
				if is(value, "http", "NewServeMux") && name.Name != "mux" {
					err = fmt.Errorf("a mux is called %s", name.Name)
				}
				if text, known := textsOf(value, texts); known {
					texts[name.Name] = text
				}
			}
		case *ast.RangeStmt:
			key, ok := n.Key.(*ast.Ident)
			list, literal := n.X.(*ast.CompositeLit)
			if !ok || !literal {
				break
			}
			delete(texts, key.Name)
			for _, e := range list.Elts {
				pair, ok := e.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				if text, known := textsOf(pair.Key, texts); known {
					texts[key.Name] = append(texts[key.Name], text...)
				}
			}
		case *ast.CallExpr:
			var found []string
			if found, err = registered(n, f.Name.Name, texts, err); found != nil {
				all = append(all, found...)
			}
		}
		return true
	})
	for _, field := range f.Type.Params.List {
		if star, ok := field.Type.(*ast.StarExpr); ok && is(star.X, "http", "ServeMux") && (len(field.Names) != 1 || field.Names[0].Name != "mux") {
			err = fmt.Errorf("a mux has another name than mux")
		}
	}
	return all, err
}

// registered are the endpoints that a call puts on a mux.
func registered(call *ast.CallExpr, in string, texts map[string][]string, before error) ([]string, error) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) < 2 {
		return nil, before
	}
	on := nameOf(method.X)
	switch {
	case on == "http" && (method.Sel.Name == "Handle" || method.Sel.Name == "HandleFunc"):
		return nil, fmt.Errorf("on the mux of the whole process")
	case on == "mux" && (method.Sel.Name == "Handle" || method.Sel.Name == "HandleFunc") && in != "mount":
		patterns, known := textsOf(call.Args[0], texts)
		if !known {
			return nil, fmt.Errorf("its pattern is not written there")
		}
		return patterns, before
	case method.Sel.Name == "mount" && nameOf(call.Args[0]) == "mux" && len(call.Args) > 2:
		paths, known := textsOf(call.Args[1], texts)
		if !known || len(paths) != 1 {
			return nil, fmt.Errorf("its path is not written there")
		}
		var all []string
		if len(call.Args) == 4 { // auth/account: what serves GET, and what serves POST
			for i, verb := range []string{http.MethodGet, http.MethodPost} {
				if nameOf(call.Args[2+i]) != "nil" {
					all = append(all, verb+" /oauth2/account"+paths[0])
				}
			}
			return all, before
		}
		list, ok := call.Args[2].(*ast.CompositeLit) // auth/signin: by method
		if !ok {
			return nil, fmt.Errorf("the methods of %s are not written there", paths[0])
		}
		for _, e := range list.Elts {
			verb := nameOf(e.(*ast.KeyValueExpr).Key.(*ast.SelectorExpr).Sel)
			all = append(all, strings.ToUpper(strings.TrimPrefix(verb, "Method"))+" /oauth2"+paths[0])
		}
		return all, before
	}
	return nil, before
}

// textsOf is what an expression of texts can be, and whether that is known.
func textsOf(e ast.Expr, texts map[string][]string) ([]string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return []string{text}, err == nil
	case *ast.Ident:
		known, ok := texts[e.Name]
		return known, ok
	case *ast.SelectorExpr:
		return []string{"/oauth2"}, e.Sel.Name == "Prefix"
	case *ast.BinaryExpr:
		left, ok := textsOf(e.X, texts)
		right, also := textsOf(e.Y, texts)
		if e.Op != token.ADD || !ok || !also {
			return nil, false
		}
		var all []string
		for _, l := range left {
			for _, r := range right {
				all = append(all, l+r)
			}
		}
		return all, true
	}
	return nil, false
}

// is reports whether an expression is, or calls, that name of that package.
func is(e ast.Expr, pkg, name string) bool {
	if call, ok := e.(*ast.CallExpr); ok {
		e = call.Fun
	}
	s, ok := e.(*ast.SelectorExpr)
	return ok && nameOf(s.X) == pkg && s.Sel.Name == name
}

func nameOf(e ast.Expr) string {
	if name, ok := e.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}
