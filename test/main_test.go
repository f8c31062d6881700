package test

import (
	"fmt"
	"os"
	"testing"

	"gatehouse/test/servers"
)

// binary is the gateway under test, built once for all stories.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gatehouse-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if binary, err = servers.BuildGateway("..", dir); err != nil {
			fmt.Fprintln(os.Stderr, "build the gateway:", err)
			return 1
		}
		return m.Run()
	}())
}
