package provision

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// What an administrator has disabled, nothing but an administrator enables. The
// attack: a former employee whose account at an identity provider still works,
// by every road that leads to an account.
func TestNothingEnablesADisabledAccount(t *testing.T) {
	address := "new@people.example"
	roads := map[string]func(h *house, id string) error{
		"link": func(h *house, id string) error {
			_, err := h.resolver.Resolve(h.t.Context(), identity("acme", "alice"))
			return err
		},
		"link with other claims": func(h *house, id string) error {
			_, err := h.resolver.Resolve(h.t.Context(), identity("acme", "alice", groups("x"), email(address, true)))
			return err
		},
		"same e-mail, another connection": func(h *house, id string) error {
			_, err := h.resolver.Resolve(h.t.Context(), identity("partner", "alice"))
			return err
		},
		"same e-mail, another subject": func(h *house, id string) error {
			_, err := h.resolver.Resolve(h.t.Context(), identity("acme", "eve", email("alice@people.example", true)))
			return err
		},
		"confirmed, by link": func(h *house, id string) error {
			_, err := h.resolver.ResolveConfirmed(h.t.Context(), identity("acme", "alice"), id)
			return err
		},
		"confirmed, by e-mail": func(h *house, id string) error {
			_, err := h.resolver.ResolveConfirmed(h.t.Context(), identity("partner", "alice"), id)
			return err
		},
		"proof of it": func(h *house, id string) error {
			return h.resolver.Proves(h.t.Context(), identity("acme", "alice"), id)
		},
		"password": func(h *house, id string) error {
			_, err := h.resolver.Resolve(h.t.Context(), auth.Identity{Connection: auth.Local, Subject: id})
			return err
		},
	}
	for name, road := range roads {
		for _, link := range []string{config.LinkAuto, config.LinkAlways, config.LinkConfirm} {
			t.Run(name+"/"+link, func(t *testing.T) {
				h, id := disabledAccount(t, link)
				err := road(h, id)
				denied, ok := errors.AsType[*auth.Denied](err)
				if !ok || denied.Reason != auth.DeniedDisabled {
					t.Errorf("%v, want a denial: disabled", err)
				}
				stillDisabled(t, h, id)
			})
		}
	}
	// What an administrator or a repair changes beside it does not either.
	for name, change := range map[string]func(h *house, id string) error{
		"set": func(h *house, id string) error {
			_, err := h.directory.Set(h.t.Context(), id, Edit{Email: &address, Groups: &[]string{"admins"}, Attributes: map[string][]string{"k": {"v"}}})
			return err
		},
		"unlink": func(h *house, id string) error {
			_, err := h.directory.Unlink(h.t.Context(), id, "acme", nil)
			return err
		},
		"note": func(h *house, id string) error {
			_, err := h.directory.Note(h.t.Context(), id, auth.EventPasswordSet)
			return err
		},
		"doctor": func(h *house, id string) error {
			for key := range dump(h.t, h.store) {
				if key[:4] == "link" || key[:5] == "email" {
					if err := h.store.Delete(h.t.Context(), key); err != nil {
						return err
					}
				}
			}
			_, err := h.directory.Examine(h.t.Context(), Examination{Repair: true, Pause: noPause})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, id := disabledAccount(t, config.LinkAuto)
			if err := change(h, id); err != nil {
				t.Fatal(err)
			}
			stillDisabled(t, h, id)
		})
	}
}

func disabledAccount(t *testing.T, link string) (h *house, id string) {
	t.Helper()
	h = newHouse(t, nil)
	h.conn("acme").JIT.LinkExisting, h.conn("partner").JIT.LinkExisting = link, link
	h.open()
	id = h.resolve(identity("acme", "alice")).Account
	h.creds.passwords[id] = true
	if _, err := h.directory.Disable(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return h, id
}

func stillDisabled(t *testing.T, h *house, id string) {
	t.Helper()
	live := audit(t, h)
	if len(live) != 1 || live[0].ID != id || live[0].Status != Disabled {
		t.Errorf("accounts: %+v", live)
	}
}

// Of two identities of one connection either may have brought the groups, so
// they go with either. The one that is left brings its own again.
func TestUnlinkOneOfTwo(t *testing.T) {
	h := newHouse(t, nil)
	id := h.resolve(identity("acme", "alice", groups("admins"))).Account
	if _, err := h.directory.Set(t.Context(), id, Edit{Groups: &[]string{"local"}}); err != nil {
		t.Fatal(err)
	}
	second := identity("acme", "alice-2", email("alice@people.example", true), groups("admins", "staff"))
	if _, err := h.resolver.ResolveConfirmed(t.Context(), second, id); err != nil {
		t.Fatal(err)
	}
	v, err := h.directory.Unlink(t.Context(), id, "acme", ptr("alice"))
	if err != nil || len(v.Links) != 1 || v.Links[0].Subject != "alice-2" {
		t.Fatalf("%+v, %v", v, err)
	}
	if diff := cmp.Diff([]string{"local"}, v.Groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	h.resolve(second)
	if diff := cmp.Diff([]string{"local", "admins", "staff"}, h.show(id).Groups); diff != "" {
		t.Errorf("groups after the next sign-in (-want +got):\n%s", diff)
	}
	audit(t, h)
}

// A connection that is not enabled is as if the file did not name it: nobody
// comes in, its sessions and the groups that it gave are not in force. Its links
// stay, and work again with it.
func TestDisabledConnection(t *testing.T) {
	h := newHouse(t, nil)
	o := h.resolve(identity("acme", "alice", groups("admins")))
	local := &auth.Session{Account: o.Account, Identity: auth.Identity{Connection: auth.Local, Subject: o.Account}}
	inForce := func() []string {
		t.Helper()
		p, err := h.resolver.Person(t.Context(), local)
		if err != nil {
			t.Fatal(err)
		}
		return p.Groups
	}
	if diff := cmp.Diff([]string{"admins"}, inForce()); diff != "" {
		t.Fatal(diff)
	}
	h.conn("acme").Disabled = true
	h.open()
	if got := h.refused(identity("acme", "alice")); got != auth.DeniedConnection {
		t.Errorf("refused as %q", got)
	}
	if err := h.resolver.Proves(t.Context(), identity("acme", "alice"), o.Account); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("it proves the account: %v", err)
	}
	if _, err := h.resolver.Person(t.Context(), session(o)); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("its session goes on: %v", err)
	}
	if got := inForce(); len(got) > 0 {
		t.Errorf("groups in force: %v", got)
	}
	h.conn("acme").Disabled = false
	h.open()
	if again := h.resolve(identity("acme", "alice", groups("admins"))); again.Account != o.Account || again.Verdict != auth.Unchanged {
		t.Errorf("%+v", again)
	}
	if diff := cmp.Diff([]string{"admins"}, inForce()); diff != "" {
		t.Error(diff)
	}
}
