package main

import (
	"net/http"
	"net/http/pprof"
)

// mountProfiles serves what net/http/pprof tells of the process, as long as the
// configuration of now asks for it: a profile slows the process down, and the
// stacks show what it is busy with.
func (p *process) mountProfiles(mux *http.ServeMux) {
	for path, handle := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.HandleFunc("GET /debug/pprof/"+path, func(w http.ResponseWriter, r *http.Request) {
			if a := p.current.Load(); a == nil || !a.cfg.Server.Pprof {
				http.NotFound(w, r)
				return
			}
			handle(w, r)
		})
	}
}
