package test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// configText writes a config.yaml for one application, with the given
// connections and, after them, whatever else a story needs. Local sign-in is
// off unless that says otherwise.
func configText(upstream string, connections []string, more ...string) string {
	text := `server: {listen: "{{addr}}", public_url: "http://{{addr}}", admin_listen: "{{admin}}"}
routes:
  - {path: /, upstream: "` + upstream + `"}
`
	all := strings.Join(more, "\n")
	if !strings.Contains("\n"+all, "\nlocal:") {
		text += "local: {enabled: false}\n"
	}
	if len(connections) > 0 {
		text += "connections:\n" + strings.Join(connections, "")
	}
	return text + all + "\n"
}

// connectionText writes a connection to badidp. More are entries of the
// connection, such as "jit: {create: false}", on a line each.
func connectionText(id, issuer string, more ...string) string {
	text := fmt.Sprintf("  - id: %s\n    name: %s\n    issuer: %s\n    client_id: %s\n    client_secret: %s\n",
		id, strings.ToUpper(id[:1])+id[1:], issuer, badidp.ClientID, badidp.ClientSecret)
	for _, line := range more {
		text += "    " + line + "\n"
	}
	return text
}

// redisStore makes a gateway keep everything in that Redis under a prefix.
func redisStore(s *servers.RedisServer, prefix string) string {
	return fmt.Sprintf("store: {redis: {addresses: [%q], key_prefix: %q}}", s.Addr, prefix)
}

// clusterStore makes a gateway keep everything in that Redis Cluster.
func clusterStore(addrs []string) string {
	return fmt.Sprintf("store: {redis: {mode: cluster, addresses: %s}}", yamlList(addrs))
}

// restart ends the gateway in order and starts it with another config.
func restart(t testing.TB, g *servers.Gateway, text string) {
	t.Helper()
	g.Stop()
	g.WriteConfig(t, text)
	g.Start(t)
}

// addRoutes restarts the gateway with further routes, an entry of the list each.
func addRoutes(t testing.TB, g *servers.Gateway, routes ...string) {
	t.Helper()
	text, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	more := "routes:\n"
	for _, r := range routes {
		more += "  - {" + r + "}\n"
	}
	restart(t, g, strings.Replace(string(text), "routes:\n", more, 1))
}

// yamlList writes a list of texts.
func yamlList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = fmt.Sprintf("%q", item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
