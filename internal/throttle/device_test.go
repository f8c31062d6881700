package throttle_test

import (
	"testing"

	"gatehouse/internal/throttle"
)

// Attack: a stranger guesses until the account is locked, so that its owner
// cannot sign in either.
func TestStrangerCannotLockAKnownDevice(t *testing.T) {
	th, _, _ := newThrottle()
	device := remember(t, th, "a", "")
	for range 10 * throttle.Free {
		attempt(t, th, "a", "")
	}
	if wait := attempt(t, th, "a", device); wait != 0 {
		t.Errorf("the owner waits %s on a known device", wait)
	}
}

// A known device is a counter of its own, not a way around counting.
func TestKnownDeviceIsThrottled(t *testing.T) {
	th, _, _ := newThrottle()
	device := remember(t, th, "a", "")
	for range throttle.Free {
		attempt(t, th, "a", device)
	}
	if attempt(t, th, "a", device) == 0 {
		t.Error("a known device guesses without end")
	}
	if err := th.Reset(t.Context(), "a", device); err != nil {
		t.Fatal(err)
	}
	if wait := attempt(t, th, "a", device); wait != 0 {
		t.Errorf("after a finished sign-in the device waits %s", wait)
	}
}

// Attack: send a new made-up device with every guess, or that of another
// account, to get a fresh counter each time.
func TestUnknownDevicesShareTheCounter(t *testing.T) {
	th, clock, _ := newThrottle()
	foreign := remember(t, th, "b", "")
	expired := remember(t, th, "a", "")
	clock.advance(throttle.DeviceLife)
	forgotten := remember(t, th, "a", "")
	if err := th.Forget(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{"", "made-up", foreign, expired, forgotten} {
		if wait := attempt(t, th, "a", device); wait != 0 {
			t.Fatalf("free attempt waits %s", wait)
		}
	}
	for _, device := range []string{"", "other", foreign, expired, forgotten} {
		if attempt(t, th, "a", device) == 0 {
			t.Errorf("device %.8q has a counter of its own", device)
		}
	}
}

// Attack: whoever knows the password once signs in a thousand times and keeps
// a thousand devices, each with free guesses for later.
func TestDevicesAreBounded(t *testing.T) {
	th, _, _ := newThrottle()
	var devices []string
	for range 30 {
		devices = append(devices, remember(t, th, "a", ""))
	}
	for range throttle.Free {
		attempt(t, th, "a", "")
	}
	known := 0
	for _, device := range devices {
		if attempt(t, th, "a", device) == 0 {
			known++
		}
	}
	if known != 10 {
		t.Errorf("%d devices are known, want 10", known)
	}
}

// A browser that signs in every day is one device and keeps its value.
func TestRememberRenews(t *testing.T) {
	th, clock, _ := newThrottle()
	first := remember(t, th, "a", "")
	other := remember(t, th, "a", "")
	if first == other {
		t.Fatal("two browsers got one value")
	}
	if got, isNew, err := th.Remember(t.Context(), "b", first); got == first || isNew || err != nil {
		t.Errorf("the first device of another account is new: %v, %v", isNew, err)
	}
	if _, isNew, err := th.Remember(t.Context(), "a", ""); !isNew || err != nil {
		t.Errorf("a third browser is new: %v, %v", isNew, err)
	}
	for range 12 {
		clock.advance(throttle.DeviceLife - 1)
		if got, isNew, err := th.Remember(t.Context(), "a", first); got != first || isNew || err != nil {
			t.Fatalf("a known device is new: %v, %v", isNew, err)
		}
	}
	if got := remember(t, th, "a", other); got == other {
		t.Error("an expired device came back")
	}
}

// Attack: plant a device value of one's own choice in a browser, so that it
// becomes known once the owner signs in there.
func TestRememberTakesNoForeignValue(t *testing.T) {
	th, _, _ := newThrottle()
	if got := remember(t, th, "a", "chosen by a stranger"); got == "chosen by a stranger" || len(got) != 43 {
		t.Errorf("device %q, want 256 fresh bits", got)
	}
}

func TestDeviceInContext(t *testing.T) {
	if got := throttle.Device(t.Context()); got != "" {
		t.Errorf("device %q in an empty context", got)
	}
	if got := throttle.Device(throttle.WithDevice(t.Context(), "d")); got != "d" {
		t.Errorf("device %q, want d", got)
	}
}

func remember(t *testing.T, th *throttle.Throttle, account, present string) string {
	t.Helper()
	device, _, err := th.Remember(t.Context(), account, present)
	if err != nil {
		t.Fatal(err)
	}
	return device
}
