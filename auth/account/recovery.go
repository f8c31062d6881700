package account

import (
	"context"
	"errors"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

const problemNoFactor = "Recovery codes replace a second factor that was lost, and you have none. Add one first."

var errNoFactor = errors.New("there is no second factor to recover")

// makeCodes is POST account/recovery: ten new codes, shown by this answer and
// never again. The ones before are void, whether or not it arrives.
func (a *Account) makeCodes(v *visit) error {
	if a.Recovery == nil {
		return auth.ErrNotFound
	}
	ctx, account := v.r.Context(), v.session.Account
	label, err := a.label(v)
	if err != nil {
		return err
	}
	codes := a.Recovery.Generate()
	// Alone: beside a removal of the last factor they would stand by themselves.
	err = a.alone(v, func(ctx context.Context) error {
		has, err := a.hasFactor(ctx, account)
		if err != nil {
			return err
		}
		if !has {
			return errNoFactor
		}
		return a.Recovery.Keep(ctx, account, codes)
	})
	if errors.Is(err, errNoFactor) {
		return a.show(v, http.StatusConflict, problemNoFactor)
	}
	if err != nil {
		return a.busy(v, err)
	}
	a.audit(v, "recovery_codes_made")
	a.Events.Happened(ctx, account, auth.EventRecoveryCodes, "")
	a.Pages.Codes(v.w, v.r, web.Codes{Account: label, Codes: codes})
	return nil
}

// hasFactor reports whether the account has a second factor, recovery codes
// apart.
func (a *Account) hasFactor(ctx context.Context, account string) (bool, error) {
	all, err := a.Factors.All(ctx, account)
	if err != nil {
		return false, err
	}
	for _, f := range all {
		if f.Kind != auth.KindRecovery {
			return true, nil
		}
	}
	return false, nil
}
