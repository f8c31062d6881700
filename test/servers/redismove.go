package servers

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Mover moves slots of a cluster from one master to another while clients are
// at work, as an administrator who adds or removes a server does.
type Mover struct {
	cluster *Cluster
	clients map[*RedisServer]*redis.Client
}

// Mover returns one; it is not safe for concurrent use.
func (c *Cluster) Mover(t testing.TB) *Mover {
	t.Helper()
	m := &Mover{cluster: c, clients: map[*RedisServer]*redis.Client{}}
	for _, node := range c.Masters {
		m.clients[node] = node.Client(t)
	}
	return m
}

// Slot is the slot of a key.
func (m *Mover) Slot(ctx context.Context, key string) (int, error) {
	n, err := m.clients[m.cluster.Masters[0]].ClusterKeySlot(ctx, key).Result()
	return int(n), err
}

// Range are the slots that the master with that index has at the beginning.
func (c *Cluster) Range(i int) (all []int) {
	for slot := i * slots / len(c.Masters); slot < (i+1)*slots/len(c.Masters); slot++ {
		all = append(all, slot)
	}
	return all
}

// Move opens the slots, moves their keys one by one, and closes the slots when
// they are empty: each time that a node hears of an owner it writes its file. While
// a slot is open clients are sent to and fro by ASK, and afterwards by MOVED.
func (m *Mover) Move(ctx context.Context, from, to *RedisServer, slots ...int) error {
	if err := m.Open(ctx, from, to, slots...); err != nil {
		return err
	}
	for _, slot := range slots {
		if err := m.Keys(ctx, from, to, slot, 0); err != nil {
			return err
		}
	}
	return m.Close(ctx, from, to, slots...)
}

// Open begins to move slots.
func (m *Mover) Open(ctx context.Context, from, to *RedisServer, slots ...int) error {
	for _, step := range []struct {
		at, other *RedisServer
		state     string
	}{{to, from, "importing"}, {from, to, "migrating"}} {
		_, err := m.clients[step.at].Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, slot := range slots {
				p.Do(ctx, "cluster", "setslot", slot, step.state, m.cluster.ids[step.other])
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("setslot %s: %w", step.state, err)
		}
	}
	return nil
}

// Keys moves keys of an open slot one by one; at most that many, 0: all.
func (m *Mover) Keys(ctx context.Context, from, to *RedisServer, slot, most int) error {
	host, port, _ := strings.Cut(to.Addr, ":")
	for n := 0; most == 0 || n < most; n++ {
		keys, err := m.clients[from].ClusterGetKeysInSlot(ctx, slot, 1).Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		// NOKEY is an answer, not an error: it has expired meanwhile.
		if err := m.clients[from].Do(ctx, "migrate", host, port, keys[0], 0, 5000).Err(); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	return nil
}

// Close makes the new master of empty slots known: to itself first, so that
// nobody is sent away from both.
func (m *Mover) Close(ctx context.Context, from, to *RedisServer, slots ...int) error {
	nodes := []*RedisServer{to, from}
	for _, node := range m.cluster.Masters {
		if node != from && node != to {
			nodes = append(nodes, node)
		}
	}
	for _, node := range nodes {
		_, err := m.clients[node].Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, slot := range slots {
				p.Do(ctx, "cluster", "setslot", slot, "node", m.cluster.ids[to])
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("setslot node: %w", err)
		}
	}
	return nil
}
