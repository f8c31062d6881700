package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"gatehouse/auth"
	"gatehouse/auth/local"
	"gatehouse/provision"
)

// maxImport is how large a file of accounts may be, in bytes: some tens of
// thousands of them. The admin socket carries as much.
const maxImport = 8 << 20

// importFile reads what is imported: a file, or the standard input.
func (c *userCommand) importFile(stdin io.Reader) ([]byte, error) {
	path := c.htpasswd.value + c.accounts.value + c.authelia.value // one of them
	from := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxImport+1))
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if len(data) > maxImport {
		return nil, fmt.Errorf("import: %s has more than %d bytes; split it", path, maxImport)
	}
	return data, nil
}

// completeImport judges the flags of import.
func (c *userCommand) completeImport() error {
	files := 0
	for _, f := range []optional{c.htpasswd, c.accounts, c.authelia} {
		if f.given {
			files++
		}
		if f.given && f.value == "" {
			return errors.New("import needs the name of a file, or - for the standard input")
		}
	}
	if files != 1 {
		return errors.New("import needs one file: --htpasswd, --accounts or --authelia")
	}
	return nil
}

// How an account of a file fared.
const (
	importAdded    = "added"
	importFinished = "finished" // what an import that broke off had begun
	importPresent  = "present"  // it was there, and stays as it is
	importRefused  = "refused"
)

// importResult is how one account of a file fared, as programs read it.
type importResult struct {
	Line     int    `json:"line"`
	Username string `json:"username"`
	Result   string `json:"result"`
	Why      string `json:"why,omitempty"`
	ID       string `json:"id,omitempty"`
	// AdminGroups are those of its groups by which it administers accounts.
	AdminGroups []string `json:"admin_groups,omitempty"`
}

// importView is how an import fared, as programs read it.
type importView struct {
	DryRun   bool           `json:"dry_run"`
	Accounts []importResult `json:"accounts"`
	Added    int            `json:"added"`
	Present  int            `json:"present"`
	Refused  int            `json:"refused"`

	administrators int // of those that were added
}

// importAccounts takes over the accounts of a file, each wholly or not at all.
// The same file given again changes nothing, and finishes what broke off.
func (a *administration) importAccounts(ctx context.Context, c *userCommand, file []byte, stdout, stderr io.Writer) error {
	entries, err := c.readImport(file)
	if err != nil {
		return err
	}
	a.warnOfLocalOff(stderr)
	ctx = provision.WithActor(ctx, provision.Actor{Kind: provision.ActorAdministrator, Name: administrator(ctx)}, "import")
	view := importView{DryRun: c.dryRun, Accounts: []importResult{}}
	names, emails := map[string]int{}, map[string]int{}
	var stopped error
	for _, e := range entries {
		r := importResult{Line: e.line, Username: e.new.Username}
		if err := e.judge(names, emails); err != nil {
			r.Result, r.Why = importRefused, err.Error()
		} else if err := a.importOne(ctx, c, e, &r); err != nil {
			if errors.Is(err, auth.ErrStoreDown) || ctx.Err() != nil {
				stopped = fmt.Errorf("stopped at line %d; what stands before it is done, and the same file goes on from there: %w", e.line, err)
				break
			}
			r.Result, r.Why = importRefused, forPeople(err).Error()
		}
		if e.left != "" && r.Result != importRefused && r.Why == "" {
			r.Why = e.left
		}
		if r.Result == importAdded || r.Result == importFinished {
			r.AdminGroups = a.adminGroups(e.new.Groups)
		}
		view.count(r)
		if !c.json {
			if err := r.print(stdout, c.dryRun); err != nil {
				return err
			}
		}
	}
	if c.json {
		err = writeJSON(stdout, view)
	}
	view.summarize(stderr)
	if view.Refused > 0 && stopped == nil {
		stopped = fmt.Errorf("%s refused", counted(view.Refused, "account"))
	}
	return errors.Join(err, stopped)
}

// importOne takes over one account, or with --dry-run says what would happen.
func (a *administration) importOne(ctx context.Context, c *userCommand, e importEntry, r *importResult) error {
	account, err := a.directory.Bearer(ctx, e.new.Username)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		r.Result = importAdded
		if c.dryRun {
			return a.directory.Foresee(ctx, e.new)
		}
		if account, err = a.directory.Add(ctx, e.new); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := a.mayFinish(ctx, account, e, r); err != nil || r.Result == importPresent {
			r.ID = account.ID
			return err
		}
	}
	r.ID = account.ID
	if c.dryRun {
		return nil
	}
	if e.hash != "" {
		if err := a.passwords.Import(ctx, account.ID, e.hash); err != nil {
			return err
		}
		// It is the one that its owner had: there is nothing to be warned of by mail.
		if _, err := a.directory.Note(ctx, account.ID, auth.EventPasswordSet); err != nil {
			a.log.WarnContext(ctx, "a change could not be noted in an account's history", "account", account.ID, "event", auth.EventPasswordSet, "error", err)
			r.Why = "it could not be noted in the account's history"
		}
	}
	a.auditChange(ctx, "import", account.ID, account.Decision)
	return nil
}

// adminGroups are those of the groups that make administrators. Where the file
// comes from they may have meant something else.
func (a *administration) adminGroups(groups []string) (those []string) {
	for _, g := range groups {
		if slices.Contains(a.cfg.Admin.Groups, g) {
			those = append(those, g)
		}
	}
	return those
}

// mayFinish judges an account that has the name already. It is never changed,
// but for a password that an import which broke off did not come to give. Attack:
// a file that gives a password to an account which signs in through a provider.
func (a *administration) mayFinish(ctx context.Context, account provision.View, e importEntry, r *importResult) error {
	has, err := a.passwords.HasPassword(ctx, account.ID)
	if err != nil {
		return err
	}
	email, err := provision.NormalizeEmail(e.new.Email)
	if e.new.Email != "" && (err != nil || !strings.EqualFold(email, account.Email)) {
		return errors.New("there is an account of this username with another e-mail")
	}
	switch {
	case account.Status == provision.Deleting:
		return errors.New("there is an account of this username that is being deleted")
	case has || e.hash == "":
		r.Result = importPresent
		return nil
	case account.Source != auth.Local || len(account.Links) > 0 || !account.LastSignIn.IsZero():
		return errors.New("there is an account of this username that has no password and signs in otherwise")
	}
	r.Result = importFinished
	return nil
}

// judge refuses what no store is needed to see, and what stands in the file
// before.
func (e importEntry) judge(names, emails map[string]int) error {
	if e.problem != nil {
		return e.problem
	}
	for _, of := range []struct {
		what, value string
		seen        map[string]int
	}{{"username", e.new.Username, names}, {"e-mail", e.new.Email, emails}} {
		key := strings.ToLower(strings.TrimSpace(of.value))
		if key == "" {
			continue
		}
		if line, twice := of.seen[key]; twice {
			return fmt.Errorf("line %d has this %s already", line, of.what)
		}
		of.seen[key] = e.line
	}
	if e.hash == "" {
		return nil
	}
	return local.Importable(e.hash)
}

func (v *importView) count(r importResult) {
	v.Accounts = append(v.Accounts, r)
	switch r.Result {
	case importAdded, importFinished:
		v.Added++
		if len(r.AdminGroups) > 0 {
			v.administrators++
		}
	case importPresent:
		v.Present++
	default:
		v.Refused++
	}
}

func (r importResult) print(w io.Writer, dry bool) error {
	did := map[string]string{
		importAdded: "added", importFinished: "given its password, which an import that broke off had left out",
		importPresent: "there already, and not changed", importRefused: "refused",
	}[r.Result]
	if dry && (r.Result == importAdded || r.Result == importFinished) {
		did = "would be " + did
	}
	if r.Why != "" {
		did += ": " + r.Why
	}
	if len(r.AdminGroups) > 0 {
		did += "; AN ADMINISTRATOR, by admin.groups: " + strings.Join(r.AdminGroups, ", ")
	}
	_, err := fmt.Fprintf(w, "line %d: %s: %s\n", r.Line, printable(r.Username), printable(did))
	return err
}

func (v *importView) summarize(stderr io.Writer) {
	if v.DryRun {
		fmt.Fprint(stderr, "Nothing was changed. ")
	}
	fmt.Fprintf(stderr, "%d added, %d there already, %d refused.\n", v.Added, v.Present, v.Refused)
	if v.administrators > 0 {
		fmt.Fprintf(stderr, "Administrators by their groups (admin.groups): %d of those added. Take the group away with gatehouse user set NAME --groups where that is not meant.\n", v.administrators)
	}
}
