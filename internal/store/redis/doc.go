// Package redis is the store that replicas share: Redis standalone, behind
// Sentinel, or as a Cluster, version 6.2 or later. Every operation but Scan
// touches one key, so the three are the same to callers.
//
// # What a lost reply means
//
// A write whose reply does not arrive may have happened. The client library
// would by default send it again, and then the winner of a Create would read
// "exists already", and a Take would report as missing the value that it has
// just deleted. Here a write is sent again only when it is certain that the
// first did not run (no connection, or the server said that it is loading,
// read-only, or in the wrong mood); otherwise the caller gets ErrDown and
// must assume either outcome. Reads are sent again freely. All attempts
// together take no longer than Options.Timeout.
//
// Redis replicates asynchronously: a write that was confirmed a moment before
// a fail-over can be lost with its master. No client can change that.
//
// # What Redis must allow
//
// Commands on keys under Options.KeyPrefix: GET, SET, GETDEL, DEL, SCAN, EVAL
// and EVALSHA; PUBLISH and SUBSCRIBE on the channel KeyPrefix + "changes";
// INFO, if the eviction policy is to be checked. Of a Cluster also CLUSTER SLOTS
// and CLUSTER NODES.
//
// # Slots that move
//
// While slots of a Cluster move, every operation finds its key, wherever it is
// at that moment, and Scan sees each record that is there all the time: it goes
// over the masters again until each slot has been at rest during a pass.
//
// The package never evicts and cannot keep Redis from doing so: see
// EvictionPolicy.
package redis
