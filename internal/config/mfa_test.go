package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Without being named, a method is there where it works.
func TestMethodsThatWork(t *testing.T) {
	const mail = "\nmail: {address: 'mail.example:587', from: gate@acme.example}"
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", []string{MethodTOTP, MethodPasskey, MethodRecovery}},
		{mail, []string{MethodTOTP, MethodPasskey, MethodEmailCode, MethodRecovery}},
		{"server: {public_url: 'https://gate.example:8443'}", []string{MethodTOTP, MethodPasskey, MethodRecovery}},
		{"server: {public_url: 'http://gate.localhost'}", []string{MethodTOTP, MethodPasskey, MethodRecovery}},
		{"server: {public_url: 'http://gate.example'}", []string{MethodTOTP, MethodRecovery}},
		{"server: {public_url: 'https://192.0.2.7'}" + mail, []string{MethodTOTP, MethodEmailCode, MethodRecovery}},
		{"server: {public_url: 'https://[2001:db8::7]:8443'}", []string{MethodTOTP, MethodRecovery}},
		{"mfa: {methods: [recovery_code, PASSKEY]}", []string{MethodRecovery, MethodPasskey}},
	} {
		c, _ := load(t, "c.yaml", tt.in)
		if d := cmp.Diff(tt.want, c.MFA.Methods); d != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, d)
		}
	}
}
