package throttle

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"gatehouse/internal/store"
)

const (
	// DeviceLife is how long a device stays known after the last sign-in on it.
	DeviceLife = 90 * 24 * time.Hour
	// maxDevices bounds an account's devices; the one unused for longest falls
	// out. Each device has its own free attempts, so somebody who hoarded
	// devices while he knew the password would own many guesses later.
	maxDevices = 10
)

// device is one entry of an account's record of devices.
type device struct {
	Hash  string    `json:"hash"` // of the value that the browser keeps
	Until time.Time `json:"until"`
}

type deviceKey struct{}

// WithDevice returns a context that carries the device on which an attempt is
// made: the value that Remember gave and the browser kept. It need not be
// checked first.
func WithDevice(ctx context.Context, device string) context.Context {
	return context.WithValue(ctx, deviceKey{}, device)
}

// Device returns the device of the context, or "".
func Device(ctx context.Context) string {
	device, _ := ctx.Value(deviceKey{}).(string)
	return device
}

// Remember makes the device known to the account, on which a sign-in was just
// finished, and returns the value for the browser to keep: 256 random bits, or
// the one that it has already. It is new to an account that has known other
// devices lately, and does not know this one. Errors: auth.ErrStoreDown.
func (t *Throttle) Remember(ctx context.Context, account, present string) (value string, isNew bool, err error) {
	fresh := newDevice()
	err = t.Store.Update(ctx, t.deviceKey(account), func(old []byte) ([]byte, time.Duration, error) {
		now := t.now()
		devices := alive(old, now)
		value, isNew = fresh, old != nil
		if i := t.find(devices, account, present); i >= 0 {
			value, isNew = present, false
			devices = slices.Delete(devices, i, i+1)
		}
		// The youngest stands first.
		devices = slices.Insert(devices, 0, device{Hash: t.deviceHash(account, value), Until: now.Add(DeviceLife)})
		if len(devices) > maxDevices {
			devices = devices[:maxDevices]
		}
		record, err := json.Marshal(devices)
		return record, DeviceLife, err
	})
	if err != nil {
		return "", false, trouble("remember device", err)
	}
	return value, isNew, nil
}

// Devices returns when each device that the account knows was used last.
// Errors: auth.ErrStoreDown.
func (t *Throttle) Devices(ctx context.Context, account string) ([]time.Time, error) {
	value, err := t.Store.Get(ctx, t.deviceKey(account))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, trouble("look for devices", err)
	}
	var used []time.Time
	for _, d := range alive(value, t.now()) {
		used = append(used, d.Until.Add(-DeviceLife).UTC())
	}
	return used, nil
}

// known reports whether the account knows the device. The record is read
// whether or not there is a device, so that all attempts look alike.
func (t *Throttle) known(ctx context.Context, account, present string) (bool, error) {
	value, err := t.Store.Get(ctx, t.deviceKey(account))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, trouble("look for device", err)
	}
	return t.find(alive(value, t.now()), account, present) >= 0, nil
}

// find returns the place of a device in the list, or -1.
func (t *Throttle) find(devices []device, account, present string) int {
	if present == "" {
		return -1
	}
	hash := t.deviceHash(account, present)
	return slices.IndexFunc(devices, func(d device) bool {
		return subtle.ConstantTimeCompare([]byte(d.Hash), []byte(hash)) == 1
	})
}

// alive reads a record of devices and leaves out the expired ones.
func alive(record []byte, now time.Time) []device {
	var devices []device
	if json.Unmarshal(record, &devices) != nil {
		return nil
	}
	return slices.DeleteFunc(devices, func(d device) bool { return !now.Before(d.Until) })
}

func (t *Throttle) deviceKey(account string) string {
	return "device:" + t.Index.Hash("devices", account)
}

func (t *Throttle) deviceHash(account, value string) string {
	return t.Index.Hash("device", account, value)
}

func newDevice() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}
