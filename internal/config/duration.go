package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// duration returns the duration under a key.
func (o *object) duration(key string, fallback time.Duration) time.Duration {
	n, path := o.take(key)
	d, ok := parseDuration(o.l.text(n, path, fallback.String()))
	if !ok {
		o.l.problem(path, "must be a duration", "write a number and its unit, such as 90s, 15m, 24h or 90d")
		return fallback
	}
	return d
}

// parseDuration reads what time.ParseDuration does, and whole days before it:
// 90d, 1d12h. A day has 24 hours.
func parseDuration(s string) (time.Duration, bool) {
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		d, err := time.ParseDuration(s)
		return d, err == nil
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, false
	}
	d := time.Duration(n) * day
	if rest == "" {
		return d, true
	}
	// A sign stands at the beginning or nowhere.
	more, err := time.ParseDuration(rest)
	if err != nil || strings.ContainsAny(rest, "+-") || d+more < d {
		return 0, false
	}
	return d + more, true
}

// validateDuration holds a duration to its bounds.
func (l *loader) validateDuration(path string, d, least, most time.Duration) {
	switch {
	case d < least:
		l.problem(path, fmt.Sprintf("%s is shorter than %s", short(d), short(least)), "write a longer time, such as "+short(max(least, 30*time.Second)))
	case d > most:
		l.problem(path, fmt.Sprintf("%s is longer than %s", short(d), short(most)), "write a shorter time")
	}
}

// short writes a duration as people do: 24h, not 24h0m0s, and 90d, not 2160h.
func short(d time.Duration) string {
	if days := d / day; days >= 2 {
		if d %= day; d == 0 {
			return fmt.Sprintf("%dd", days)
		}
		return fmt.Sprintf("%dd%s", days, short(d))
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
