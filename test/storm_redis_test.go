package test

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/test/servers"
	"gatehouse/test/soak"
)

// TestStormAndFailover: people sign in while the master of Redis dies. Package
// soak runs the same for long.
func TestStormAndFailover(t *testing.T) {
	t.Parallel()
	sentinel := func(t *testing.T) soak.Failover {
		group := servers.RedisSentinel(t, "", false)
		return soak.Failover{
			Bin: binary, Browsers: 4, SignIns: 20, Master: group.Master, Replica: group.Replica,
			Store: fmt.Sprintf("store: {redis: {mode: sentinel, addresses: %s, master_name: %s}}", yamlList(group.Addrs), group.MasterName),
		}
	}
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		sentinel(t).Run(t)
	})
	t.Run("sentinel,_behind", func(t *testing.T) {
		t.Parallel()
		f := sentinel(t)
		f.Cut = 400 * time.Millisecond
		f.Run(t)
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := servers.StartCluster(t, true)
		soak.Failover{
			Bin: binary, Browsers: 4, SignIns: 20, Master: c.Masters[1], Replica: c.Replicas[1],
			Store: clusterStore(c.Addrs),
		}.Run(t)
	})
}

// TestStormAndSlots: people sign in while slots of a Redis Cluster move from
// master to master.
func TestStormAndSlots(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, false)
	soak.Move{Bin: binary, Store: clusterStore(c.Addrs), Browsers: 3, Cluster: c, Slots: 120, Batch: 40, Rounds: 1}.Run(t)
}
