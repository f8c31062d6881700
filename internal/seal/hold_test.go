package seal_test

import (
	"errors"
	"testing"

	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
)

func TestHold(t *testing.T) {
	mine := keyring(t, oldKey)
	before := memory.New()
	key := indexKey(t, before, mine)
	foreign, sealedAnew := memory.New(), memory.New()
	indexKey(t, foreign, mine)
	if _, err := key.Hold(t.Context(), sealedAnew, keyring(t, newKey)); err != nil {
		t.Fatal(err)
	}
	down := memory.New()
	if err := down.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		st       store.Store
		restored bool
		want     error
	}{
		{"as it was", before, false, nil},
		{"lost", memory.New(), true, nil},
		{"made anew by another replica", foreign, false, seal.ErrForeign},
		{"sealed by a replica with a newer key", sealedAnew, false, seal.ErrKey},
		{"down", down, false, store.ErrDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			restored, err := key.Hold(t.Context(), tt.st, mine)
			if restored != tt.restored || !errors.Is(err, tt.want) {
				t.Errorf("restored %v, error %v; want %v, %v", restored, err, tt.restored, tt.want)
			}
			if tt.want == nil && indexKey(t, tt.st, mine).Hash("kind", "part") != key.Hash("kind", "part") {
				t.Error("who starts now has another index key")
			}
		})
	}
}

func TestHoldStored(t *testing.T) {
	st := memory.New()
	keys, err := seal.StoredKeys(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	lost, foreign := memory.New(), memory.New()
	if _, err := seal.StoredKeys(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		st   store.Store
		want error
	}{{"as they were", st, nil}, {"lost", lost, nil}, {"made anew", foreign, seal.ErrForeign}} {
		if err := seal.HoldStored(t.Context(), tt.st, keys); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if again, err := seal.StoredKeys(t.Context(), lost); err != nil || again[0] != keys[0] {
		t.Errorf("they were not put back: %v", err)
	}
}
