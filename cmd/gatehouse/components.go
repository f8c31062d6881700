package main

import (
	"errors"
	"sync"
	"time"

	"gatehouse/internal/mail"
)

// component is a part of a running gateway as those who run it see it. Only the
// process and the store make it unready: with an identity provider or a server
// of mails down it still serves those who are signed in, and no other replica
// would do better.
type component struct {
	Name   string    `json:"component"`
	OK     bool      `json:"ok"`
	Reason string    `json:"reason,omitempty"`
	Do     string    `json:"do,omitempty"`
	Since  time.Time `json:"since,omitzero"`
}

// Components of a gateway; of each connection that is enabled there is one too.
const (
	componentProcess       = "process"
	componentStore         = "store"
	componentConfiguration = "configuration"
	componentMail          = "mail"
	componentConnection    = "connection "
)

// What to do about each.
const (
	doProcess       = "wait for it to be gone; let other replicas have the requests"
	doStore         = "see that the store runs and that the file names it; sessions are kept meanwhile, and it is used as soon as it answers"
	doConfiguration = "correct the file, see gatehouse check; an earlier one is in use until then"
	doMail          = "see gatehouse mail list for why; what waits is sent as soon as the server takes it"
	doConnection    = "see that the identity provider runs and can be reached from here, and the log for why; it is asked again at the next sign-in"
)

// troubles are what went wrong at the last attempt, by component. What works is
// not in it, so it is as large as the configuration.
type troubles struct {
	mu sync.Mutex
	of map[string]component
}

// note keeps what came of an attempt: reason is "" where it went well.
func (t *troubles) note(name, reason, do string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, known := t.of[name]
	switch {
	case reason == "" && known:
		delete(t.of, name)
	case reason != "":
		if t.of == nil {
			t.of = map[string]component{}
		}
		since := was.Since
		if !known {
			since = time.Now().UTC().Truncate(time.Second)
		}
		t.of[name] = component{Name: name, Reason: reason, Do: do, Since: since}
	}
}

// state is how a component is.
func (t *troubles) state(name string) component {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, known := t.of[name]; known {
		return c
	}
	return component{Name: name, OK: true}
}

// signedIn hears how a sign-in ended. Whoever gives up, is refused, or brings an
// answer that is not valid, which a stranger can make up, says nothing of the
// provider.
func (p *process) signedIn(connection, outcome string) {
	p.metrics.SignIn(connection, outcome)
	name := componentConnection + connection
	switch outcome {
	case "success":
		p.troubles.note(name, "", "")
	case "provider_down":
		p.troubles.note(name, "the identity provider did not answer at the last sign-in", doConnection)
	}
}

// mailed hears what happens to mails.
func (p *process) mailed(what string) {
	p.metrics.Mail(what)
	switch what {
	case mail.CountSent:
		p.troubles.note(componentMail, "", "")
	case mail.CountRetried:
		p.troubles.note(componentMail, "the last attempt to send a mail failed", doMail)
	}
}

// components is the state of each, given why the process is not ready and how
// the last reload ended; nil: there is none.
func (p *process) components(unready error, reload *reloaded) []component {
	process, st := component{Name: componentProcess, OK: true}, component{Name: componentStore, OK: true}
	switch {
	case errors.Is(unready, errDraining):
		process = component{Name: componentProcess, Reason: unready.Error(), Do: doProcess}
		st.OK, st.Reason = false, "not asked"
	case unready != nil:
		st = component{Name: componentStore, Reason: unready.Error(), Do: doStore}
	}
	configuration := component{Name: componentConfiguration, OK: true}
	if reload != nil && !reload.OK {
		configuration = component{
			Name: componentConfiguration, Reason: "the file was refused: " + counted(len(reload.Problems), "problem"),
			Do: doConfiguration, Since: reload.Time.UTC().Truncate(time.Second),
		}
	}
	all := []component{process, st, configuration}
	a := p.current.Load()
	if a == nil {
		return all
	}
	if a.mail != nil {
		all = append(all, p.troubles.state(componentMail))
	}
	for _, c := range a.cfg.Connections {
		if !c.Disabled {
			all = append(all, p.troubles.state(componentConnection+c.ID))
		}
	}
	return all
}
