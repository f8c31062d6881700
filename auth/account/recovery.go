package account

import (
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

const problemNoFactor = "Recovery codes replace a second factor that was lost, and you have none. Add one first."

// makeCodes is POST account/recovery: ten new codes, shown by this answer and
// never again. The ones before are void, whether or not it arrives.
func (a *Account) makeCodes(v *visit) error {
	if a.Recovery == nil {
		return auth.ErrNotFound
	}
	ctx, account := v.r.Context(), v.session.Account
	has, err := a.hasFactor(v)
	if err != nil {
		return err
	}
	if !has {
		return a.show(v, http.StatusConflict, problemNoFactor)
	}
	label, err := a.label(v)
	if err != nil {
		return err
	}
	codes := a.Recovery.Generate()
	if err := a.Recovery.Keep(ctx, account, codes); err != nil {
		return err
	}
	a.audit(v, "recovery_codes_made")
	a.Events.Happened(ctx, account, auth.EventRecoveryCodes, "")
	a.Pages.Codes(v.w, v.r, web.Codes{Account: label, Codes: codes})
	return nil
}

// hasFactor reports whether the account has a second factor, recovery codes
// apart.
func (a *Account) hasFactor(v *visit) (bool, error) {
	all, err := a.Factors.All(v.r.Context(), v.session.Account)
	if err != nil {
		return false, err
	}
	for _, f := range all {
		if !a.isCodes(f.Kind) {
			return true, nil
		}
	}
	return false, nil
}
