package oauth2proxy

import (
	"regexp"
	"slices"
	"strings"
)

// local writes the people of the htpasswd file.
func (t *translation) local() {
	n := t.root.in("local")
	file, shown := t.text("htpasswd_file")
	if file == "" {
		n.set("enabled", "false", "")
		return
	}
	groups, groupsShown := t.list("htpasswd_user_groups")
	if allowed, allowedShown := t.set("allowed_groups"); allowedShown {
		wanted := t.settings.set["allowed_groups"].values
		if !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(wanted, g) }) {
			n.note("%s: none of these people is in a group of %s, so that none of them could come in", shown, allowed)
			n.set("enabled", "false", shown)
			return
		}
	}
	n.note("The people of %s: gatehouse user import --htpasswd %s. Their passwords stay as they are where the lines are bcrypt; {SHA} is refused, and those people get a set-up link (gatehouse user add NAME --setup-link). They type them into the form; Authorization: Basic is no way in.", shown, shellWord(file))
	if len(groups) > 0 {
		n.note("%s: give them to each: gatehouse user set NAME --groups %s", groupsShown, shellWord(strings.Join(groups, ",")))
	}
	if form, formShown := t.truth("display_htpasswd_form"); !form {
		n.note("%s: the form is shown all the same", formShown)
	}
	n.set("enabled", "true", shown)
	mfa := t.root.in("mfa")
	mfa.note("oauth2-proxy asks nobody for a second factor. Here who signs in with a password sets one up at the next sign-in; off is as before.")
	mfa.set("enforce", "local", "")
}

// shellWord quotes a word for a shell where it has to be.
func shellWord(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./,@:+-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
