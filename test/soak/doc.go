// Package soak lets many people sign in at once while something goes wrong, and
// then looks what became of them: everybody has exactly one account, what was
// acknowledged is there, and gatehouse doctor finds nothing that does harm.
//
//	Storm     gateways are killed at any moment of a sign-in
//	Failover  a master of Redis is killed, behind Sentinel or in a Cluster
//	Move      slots of a Redis Cluster move from master to master
//
// The stories in package test run each of them briefly. Run them for long by
//
//	go test -race -tags soak -timeout 24h ./test/soak -v -soak.for 1h
//
// -soak.for is how long each of the seven storms lasts; -run 'TestSlots' picks
// some. -soak.seed N repeats the choices of an earlier run, which prints its
// seed; when the scheduler does what is the machine's own. The figures of each
// run are in its log: sign-ins, accounts, how many were lost and why, how far
// the replica was behind, what the doctor repaired.
//
// The protocol itself, with administrators and with every step failing, hanging
// or dying, is stormed without processes and therefore much faster by
//
//	GATEHOUSE_STORM=1h go test -race -timeout 24h -run 'TestStorm$' -v ./provision
//
// # What a fail-over may lose
//
// Redis replicates asynchronously. A sign-in that was acknowledged in the moment
// before a master died may be lost with it: the person is signed out, or has no
// account, and comes in again. Failover knows from the replication offsets which
// moment that is, and fails if anything is lost that was acknowledged before it
// or after the fail-over. Behind Sentinel the new master has what the old one
// had a moment earlier, which is nothing new to the protocol: everybody died at
// that moment. In a Cluster only one master of three goes back in time, so an
// account may lack an index entry or its history, and a record its account: the
// doctor repairs that. Only while such an entry is missing, and if the other
// names of the account are lost too, could a person get a second account.
package soak
