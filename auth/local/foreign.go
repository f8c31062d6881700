package local

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// foreignHash is a hash that another program made, of a password's bytes as they
// were typed.
type foreignHash interface {
	algorithm() string // for people
	// matches takes as long for a wrong password as for the right one.
	matches(password string) bool
}

// maxForeign is the greatest length of a foreign hash, in bytes.
const maxForeign = 512

// What foreign hashes may ask for: somewhat more than other programs' defaults,
// and a second or two of one processor. Attack: a line of an imported file that
// takes the process down whenever somebody types that name.
const (
	bcryptMinCost = 4
	bcryptMaxCost = 14

	argonMaxMemory = 128 << 10 // KiB: 128 MiB
	argonMaxWork   = 1 << 20   // KiB times passes
	argonMaxLanes  = 16
)

// errForeign is about a hash that looks like one that is known, and is none.
var errForeign = errors.New("the password hash is damaged: it has not the form that its beginning promises")

// parseForeign reads a hash that another program made. Errors never hold any of
// it, and are for people: it is damaged, of a kind that is not taken, or asks
// for too much.
func parseForeign(s string) (foreignHash, error) {
	if len(s) > maxForeign {
		return nil, errors.New("the password hash is too long to be one")
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(s, "$"), "$")
	if !strings.HasPrefix(s, "$") || strings.Count(s, "$") < 2 {
		kind = ""
	}
	switch kind {
	case "2a", "2b", "2y":
		return parseBcrypt(s)
	case "5", "6":
		return parseSHACrypt(s)
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha224", "pbkdf2-sha256", "pbkdf2-sha384", "pbkdf2-sha512":
		return parsePBKDF2(s)
	case "argon2id", "argon2i":
		return parseArgon(s)
	}
	return nil, refusal(s, kind)
}

// refusal says why a hash is not taken, and what it is as far as that can be
// told.
func refusal(s, kind string) error {
	why := map[string]string{
		"apr1": "Apache's MD5 (apr1) is guessed too fast", "1": "MD5-crypt is guessed too fast", "md5": "MD5 is guessed too fast",
		"2": "this form of bcrypt is that of programs with known mistakes", "2x": "this form of bcrypt is that of programs with known mistakes",
		"argon2d": "argon2d is not for passwords", "scrypt": "scrypt is not known here", "7": "scrypt is not known here",
		"y": "yescrypt is not known here", "gy": "gost-yescrypt is not known here",
		"plaintext": "a password in plain text is not taken", "base64": "a password in plain text is not taken",
	}[kind]
	switch {
	case why != "":
	case s == "":
		why = "there is no password hash"
	case strings.HasPrefix(s, "{SHA}") || strings.HasPrefix(s, "{SSHA}"):
		why = "a single run of SHA-1 ({SHA}) is guessed too fast"
	case len(s) == 13 && strings.Trim(s, cryptDigits) == "":
		why = "DES of crypt(3) is guessed too fast, and a password in plain text is not taken"
	default:
		why = "it is no password hash of a kind that is known here, and a password in plain text is not taken"
	}
	return errors.New(why)
}

// within reads a number of a hash, written without zeros in front.
func within(what, digits string, least, most int) (int, error) {
	n, err := strconv.Atoi(digits)
	if err != nil || strconv.Itoa(n) != digits || n < 0 {
		return 0, errForeign
	}
	if n < least || n > most {
		return 0, fmt.Errorf("the password hash asks for %s %d; from %d to %d are taken", what, n, least, most)
	}
	return n, nil
}

// bcryptHash is a hash of OpenBSD's bcrypt, which looks at no more than the first
// 72 bytes of a password.
type bcryptHash string

func parseBcrypt(s string) (foreignHash, error) {
	parts := strings.Split(s, "$")
	if len(s) != 60 || len(parts) != 4 || len(parts[2]) != 2 || strings.Trim(parts[3], cryptDigits) != "" {
		return nil, errForeign
	}
	if _, err := within("cost", strings.TrimPrefix(parts[2], "0"), bcryptMinCost, bcryptMaxCost); err != nil {
		return nil, err
	}
	return bcryptHash(s), nil
}

func (bcryptHash) algorithm() string { return "bcrypt" }

func (b bcryptHash) matches(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(b), []byte(password)) == nil
}

// argonHash is a hash of argon2 with what Gatehouse itself would not choose.
type argonHash struct {
	phc
	independent bool // argon2i
}

// parseArgon reads what other programs write of argon2: other lengths of salt
// and key than ours.
func parseArgon(s string) (foreignHash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, errForeign
	}
	a := argonHash{independent: parts[1] == "argon2i"}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return nil, errForeign
	}
	var n [3]int
	for i, c := range []struct {
		prefix, what string
		most         int
	}{{"m=", "memory (KiB)", argonMaxMemory}, {"t=", "passes", maxTime}, {"p=", "lanes", argonMaxLanes}} {
		digits, found := strings.CutPrefix(costs[i], c.prefix)
		if !found {
			return nil, errForeign
		}
		var err error
		if n[i], err = within(c.what, digits, 1, c.most); err != nil {
			return nil, err
		}
	}
	if n[0]*n[1] > argonMaxWork {
		return nil, fmt.Errorf("the password hash asks for %d passes over %d KiB; together at most %d KiB are taken", n[1], n[0], argonMaxWork)
	}
	a.Params = Params{Memory: uint32(n[0]), Time: uint32(n[1]), Threads: uint8(n[2])}
	var err error
	if a.salt, a.key, err = saltAndKey(parts[4], parts[5]); err != nil {
		return nil, err
	}
	return a, nil
}

func (a argonHash) algorithm() string {
	if a.independent {
		return "argon2i"
	}
	return "argon2id"
}

func (a argonHash) matches(password string) bool {
	run := argon2.IDKey
	if a.independent {
		run = argon2.Key
	}
	return sameBytes(run([]byte(password), a.salt, a.Time, a.Memory, a.Threads, uint32(len(a.key))), a.key)
}
