package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration
		bad  bool
	}{
		{"0", 0, false},
		{"0s", 0, false},
		{"0d", 0, false},
		{"90s", 90 * time.Second, false},
		{"1h30m", 90 * time.Minute, false},
		{"-5m", -5 * time.Minute, false}, // the bounds refuse it
		{"1d", 24 * time.Hour, false},
		{"90d", 90 * day, false},
		{"1d12h", 36 * time.Hour, false},
		{"2d0.5s", 2*day + 500*time.Millisecond, false},
		{"3650d", 3650 * day, false},
		{"", 0, true},
		{"d", 0, true},
		{"90", 0, true},
		{"90 d", 0, true},
		{"1.5d", 0, true},
		{"-1d", 0, true},
		{"+1d", 0, true},
		{"1d-12h", 0, true},
		{"1d+12h", 0, true},
		{"12h1d", 0, true},
		{"1d1d", 0, true},
		{"1d12", 0, true},
		{"1D", 0, true},
		{"65536d", 0, true},
		{"99999999999999999999d", 0, true},
		{"106751h", 106751 * time.Hour, false},
		{"65535d2540400h", 0, true}, // more than a time.Duration holds
	} {
		got, ok := parseDuration(tt.in)
		if ok == tt.bad || ok && got != tt.want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v, %v", tt.in, got, ok, tt.want, !tt.bad)
		}
	}
}

// What is written short is read as the same time.
func TestShort(t *testing.T) {
	for _, tt := range []struct {
		in   time.Duration
		want string
	}{
		{0, "0s"},
		{time.Second, "1s"},
		{90 * time.Second, "1m30s"},
		{5 * time.Minute, "5m"},
		{-time.Hour, "-1h"},
		{time.Hour, "1h"},
		{time.Hour + time.Second, "1h0m1s"},
		{24 * time.Hour, "24h"},
		{36 * time.Hour, "36h"},
		{47*time.Hour + 30*time.Minute, "47h30m"},
		{48 * time.Hour, "2d"},
		{60 * time.Hour, "2d12h"},
		{3650 * day, "3650d"},
		{3*day + time.Millisecond, "3d1ms"},
	} {
		got := short(tt.in)
		if back, ok := parseDuration(got); got != tt.want || !ok || back != tt.in {
			t.Errorf("short(%v) = %q, want %q; read back: %v", tt.in, got, tt.want, back)
		}
	}
}
