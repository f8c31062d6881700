package proxy

import (
	"net/http"

	"gatehouse/internal/config"
)

// changes are what a route does to the headers of one direction.
type changes struct {
	gone nameSet // what is removed, and what is set: whoever sent it, in whatever spelling
	set  []field
}

// compileChanges returns nil where nothing is to be done.
func compileChanges(c config.HeaderChanges) *changes {
	if len(c.Set) == 0 && len(c.Remove) == 0 {
		return nil
	}
	ch := &changes{}
	names := append([]string{}, c.Remove...)
	for name, value := range c.Set {
		names = append(names, name)
		v := [1]string{value.Reveal()}
		ch.set = append(ch.set, field{http.CanonicalHeaderKey(name), v[:]})
	}
	ch.gone = newNameSet(names, nil)
	return ch
}

// remove takes out what the route removes or sets. An application behind CGI
// takes X_Api_Key for X-Api-Key: left there, a client's would be another one
// of what the route sets.
func (c *changes) remove(h http.Header) {
	if c == nil {
		return
	}
	for name := range h {
		if c.gone.has(name) {
			delete(h, name)
		}
	}
}

func (c *changes) apply(h http.Header) {
	if c == nil {
		return
	}
	c.remove(h)
	for _, f := range c.set {
		h[f.name] = f.values
	}
}

// changed is the writer of a handler of ours that stands for an application.
type changed struct {
	http.ResponseWriter
	changes *changes
	wrote   bool
}

func (c *changed) WriteHeader(status int) {
	if !c.wrote {
		c.wrote = true
		c.changes.apply(c.Header())
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *changed) Write(p []byte) (int, error) {
	if !c.wrote {
		c.WriteHeader(http.StatusOK)
	}
	return c.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (c *changed) Unwrap() http.ResponseWriter { return c.ResponseWriter }
