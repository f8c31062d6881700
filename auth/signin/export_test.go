package signin

import "net/http"

// TakeQuota counts one unfinished sign-in of a request's client.
func (f *Flow) TakeQuota(r *http.Request) bool { return f.Quotas.away.take(f.client(r), f.now()) == 0 }
