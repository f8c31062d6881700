package provision

import (
	"slices"

	"gatehouse/internal/claim"
)

// claimHas reports whether a claim is one of the wanted values, or a list that
// holds one. What is neither has none: a rule that cannot be read denies.
func claimHas(value any, wanted []string) bool {
	values, isList := value.([]any)
	if !isList {
		values = []any{value}
	}
	return slices.ContainsFunc(values, func(v any) bool {
		text, ok := claim.Text(v)
		return ok && slices.Contains(wanted, text)
	})
}
