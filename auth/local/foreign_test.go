package local

import (
	"strings"
	"testing"
)

// known are answers from the specifications, and of other implementations where
// those have none.
func known() []struct{ name, algorithm, password, hash string } {
	return []struct{ name, algorithm, password, hash string }{
		// Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", its test vectors.
		{"SHA-crypt 1", "SHA-256-crypt", "Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"SHA-crypt 2", "SHA-256-crypt", "Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		{"SHA-crypt 3", "SHA-256-crypt", "This is just a test", "$5$rounds=5000$toolongsaltstrin$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5"},
		{"SHA-crypt 4", "SHA-256-crypt", "a very much longer text to encrypt.  This one even stretches over morethan one line.", "$5$rounds=1400$anotherlongsalts$Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1"},
		{"SHA-crypt 5", "SHA-256-crypt", "we have a short salt string but not a short password", "$5$rounds=77777$short$JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/"},
		{"SHA-crypt 6", "SHA-256-crypt", "a short string", "$5$rounds=123456$asaltof16chars..$gP3VQ/6X7UUEW3HkBn2w1/Ptq2jxPyzV/cZKmF/wJvD"},
		{"SHA-crypt 7", "SHA-512-crypt", "Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{"SHA-crypt 8", "SHA-512-crypt", "Hello world!", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."},
		{"SHA-crypt 9", "SHA-512-crypt", "This is just a test", "$6$rounds=5000$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0"},
		{"SHA-crypt 10", "SHA-512-crypt", "a very much longer text to encrypt.  This one even stretches over morethan one line.", "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1"},
		{"SHA-crypt 11", "SHA-512-crypt", "we have a short salt string but not a short password", "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0"},
		{"SHA-crypt 12", "SHA-512-crypt", "a short string", "$6$rounds=123456$asaltof16chars..$BtCwjqMJGx5hrJhZywWvt0RLE8uZ4oPwcelCjmw2kSYu.Ec6ycULevoBK25fs2xXgMNrCzIMVcgEJAstJeonj1"},
		// crypt_blowfish, wrapper.c; the last two of libxcrypt.
		{"bcrypt 1", "bcrypt", "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"bcrypt 2", "bcrypt", "U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"},
		{"bcrypt 3", "bcrypt", "U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"},
		{"bcrypt 4", "bcrypt", "", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"},
		{"bcrypt 5", "bcrypt", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored", "$2y$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"},
		{"bcrypt 6", "bcrypt", "old password of ada", "$2y$05$abcdefghijklmnopqrstuuHiIrmVNdfSvNInuaIGe0rsM22rQZ0Xq"},
		// RFC 6070; RFC 7914, section 11, of which the key has two blocks; the others of
		// Python's hashlib.
		{"PBKDF2", "PBKDF2", "password", "$pbkdf2$4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE"},
		{"PBKDF2 sha1", "PBKDF2", "password", "$pbkdf2-sha1$4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE"},
		{"PBKDF2 sha224", "PBKDF2", "password", "$pbkdf2-sha224$4096$c2FsdA$IYxFO/kGNb0KIaddFycD/2EI72A/ZbuCGu2t4Q"},
		{"PBKDF2 sha256", "PBKDF2", "password", "$pbkdf2-sha256$4096$c2FsdA$xeR41ZKIyEGqUw22hFxMjZYok6ABzk4RpJY4c6qYE0o"},
		{"PBKDF2 sha384", "PBKDF2", "password", "$pbkdf2-sha384$4096$c2FsdA$VZcmvjjbElvIXteJX2489XTHoBwIDDRH2x6KdnZN6zwwe5SFP75CT2SIxfTxKJYm"},
		{"PBKDF2 sha512", "PBKDF2", "password", "$pbkdf2-sha512$4096$c2FsdA$0Zexsz2wFD4BixLz0dFHnmzevcyXxcD4f2kC4HL0V7UUPzBgJkGz1VzTNZiMs2uEN2Bg7NUy4Dm3QqI5Q0ry1Q"},
		{"PBKDF2, two blocks", "PBKDF2", "Password", "$pbkdf2-sha256$80000$TmFDbA$TdzY9guYviGDDO5e8icB.WQaRBjQTAQUrv8Ih2s0q1ah1CWhIlgzVJrbhBtRybMXaicr3ruh0HhHj2Kzl/M8jQ"},
		// The reference implementation of argon2, test.c and README.
		{"argon2i", "argon2i", "password", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"},
		{"argon2i, four lanes and a short key", "argon2i", "password", "$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG"},
		{"argon2id", "argon2id", "password", reference},
	}
}

func TestForeignHashes(t *testing.T) {
	for _, tt := range known() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := parseForeign(tt.hash)
			if err != nil {
				t.Fatal(err)
			}
			if f.algorithm() != tt.algorithm {
				t.Errorf("it is %s", f.algorithm())
			}
			if !f.matches(tt.password) {
				t.Error("the right password does not match")
			}
			for _, wrong := range []string{"x" + tt.password, strings.Repeat("x", maxPassword)} {
				if f.matches(wrong) {
					t.Errorf("%.80q matches", wrong)
				}
			}
		})
	}
}

func TestParseForeignRefuses(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	crypt43, crypt86 := strings.Repeat("a", 43), strings.Repeat("a", 86)
	tests := []struct{ name, in, want string }{
		{"nothing", "", "there is no password hash"},
		{"SHA-1", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"},
		{"apr1", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "apr1"},
		{"MD5-crypt", "$1$ab$e2KlfqG5YBMTjSz7XF.Eu1", "MD5-crypt"},
		{"DES", "abiQ6Ep3EYTHc", "DES"},
		{"plain text", "hunter2 hunter2", "plain text"},
		{"plain text with dollars", "$ecret$ing", "plain text"},
		{"plain text of Authelia", "$plaintext$secret", "plain text"},
		{"scrypt", "$scrypt$ln=16,r=8,p=1$c2FsdA$" + key, "scrypt"},
		{"yescrypt", "$y$j9T$abc$def", "yescrypt"},
		{"argon2d", "$argon2d$v=19$m=64,t=1,p=1$" + salt + "$" + key, "argon2d"},
		{"old bcrypt", "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "known mistakes"},
		{"endless", "$6$" + strings.Repeat("a", maxForeign), "too long"},

		// Attack: hashes that take the process down whenever somebody types the name.
		{"bcrypt for hours", "$2y$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "cost 31; from 4 to 14 are taken"},
		{"bcrypt for nothing", "$2y$00$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "cost 0; from"},
		{"SHA-crypt for minutes", "$6$rounds=999999999$salt$" + crypt86, "rounds 999999999; from 1000 to 700000 are taken"},
		{"SHA-crypt, rounds that the specification raises", "$6$rounds=10$salt$" + crypt86, "rounds 10; from"},
		{"PBKDF2 for hours", "$pbkdf2-sha512$4000000000$" + salt + "$" + key, "iterations 4000000000; from"},
		{"PBKDF2, many blocks", "$pbkdf2$2000000$" + salt + "$" + strings.Repeat("A", 160), "to 333333 are taken"},
		{"argon2 with the machine's memory", "$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + key, "memory (KiB) 4194304; from"},
		{"argon2, both", "$argon2id$v=19$m=131072,t=64,p=1$" + salt + "$" + key, "64 passes over 131072 KiB"},
		{"argon2 lanes", "$argon2id$v=19$m=64,t=1,p=255$" + salt + "$" + key, "lanes 255; from"},
		{"argon2 without work", "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + key, "passes 0; from"},

		{"bcrypt, cut", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe", "damaged"},
		{"bcrypt, other digits", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyO=W", "damaged"},
		{"bcrypt, one digit of cost", "$2y$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWx", "damaged"},
		{"SHA-crypt without digest", "$5$salt$", "damaged"},
		{"SHA-crypt, other length", "$6$salt$" + crypt43, "damaged"},
		{"SHA-crypt, long salt", "$5$saltsaltsaltsalts$" + crypt43, "damaged"},
		{"SHA-crypt, rounds with zeros", "$5$rounds=05000$salt$" + crypt43, "damaged"},
		{"SHA-crypt, no rounds", "$5$salt$salt$" + crypt43, "damaged"},
		// Attack: an empty key equals the empty output for any password.
		{"PBKDF2, empty key", "$pbkdf2$4096$" + salt + "$", "damaged"},
		{"PBKDF2, short key", "$pbkdf2$4096$" + salt + "$CTFhFdXP", "damaged"},
		{"PBKDF2, no salt", "$pbkdf2$4096$$" + key, "damaged"},
		{"PBKDF2, padding", "$pbkdf2$4096$" + salt + "=$" + key + "=", "damaged"},
		{"PBKDF2, sign", "$pbkdf2$+4096$" + salt + "$" + key, "damaged"},
		{"PBKDF2, line break", "$pbkdf2$4096$" + salt + "\n$" + key, "damaged"},
		{"argon2, empty key", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$", "damaged"},
		{"argon2, old version", "$argon2id$m=64,t=1,p=1$" + salt + "$" + key, "damaged"},
		{"argon2, order", "$argon2id$v=19$t=1,m=64,p=1$" + salt + "$" + key, "damaged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Importable(tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			// Attack: read others' hashes, or a password in the wrong column, in a log.
			if len(tt.in) > 8 && strings.Contains(err.Error(), tt.in[8:]) {
				t.Errorf("the error tells the hash: %v", err)
			}
		})
	}
}

func FuzzParseForeign(f *testing.F) {
	for _, tt := range known() {
		f.Add(tt.hash)
	}
	f.Add("$5$$")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseForeign(s)
		if err != nil {
			return
		}
		bounded := true
		switch h := h.(type) {
		case argonHash:
			bounded = int(h.Memory)*int(h.Time) <= argonMaxWork && h.Memory <= argonMaxMemory && h.Time > 0 && h.Threads > 0 && len(h.key) >= foreignMinKey
		case pbkdf2Hash:
			bounded = h.iterations*len(h.key) <= pbkdf2MaxWork*h.digest().Size() && len(h.key) >= foreignMinKey
		case shaCrypt:
			bounded = h.rounds <= shaCryptMaxRounds && len(h.digest) >= 43
		case bcryptHash:
			bounded = s[4:6] <= "14" && s[4:6] >= "04"
		}
		if !bounded {
			t.Errorf("%q is out of bounds", s)
		}
	})
}
