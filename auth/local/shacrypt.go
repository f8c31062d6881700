package local

import (
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"
)

// What SHA-crypt may be asked for. Each round hashes the password, so the time
// grows with its length as well.
const (
	shaCryptMinRounds     = 1000
	shaCryptMaxRounds     = 700_000 // passlib makes 656,000 by default
	shaCryptDefaultRounds = 5000
	shaCryptMaxSalt       = 16
	shaCryptMaxPassword   = 128
)

// cryptDigits are the digits of crypt(3), the least first.
const cryptDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// shaCrypt is a hash of glibc's crypt(3), $5$ or $6$ (Ulrich Drepper, "Unix
// crypt using SHA-256 and SHA-512", version 0.6).
type shaCrypt struct {
	long   bool // SHA-512
	rounds int
	salt   string
	digest string // in cryptDigits
}

// parseSHACrypt reads $5$[rounds=N$]salt$digest. Errors: as parseForeign.
func parseSHACrypt(s string) (foreignHash, error) {
	parts := strings.Split(s, "$")
	c := shaCrypt{long: parts[1] == "6", rounds: shaCryptDefaultRounds}
	rest := parts[2:]
	if len(rest) == 3 {
		digits, found := strings.CutPrefix(rest[0], "rounds=")
		if !found {
			return nil, errForeign
		}
		var err error
		if c.rounds, err = within("rounds", digits, shaCryptMinRounds, shaCryptMaxRounds); err != nil {
			return nil, err
		}
		rest = rest[1:]
	}
	if len(rest) != 2 || len(rest[0]) > shaCryptMaxSalt {
		return nil, errForeign
	}
	c.salt, c.digest = rest[0], rest[1]
	size := 43
	if c.long {
		size = 86
	}
	if len(c.digest) != size || strings.Trim(c.digest, cryptDigits) != "" {
		return nil, errForeign
	}
	return c, nil
}

func (c shaCrypt) algorithm() string {
	if c.long {
		return "SHA-512-crypt"
	}
	return "SHA-256-crypt"
}

func (c shaCrypt) matches(password string) bool {
	if len(password) > shaCryptMaxPassword {
		return false
	}
	return sameBytes([]byte(c.run(password)), []byte(c.digest))
}

// run follows the steps of the specification, by its numbers.
func (c shaCrypt) run(password string) string {
	sum := func(write func(h hash.Hash)) []byte {
		h := sha256.New()
		if c.long {
			h = sha512.New()
		}
		write(h)
		return h.Sum(nil)
	}
	p, s := []byte(password), []byte(c.salt)
	b := sum(func(h hash.Hash) { h.Write(p); h.Write(s); h.Write(p) }) // 4-8
	a := sum(func(h hash.Hash) {                                       // 1-3, 9-12
		h.Write(p)
		h.Write(s)
		h.Write(stretch(b, len(p)))
		for n := len(p); n > 0; n >>= 1 {
			if n&1 == 1 {
				h.Write(b)
			} else {
				h.Write(p)
			}
		}
	})
	dp := sum(func(h hash.Hash) { // 13-15
		for range p {
			h.Write(p)
		}
	})
	ps := stretch(dp, len(p))     // 16
	ds := sum(func(h hash.Hash) { // 17-19
		for range 16 + int(a[0]) {
			h.Write(s)
		}
	})
	ss := stretch(ds, len(s)) // 20
	for i := range c.rounds { // 21
		a = sum(func(h hash.Hash) {
			first, last := a, ps
			if i%2 == 1 {
				first, last = ps, a
			}
			h.Write(first)
			if i%3 != 0 {
				h.Write(ss)
			}
			if i%7 != 0 {
				h.Write(ps)
			}
			h.Write(last)
		})
	}
	return cryptText(a)
}

// stretch repeats bytes up to a length.
func stretch(b []byte, size int) []byte {
	out := make([]byte, 0, size+len(b))
	for len(out) < size {
		out = append(out, b...)
	}
	return out[:size]
}

// cryptText writes a digest in the specification's order of bytes (22): groups of
// three from the thirds of the digest, the thirds taking turns at being first,
// and what is left over.
func cryptText(d []byte) string {
	var out []byte
	digits := func(v uint, n int) {
		for range n {
			out = append(out, cryptDigits[v&0x3f])
			v >>= 6
		}
	}
	third := len(d) / 3
	turn := 1 // SHA-512 has 0,21,42 then 22,43,1; SHA-256 has 0,10,20 then 21,1,11
	if len(d) == sha256.Size {
		turn = 2
	}
	for i := range third {
		at := func(n int) uint { return uint(d[i+(n+turn*i)%3*third]) }
		digits(at(0)<<16|at(1)<<8|at(2), 4)
	}
	if len(d) == sha256.Size {
		digits(uint(d[31])<<8|uint(d[30]), 3)
	} else {
		digits(uint(d[63]), 2)
	}
	return string(out)
}
