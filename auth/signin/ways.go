package signin

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"gatehouse/auth"
)

// enrolled returns what the account has of all kinds.
func (f *Flow) enrolled(ctx context.Context, account string) ([]auth.Authenticator, error) {
	var all []auth.Authenticator
	for _, factor := range f.Factors {
		has, err := factor.Enrolled(ctx, account)
		if err != nil {
			return nil, err
		}
		for _, a := range has {
			a.Kind = factor.Kind()
			all = append(all, a)
		}
	}
	return all, nil
}

// hasFactor reports whether the account has any of the factors.
func (f *Flow) hasFactor(ctx context.Context, account string) (bool, error) {
	has, err := f.enrolled(ctx, account)
	return len(has) > 0, err
}

func (f *Flow) allowed(kind string) bool { return slices.Contains(f.Methods, kind) }

// ways are the kinds with which the account can prove itself now: last used
// first, recovery codes always last, since each is a loss. A method that was
// taken out of mfa.methods counts where the account has nothing else, or its
// owner would be locked out.
func (f *Flow) ways(has []auth.Authenticator) []auth.Factor {
	has = slices.DeleteFunc(slices.Clone(has), func(a auth.Authenticator) bool { return a.Barred })
	if slices.ContainsFunc(has, f.satisfies) {
		has = slices.DeleteFunc(has, func(a auth.Authenticator) bool { return !f.allowed(a.Kind) })
	}
	slices.SortStableFunc(has, func(a, b auth.Authenticator) int {
		if last := compareBool(a.Kind == auth.KindRecovery, b.Kind == auth.KindRecovery); last != 0 {
			return last
		}
		return b.Used.Compare(a.Used)
	})
	var ways []auth.Factor
	for _, a := range has {
		i := slices.IndexFunc(f.Factors, func(factor auth.Factor) bool { return factor.Kind() == a.Kind })
		if !slices.Contains(ways, f.Factors[i]) {
			ways = append(ways, f.Factors[i])
		}
	}
	return ways
}

func compareBool(a, b bool) int {
	number := map[bool]int{true: 1}
	return cmp.Compare(number[a], number[b])
}

// satisfies tells whether an authenticator is what mfa.enforce asks for.
// Recovery codes are none: they are what one gets a lost factor back with.
func (f *Flow) satisfies(a auth.Authenticator) bool {
	return a.Kind != auth.KindRecovery && !a.Barred && f.allowed(a.Kind)
}

// owesEnrolment reports whether who has proved a factor must enrol another
// before the session starts: an administrator demands it, or what was proved
// is nothing that mfa.enforce could go on with.
func (f *Flow) owesEnrolment(ctx context.Context, p auth.Pending) (bool, error) {
	has, err := f.enrolled(ctx, p.Outcome.Account)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(has, f.satisfies) {
		return f.demanded(ctx, p.Outcome.Account)
	}
	open, err := f.enrollable(ctx, p.Outcome.Account)
	return len(open) > 0, err
}

// demanded reports whether an administrator demands an enrolment that can be
// met: one that cannot would lock the person out.
func (f *Flow) demanded(ctx context.Context, account string) (bool, error) {
	if f.Demands == nil {
		return false, nil
	}
	demanded, err := f.Demands.Demanded(ctx, account)
	if err != nil || !demanded {
		return false, err
	}
	open, err := f.enrollable(ctx, account)
	return len(open) > 0, err
}

// enrollable are the kinds of which the account can enrol one more now.
func (f *Flow) enrollable(ctx context.Context, account string) ([]auth.Enroller, error) {
	var all []auth.Enroller
	for _, e := range f.enrollers() {
		switch err := e.Enrollable(ctx, account); {
		case err == nil:
			all = append(all, e)
		case !errors.Is(err, auth.ErrNotFound):
			return nil, err
		}
	}
	return all, nil
}

// enrollers are the kinds that may be enrolled.
func (f *Flow) enrollers() []auth.Enroller {
	var all []auth.Enroller
	for _, factor := range f.Factors {
		if e, ok := factor.(auth.Enroller); ok && f.allowed(e.Kind()) {
			all = append(all, e)
		}
	}
	return all
}

func (f *Flow) enroller(kind string) auth.Enroller {
	for _, e := range f.enrollers() {
		if e.Kind() == kind {
			return e
		}
	}
	return nil
}
