package auth

import "context"

// Factor is a second proof that an account enrols. Factors are keyed on the
// account id, never on a name.
type Factor interface {
	// Kind is the factor's name in mfa.methods, such as "totp".
	Kind() string
	// Enrolled reports whether the account has this factor.
	Enrolled(ctx context.Context, account string) (bool, error)
	// Verify checks an answer. One answer passes once, across replicas.
	// Errors: ErrWrongCode, *Throttled, ErrStoreDown.
	Verify(ctx context.Context, account, answer string) error
	// Offer makes what a new enrolment needs; nothing is stored yet. Label
	// names the account to the person, such as a username.
	Offer(ctx context.Context, account, label string) (Enrolment, error)
	// Confirm stores the enrolment once the answer proves that the person
	// holds it. Errors: ErrWrongCode, *Throttled, ErrStoreDown.
	Confirm(ctx context.Context, account string, e Enrolment, answer string) error
}

// Enrolment is an offered factor that is not confirmed yet. Secret is sealed
// wherever it rests.
type Enrolment struct {
	Kind   string `json:"kind"`
	Secret string `json:"secret"` // base32 for TOTP
	URL    string `json:"url"`    // otpauth:// key URI, the content of the QR code
}
