package oidc

import (
	"errors"
	"fmt"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/claim"
	"gatehouse/internal/config"
)

// Bounds on what the mapped claims may hold. They are far above what fits
// into headers (what does not fit there is left out later, and logged); they
// keep one answer from filling the store.
const (
	maxValues = 10_000    // values of one claim
	maxValue  = 64 << 10  // bytes of one value
	maxMapped = 256 << 10 // bytes of all values
)

// MapClaims maps the claims of a validated answer to an identity, as the
// connection's attributes say and no further: the usual mappings are filled in
// by internal/config, which also leaves out those that are switched off. It is
// pure.
//
// Paths: of several, the first that the answer has counts, and no other is
// looked at; one that was sent blank is one that it has, a null one is not. An
// attribute with a constant has that, whatever the answer says.
//
// Values: a string is itself; a number is its text, exactly as sent if the
// claims were decoded by DecodeClaims; a boolean is "true" or "false"; a
// list of those is many values. Null is the same as absent, in a list too. A
// blank string, or an empty list, was sent blank: the attribute is there and
// has no values, and a blank entry of a list is left out. An object or a list
// in a list is no value, and refuses the answer: an attribute that was read
// by half could grant what the whole would deny. So does a boolean for a
// username, an e-mail or a group, and a number for an e-mail: it names nobody
// and nothing. Username and e-mail take one value; a list of several refuses
// the answer, "the first" being nobody's choice. For them blank is the same as
// absent.
//
// EmailVerified holds when email_verified is the boolean true or the string
// "true", stands beside the very claim that the e-mail came from, and speaks
// of that address: where a claim named email stands there too, it must be the
// same. A constant e-mail is never verified: it is everybody's.
//
// Claims that the provider keeps elsewhere count as absent; they are never
// fetched. Where those are the groups, Withheld says so.
//
// Errors: auth.ErrInvalidAnswer, saying which claim and why.
func MapClaims(conn config.Connection, issuer string, claims map[string]any) (auth.Identity, error) {
	id := auth.Identity{Connection: conn.ID, Issuer: issuer, Claims: claims}
	var err error
	if id.Subject, err = subject(claims); err != nil {
		return auth.Identity{}, fmt.Errorf("map claims: %w: %w", auth.ErrInvalidAnswer, err)
	}
	size, emailPath := 0, ""
	for _, a := range conn.Attributes {
		path, raw, sent := firstOf(a.From, claims)
		if len(a.Constant) > 0 {
			path, raw, sent = "a constant", constant(a.Constant), true
		} else if a.Name == config.AttrEmail {
			emailPath = path
		}
		if !sent {
			continue
		}
		list, err := values(raw)
		for _, v := range list {
			size += len(v)
		}
		if err == nil && size > maxMapped {
			err = fmt.Errorf("with the claims before it, more than %d bytes", maxMapped)
		}
		if err == nil {
			err = set(&id, a.Name, list, raw)
		}
		if err != nil {
			return auth.Identity{}, fmt.Errorf("map claims: %w: %q for %q: %w", auth.ErrInvalidAnswer, path, a.Name, err)
		}
	}
	id.EmailVerified = id.Email != "" && emailPath != "" && verified(claims, emailPath, id.Email)
	if id.Withheld = withheld(conn, claims); id.Withheld {
		id.Groups = nil
	}
	id.AMR = methods(claims["amr"])
	id.ACR, _ = claims["acr"].(string)
	id.AuthTime, _ = numericDate(claims["auth_time"])
	return id, nil
}

// constant is values of the file as if they had been sent.
func constant(values []string) any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}

func set(id *auth.Identity, name string, list []string, raw any) error {
	switch name {
	case config.AttrUsername, config.AttrEmail:
		if len(list) > 1 {
			return errors.New("several values where one is meant")
		}
		value := strings.Join(list, "")
		if name == config.AttrUsername {
			id.Username = value
			return names(raw)
		}
		id.Email = value
		return texts(raw)
	case config.AttrGroups:
		id.Groups = unique(list)
		return names(raw)
	default:
		if id.Attributes == nil {
			id.Attributes = map[string][]string{}
		}
		id.Attributes[name] = list
	}
	return nil
}

// names refuses booleans: there would be a group "true", and one person with
// that name. Numbers are names, such as that of an employee.
func names(raw any) error {
	return each(raw, func(v any) error {
		if _, is := v.(bool); is {
			return errors.New("a boolean where a name is meant")
		}
		return nil
	})
}

// texts refuses what is not a string.
func texts(raw any) error {
	return each(raw, func(v any) error {
		if _, is := v.(string); !is && v != nil {
			return errors.New("not a string")
		}
		return nil
	})
}

func each(raw any, f func(any) error) error {
	list, isList := raw.([]any)
	if !isList {
		return f(raw)
	}
	for _, v := range list {
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

// values turns a claim that was sent into its values, never nil.
func values(raw any) ([]string, error) {
	list, ok := raw.([]any)
	if !ok {
		list = []any{raw}
	}
	if len(list) > maxValues {
		return nil, fmt.Errorf("more than %d values", maxValues)
	}
	texts := make([]string, 0, len(list))
	for _, v := range list {
		if v == nil {
			continue
		}
		text, err := scalar(v)
		if err != nil {
			return nil, err
		}
		if len(text) > maxValue {
			return nil, fmt.Errorf("a value of more than %d bytes", maxValue)
		}
		if strings.TrimSpace(text) != "" {
			texts = append(texts, text)
		}
	}
	return texts, nil
}

func scalar(v any) (string, error) {
	text, ok := claim.Text(v)
	if !ok {
		return "", errors.New("an object or a list where a value is meant; name a claim inside it")
	}
	return text, nil
}

// unique keeps the first of equal values, and is never nil.
func unique(list []string) []string {
	seen := make(map[string]bool, len(list))
	kept := make([]string, 0, len(list))
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			kept = append(kept, v)
		}
	}
	return kept
}

// verified reports whether the object that holds the e-mail's claim says that
// this address is verified.
func verified(claims map[string]any, path, email string) bool {
	at, ok := claim.Locate(claims, path)
	if !ok {
		return false
	}
	beside := at.Object
	if standard, sent := beside["email"]; sent && standard != any(email) {
		// email_verified speaks of email (OpenID Connect Core 1.0, section
		// 5.1), and this is another address.
		if list, isList := standard.([]any); !isList || len(list) != 1 || list[0] != any(email) {
			return false
		}
	}
	return beside["email_verified"] == any(true) || beside["email_verified"] == any("true")
}

// methods reads amr: a list of strings; some providers send one string.
func methods(raw any) []string {
	if one, ok := raw.(string); ok && one != "" {
		return []string{one}
	}
	list, _ := raw.([]any)
	var amr []string
	for _, v := range list {
		if method, ok := v.(string); ok && method != "" && len(amr) < 32 {
			amr = append(amr, method)
		}
	}
	return amr
}
