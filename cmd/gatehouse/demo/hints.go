package demo

import (
	"fmt"
	"io"
)

// hints prints where to go and what to try.
func hints(out io.Writer, url, password string) error {
	_, err := fmt.Fprintf(out, `
Gatehouse demonstration, on this machine only. Everything in it is made up and gone when it stops.

  Open      %[1]s
  Sign in   through Acme or Partner, or as the local account:
            username  %[2]s
            password  %[3]s

Worth trying
  1. Acme, as the employee. An account is made; the page shows each attribute and where it comes from.
  2. Sign out, then Partner. The application gets the same headers, and there is no account.
  3. The local account. It has to enrol a second factor first. No phone at hand?
     %[1]s/public/authenticator computes the codes; leave it open for 5.
  4. %[1]s/admin/ as the employee, then as the administrator of Acme.
  5. Acme, as the holder of the local account's e-mail, after 3. Is the account theirs? Its password
     and a code prove it, once; then both ways lead to it. (Before 3 it has no second factor, and the
     word of Acme is enough.)
  6. %[1]s/public/outbox shows the mails: codes, links, and word of what happened to the
     local account, such as its new second factor. Nothing leaves this machine.
  7. curl -i %[1]s/ : a program is told 401, not sent to a page.

Stop with Ctrl-C.
`, url, localUser, password)
	return err
}
