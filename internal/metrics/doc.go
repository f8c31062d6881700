// Package metrics is what a monitoring system sees of a running gateway: counts
// and times in Prometheus' text format, which the admin listener serves.
//
// It owns the names, the help and the labels of every series; who counts is
// handed a small part of it (a Route, a method) and knows nothing of
// Prometheus. The values live as long as the process, whatever configuration
// it has meanwhile.
//
// A label's values come from the configuration (names of routes and
// connections) or from a short list in the program (verdicts, outcomes),
// never from what is sent: a stranger who makes up hosts, paths, methods,
// usernames or connections adds no series, and no label says who somebody is.
//
// It reads no log, keeps no registry but its own and pushes nothing anywhere.
package metrics
