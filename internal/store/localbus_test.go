package store_test

import (
	"testing"

	"gatehouse/internal/store"
	"gatehouse/internal/store/storetest"
)

func TestLocalBus(t *testing.T) {
	storetest.RunBus(t, func(*testing.T) (a, b store.Bus) {
		bus := &store.LocalBus{}
		return bus, bus
	})
}
