package test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
	"gatehouse/test/soak"
)

// TestStormOfFirstSignIns: one person, who has no account yet, signs in from
// many browsers at once. Every browser gets in, each session works at every
// replica, and there is one account with one link for each connection.
func TestStormOfFirstSignIns(t *testing.T) {
	t.Parallel()
	redis := servers.Redis(t, servers.RedisOptions{})
	tests := []struct {
		name        string
		replicas    int
		browsers    int
		connections []string
		store       func(t *testing.T) string
	}{
		{"redis", 2, 100, []string{"acme"}, func(*testing.T) string { return redisStore(redis, "one:") }},
		{"redis, two connections", 2, 100, []string{"acme", "partner"}, func(*testing.T) string { return redisStore(redis, "two:") }},
		{"cluster", 2, 30, []string{"acme", "partner"}, func(t *testing.T) string { return clusterStore(servers.RedisCluster(t)) }},
		{"embedded", 1, 40, []string{"acme", "partner"}, func(*testing.T) string { return "" }},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, ", ", "_"), func(t *testing.T) {
			t.Parallel()
			var connections []string
			for _, id := range tt.connections {
				idp := badidp.Start(t)
				idp.SetClaims(map[string]any{
					"sub": "subject-at-" + id, "preferred_username": "pat", "email": "pat@corp.example", "email_verified": true,
				})
				connections = append(connections, connectionText(id, idp.URL()))
			}
			front, replicas := startReplicas(t, tt.replicas, configText(servers.StartApp(t).URL, connections, tt.store(t)))
			var group errgroup.Group
			for i := range tt.browsers {
				group.Go(func() error { return signInEverywhere(t, front, replicas, tt.connections[i%len(tt.connections)]) })
			}
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
			all := soak.Accounts(t, replicas[0])
			if len(all) != 1 || len(all[0].Links) != len(tt.connections) {
				t.Errorf("accounts: %+v; want one with %d links", all, len(tt.connections))
			}
		})
	}
}

// signInEverywhere signs in at the front and looks at each replica who is there.
func signInEverywhere(t *testing.T, front string, replicas []*servers.Gateway, connection string) error {
	p, err := soak.NewPerson("")
	if err != nil {
		return err
	}
	if err := p.SignIn(t.Context(), front, connection); err != nil {
		return err
	}
	for i, g := range replicas {
		if user, err := p.User(t.Context(), g.URL); err != nil || user != "pat" {
			return fmt.Errorf("at replica %d they are %q: %v", i, user, err)
		}
	}
	return nil
}
