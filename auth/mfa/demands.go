package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gatehouse/internal/store"
)

// DemandKind is what stands before the colon in the keys of demands; the
// account's id follows it.
const DemandKind = "enrolment"

// Demands are what administrators ask of accounts: that the next local sign-in
// enrols a factor, after it has proved one where there is one.
type Demands struct {
	Store store.Store
	Now   func() time.Time // nil: time.Now
}

type demand struct {
	Since time.Time `json:"since"`
}

// Demand asks for an enrolment. Errors: auth.ErrStoreDown.
func (d *Demands) Demand(ctx context.Context, account string) error {
	value, err := json.Marshal(demand{timeOf(d.Now).UTC()})
	if err != nil {
		return err
	}
	err = d.Store.Create(ctx, demandKey(account), value, 0)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return trouble("demand an enrolment", err)
}

// Demanded tells whether an enrolment is asked for. Errors: auth.ErrStoreDown.
func (d *Demands) Demanded(ctx context.Context, account string) (bool, error) {
	_, err := d.Store.Get(ctx, demandKey(account))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, trouble("look for a demand", err)
}

// Met ends the demand: a factor was enrolled. Errors: auth.ErrStoreDown.
func (d *Demands) Met(ctx context.Context, account string) error {
	return trouble("end a demand", d.Store.Delete(ctx, demandKey(account)))
}

// CheckRecord tells whether a demand can be read. One that cannot is one all
// the same.
func (d *Demands) CheckRecord(_ string, value []byte) error {
	var rec demand
	return json.Unmarshal(value, &rec)
}

func demandKey(account string) string { return DemandKind + ":" + account }
