package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// signIn is one identity on its way to an account.
type signIn struct {
	*booking
	resolver *Resolver
	conn     *connection
	id       admitted
	proved   string // the account that the person has proved
	raced    bool   // the account with this e-mail turned out to bear the link
}

// attempt goes the whole way once: look, decide, and do what was decided.
func (s *signIn) attempt(ctx context.Context) (auth.Outcome, error) {
	q, err := s.ask(ctx)
	if err != nil {
		return auth.Outcome{}, err
	}
	p, err := decide(q.question)
	if err != nil {
		return auth.Outcome{}, err
	}
	if p.verdict == auth.Confirm {
		// An earlier attempt may have reserved the link. Nothing comes of it now,
		// and the sign-in that brings the proof would have to wait for it.
		s.drop(ctx)
		return auth.Outcome{Verdict: auth.Confirm, Identity: s.id.Identity, Confirmation: p.confirmation}, nil
	}
	if err := s.sized(p); err != nil {
		return auth.Outcome{}, err
	}
	s.by = s.decider(p)
	a := p.account
	switch p.verdict {
	case auth.Unchanged:
	case auth.Updated:
		a, err = s.update(ctx, q.byLink, a)
	case auth.Linked:
		err = s.link(ctx, q.link, q.atLink, q.byEmail[0], a)
	default:
		err = s.create(ctx, a, q.link, q.atLink, q.atEmail)
	}
	if err != nil {
		return auth.Outcome{}, err
	}
	if a == q.byLink {
		p.verdict = auth.Unchanged // the one change was an e-mail that is somebody else's
	}
	s.committed()
	return auth.Outcome{
		Verdict: p.verdict, Account: a.ID, Identity: s.id.Identity, SessionOnly: sessionOnly(s.conn, s.id, a),
	}, nil
}

// decider is who carries out a plan, as history says it.
func (s *signIn) decider(p plan) *acting {
	if p.verdict == auth.Linked && s.proved == p.account.ID {
		return &acting{Actor{Kind: ActorPerson}, p.why}
	}
	return &acting{Actor{Kind: ActorConnection, Name: s.conn.ID}, p.why}
}

// asked is the question of a sign-in, and what stood where it looked.
type asked struct {
	question
	link            name
	atLink, atEmail found
}

// ask finds everything that the decision needs to know. It only reads: explain
// asks the same.
func (s *signIn) ask(ctx context.Context) (asked, error) {
	q := asked{question: question{conn: s.conn, id: s.id, proved: s.proved, now: s.now()}}
	q.link = s.names().link(linkOf(s.id.Identity, q.now))
	var err error
	if q.atLink, err = s.look(ctx, q.link); err != nil {
		return q, err
	}
	q.byLink = q.atLink.account
	if q.byLink == nil && s.id.EmailVerified {
		if q.atEmail, err = s.look(ctx, s.names().email(s.id.Email)); err != nil {
			return q, err
		}
		if a := q.atEmail.account; a != nil {
			if a.bears(q.link) && !s.raced {
				// Another sign-in has made the link between our two reads. (Twice in
				// a row it is an index entry that was lost, and is made anew.)
				s.raced = true
				return q, errReplan
			}
			q.byEmail = []*Account{a}
			if s.resolver.disbelieved[a.Email.Source] {
				q.doubted = a.Email.Source
			}
		}
		q.barred = q.atEmail.tomb.bars(q.link, q.now)
	}
	return q, s.inform(ctx, &q.question)
}

// inform finds out what else the decision needs to know, and asks nothing that
// it does not: a repeated sign-in should cost two reads.
func (s *signIn) inform(ctx context.Context, q *question) (err error) {
	switch {
	case q.byLink != nil:
		would := q.byLink.clone()
		syncEmail(would, s.conn, s.id, false, q.now)
		if would.Email != q.byLink.Email {
			q.keeps, err = s.Credentials.KeepsEmail(ctx, q.byLink.ID)
		}
	case len(q.byEmail) == 1:
		a := q.byEmail[0]
		if q.password, err = s.Credentials.HasPassword(ctx, a.ID); err != nil {
			return err
		}
		if q.factor, err = s.Credentials.HasFactor(ctx, a.ID); err != nil {
			return err
		}
		q.keeps, err = s.Credentials.KeepsEmail(ctx, a.ID)
		q.others = s.resolver.provedThrough(a, s.conn.ID)
	}
	return err
}

// sized refuses a person whose user or e-mail does not fit into its header.
// The names that an account has already fitted when they were given.
func (s *signIn) sized(p plan) error {
	user := ""
	if p.verdict == auth.Created {
		user = p.account.Username
	}
	if err := s.fits(user, s.id.Email); err != nil {
		return denied(s.conn, auth.DeniedTooLarge, err.Error())
	}
	return nil
}

// update writes a sync. It returns the account as it is then: before itself
// where nothing is left to write.
func (s *signIn) update(ctx context.Context, before, after *Account) (*Account, error) {
	if email := after.verifiedEmail(); email != "" && foldEmail(email) != foldEmail(before.verifiedEmail()) {
		n := s.names().email(email)
		f, err := s.look(ctx, n)
		if err != nil {
			return nil, err
		}
		if f.account == nil && !f.tomb.bars(s.names().link(linkOf(s.id.Identity, s.now())), s.now()) {
			err := s.move(ctx, before, after, []vacancy{{n, f}})
			return after, err
		}
		// The link is stronger than the address: the person is who they were,
		// and the other account, or the quarantine of a deleted one, keeps it.
		other := ""
		if f.account != nil {
			other = f.account.ID
		}
		s.log().WarnContext(ctx, "the e-mail of a person has changed to that of another account, or of one that was deleted lately; theirs stays as it was",
			"account", before.ID, "other_account", other, "connection", s.conn.ID)
		after.Email = before.Email
		if after.equal(before) {
			return before, nil
		}
	}
	return after, s.replace(ctx, before, after)
}

// replace writes an account that takes no new name, and gives back the address
// that it no longer has.
func (b *booking) replace(ctx context.Context, before, after *Account) error {
	if after.Change != nil && !b.now().Before(after.Change.Until) {
		after.Change = nil // of somebody who died over it
	}
	return b.giveUp(ctx, before, after, func() error { return b.swap(ctx, before, after) })
}

// giveUp frees the e-mail that before had and after has not, once commit has
// been made. Until then the entry is read only: its bytes tell it from one
// that is made later.
func (b *booking) giveUp(ctx context.Context, before, after *Account, commit func() error) error {
	old := before.verifiedEmail()
	if old == "" || foldEmail(old) == foldEmail(after.verifiedEmail()) {
		if err := commit(); err != nil {
			return err
		}
		b.changed(ctx, before.ID)
		return nil
	}
	n := b.names().email(old)
	value, err := b.Store.Get(ctx, n.key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := commit(); err != nil {
		return err
	}
	b.changed(ctx, before.ID)
	former, err := decodeEntry(value)
	if value == nil || err != nil || former.Account != before.ID {
		return nil
	}
	return b.free(ctx, n, func(e entry) bool { return bytes.Equal(e.encode(), former.encode()) })
}

// move gives an account another verified address, or another username, or both,
// which are free.
func (b *booking) move(ctx context.Context, before, after *Account, free []vacancy) error {
	var c Change
	for _, v := range free {
		if err := b.reserve(ctx, v.name, before.ID, v.found); err != nil {
			return err
		}
		if v.kind == byEmail {
			c.Email = v.value
		} else {
			c.Username = v.value
		}
	}
	announced, err := b.announce(ctx, before, c)
	if err != nil {
		return err
	}
	for _, v := range free {
		if err := b.confirm(ctx, v.name, before.ID); err != nil {
			return err
		}
	}
	after.Change = nil
	return b.giveUp(ctx, before, after, func() error { return b.swap(ctx, announced, after) })
}

// link ties the identity to an account that exists.
func (s *signIn) link(ctx context.Context, n name, f found, before, after *Account) error {
	if err := s.reserve(ctx, n, before.ID, f); err != nil {
		return err
	}
	announced, err := s.announce(ctx, before, Change{Link: &n.link})
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, n, before.ID); err != nil {
		return err
	}
	after.Change = nil
	if err := s.swap(ctx, announced, after); err != nil {
		return err
	}
	s.changed(ctx, after.ID)
	return nil
}

// create makes the account.
func (s *signIn) create(ctx context.Context, a *Account, link name, atLink, atEmail found) error {
	a.ID = newID()
	if err := s.reserve(ctx, link, a.ID, atLink); err != nil {
		return err
	}
	mine := []name{}
	if email := a.verifiedEmail(); email != "" {
		n := s.names().email(email)
		if err := s.reserve(ctx, n, a.ID, atEmail); err != nil {
			return err
		}
		mine = append(mine, n)
	}
	username, err := s.username(ctx, a, link)
	if err != nil {
		return err
	}
	return s.write(ctx, a, append(mine, username, link))
}

// username reserves the first name of the account's candidates that is free.
// One that another sign-in is about to take is taken, and so is one that is in
// quarantine: who has it might be taken for whom it was.
func (s *signIn) username(ctx context.Context, a *Account, link name) (name, error) {
	candidates := fallbackUsernames(s.id.Identity)
	if a.Username != "" {
		candidates = slices.Insert(candidates, 0, a.Username)
	}
	// Who knows a person's subject can work out the names before and sit on all
	// of them; nobody can sit on a random one, so nobody is locked out.
	candidates = append(candidates, s.id.Connection+"-"+newID())
	for _, candidate := range candidates {
		n := s.names().username(candidate)
		err := s.reserve(ctx, n, a.ID, found{})
		if errors.Is(err, errBusy) {
			var f found
			barred := false
			if f, err = s.look(ctx, n); err == nil && f.account == nil {
				if barred = f.tomb.bars(link, s.now()); !barred {
					err = s.reserve(ctx, n, a.ID, f)
				}
			}
			if barred || f.account != nil || errors.Is(err, errBusy) {
				continue
			}
		}
		if err != nil {
			return name{}, err
		}
		a.Username = candidate
		return n, nil
	}
	return name{}, fmt.Errorf("no username is free, the last tried is %q", candidates[len(candidates)-1])
}

// write makes a new account whose names are reserved: pending first, then the
// names in the given order, the link last, then active, or disabled from the
// beginning.
func (b *booking) write(ctx context.Context, a *Account, mine []name) error {
	a.Origin, a.Decision = b.decision, b.decision
	draft := a.clone()
	draft.Status, draft.Change = Pending, &Change{Owner: b.owner, Until: b.until}
	b.draft = a.ID
	draft.raw = draft.encode()
	if err := b.Store.Create(ctx, accountKey(a.ID), draft.raw, remains); err != nil {
		if errors.Is(err, store.ErrExists) {
			return errReplan // our own, written twice by a store that asked again
		}
		return err
	}
	for _, n := range mine {
		if err := b.confirm(ctx, n, a.ID); err != nil {
			return err
		}
	}
	if a.Change = nil; a.Status != Disabled {
		a.Status = Active
	}
	return b.swap(ctx, draft, a)
}
