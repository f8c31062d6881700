package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

const (
	slots = 16384
	// mostPasses bounds a Scan of a cluster. Three see every key of slots that
	// move once; more are for those that move again.
	mostPasses = 12
)

var errRestless = errors.New("the slots of the cluster move faster than they can be read; try again when it is at rest")

// layout is where each slot of a cluster is: the marks of the masters that
// serve it, import it or hand it over.
type layout [slots]slotMarks

type slotMarks struct {
	owners, moving string // ids, each followed by a space; of those who import or hand over, and to whom
}

// owned reports whether exactly one master claims the slot.
func (m slotMarks) owned() bool { return strings.Count(m.owners, " ") == 1 }

// layoutOf asks each master what it claims itself. What others believe may be
// out of date.
func (s *Store) layoutOf(ctx context.Context, masters []redis.Cmdable) (*layout, error) {
	l := &layout{}
	for _, master := range masters {
		var nodes string
		err := s.trip(ctx, func(ctx context.Context) (err error) {
			nodes, err = master.ClusterNodes(ctx).Result()
			return err
		})
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(nodes) {
			fields := strings.Fields(line)
			if len(fields) > 8 && strings.Contains(fields[2], "myself") {
				l.mark(fields[0], fields[8:])
			}
		}
	}
	return l, nil
}

// mark enters what a node says of itself in CLUSTER NODES: "0-99" and "100"
// for what it serves, "[93->-ID]" for what it hands over, "[77-<-ID]" for what
// it imports.
func (l *layout) mark(id string, claims []string) {
	owner := id + " "
	for _, claim := range claims {
		text, open := strings.CutPrefix(claim, "[")
		first, rest, ranged := strings.Cut(text, "-")
		from, err := strconv.Atoi(first)
		if err != nil || from < 0 || from >= slots {
			continue
		}
		if open {
			l[from].moving += id + rest + " "
			continue
		}
		to := from
		if ranged {
			if to, err = strconv.Atoi(rest); err != nil {
				continue
			}
		}
		for slot := from; slot <= min(to, slots-1); slot++ {
			if l[slot].owners == "" {
				l[slot].owners = owner // which allocates nothing, 16384 times
			} else {
				l[slot].owners += owner
			}
		}
	}
}

// passes tells when enough passes over all masters have been made. A pass
// misses a key that moves meanwhile from a master that it has yet to ask to one
// that it has left. So a slot is done when it was settled at one place before
// and after a pass; or, for one that stays open, when it was open in the same
// way throughout two passes in a row: a key moves only one way then, so that one
// of the two has seen it.
type passes struct {
	done [slots]bool
	open [slots]slotMarks // in which way each slot was open throughout the last pass
	n    int
}

// over notes a pass and reports whether it was the last.
func (p *passes) over(before, after *layout) bool {
	p.n++
	all := true
	for slot := range slots {
		was := p.open[slot]
		p.open[slot] = slotMarks{}
		if before[slot] == after[slot] && before[slot].owned() {
			p.done[slot] = p.done[slot] || before[slot].moving == "" || before[slot] == was
			p.open[slot] = before[slot]
		}
		all = all && p.done[slot]
	}
	return all
}
