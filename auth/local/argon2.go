package local

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// Params are the costs of one argon2id run (RFC 9106, section 3.1).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultParams returns those of the OWASP Password Storage Cheat Sheet:
// 19 MiB, 2 passes, 1 lane.
func DefaultParams() Params { return Params{Memory: 19 * 1024, Time: 2, Threads: 1} }

// What a stored hash may ask for. Beyond it the record is broken or hostile,
// and running it would take the process down.
const (
	maxMemory  = 1 << 20 // KiB: 1 GiB
	maxTime    = 64
	maxThreads = 64

	saltSize = 16
	keySize  = 32
)

// Hasher runs argon2id, a bounded number of runs at a time: each takes the
// memory of its parameters, and strangers cause them. It is safe for
// concurrent use.
type Hasher struct {
	params Params
	slots  queue
	large  queue // of one: a foreign argon2 run, whose memory is not ours to choose
	runs   atomic.Int64
}

// NewHasher makes a hasher for new hashes with these parameters, which runs at
// most so many at once; 0 means as many as there are processors.
func NewHasher(params Params, parallel int) *Hasher {
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	return &Hasher{
		params: params,
		slots:  queue{places: make(chan struct{}, parallel)},
		large:  queue{places: make(chan struct{}, 1)},
	}
}

// acquireLarge waits for the turn of a foreign argon2 run, of which there is one
// at a time: as many as there are slots could take all memory. The slot comes
// after it. Attack: guess at many imported accounts at once; were the turn
// awaited with a slot in hand, nobody else could sign in until all were judged.
// Errors: those of queue.acquire.
func (h *Hasher) acquireLarge(ctx context.Context) error {
	if err := h.large.acquire(ctx); err != nil {
		return err
	}
	if err := h.slots.acquire(ctx); err != nil {
		h.large.release()
		return err
	}
	return nil
}

func (h *Hasher) releaseLarge() {
	h.slots.release()
	h.large.release()
}

// Hash returns the hash of a password as a PHC string. Errors: those of
// waiting for a slot.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.slots.acquire(ctx); err != nil {
		return "", err
	}
	defer h.slots.release()
	return h.hash(password), nil
}

// hash needs a slot.
func (h *Hasher) hash(password string) string {
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails (crypto/rand)
	p := phc{Params: h.params, salt: salt}
	p.key = h.run(p, password, keySize)
	return p.String()
}

// verify compares a password with a stored hash; it needs a slot. A hash that
// cannot be parsed, such as the empty one of an account that does not exist,
// matches nothing and takes as long as one with today's parameters. Stale says
// that the hash was made with other parameters than today's.
func (h *Hasher) verify(stored, password string) (ok, stale bool) {
	p, err := parsePHC(stored)
	if err != nil {
		h.idle(password)
		return false, false
	}
	key := h.run(p, password, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1, p.Params != h.params
}

// idle does the work of one comparison, and compares nothing.
func (h *Hasher) idle(password string) {
	dummy := phc{Params: h.params, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	subtle.ConstantTimeCompare(h.run(dummy, password, keySize), dummy.key)
}

func (h *Hasher) run(p phc, password string, size uint32) []byte {
	h.runs.Add(1)
	return argon2.IDKey([]byte(password), p.salt, p.Time, p.Memory, p.Threads, size)
}

// phc is a hash in the string format of the Password Hashing Competition:
// $argon2id$v=19$m=19456,t=2,p=1$salt$key, base64 without padding.
type phc struct {
	Params
	salt, key []byte
}

func (p phc) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		p.Memory, p.Time, p.Threads, enc.EncodeToString(p.salt), enc.EncodeToString(p.key))
}

var errPHC = errors.New("not an argon2id hash")

// parsePHC reads a hash; it accepts exactly what String writes, within bounds.
func parsePHC(s string) (phc, error) {
	var p phc
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return p, errPHC
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return p, errPHC
	}
	memory, err1 := cost(costs[0], "m=", maxMemory)
	passes, err2 := cost(costs[1], "t=", maxTime)
	threads, err3 := cost(costs[2], "p=", maxThreads)
	p.Params = Params{Memory: memory, Time: passes, Threads: uint8(threads)}
	enc := base64.RawStdEncoding.Strict()
	var err4, err5 error
	p.salt, err4 = enc.DecodeString(parts[4])
	p.key, err5 = enc.DecodeString(parts[5])
	if errors.Join(err1, err2, err3, err4, err5) != nil {
		return phc{}, errPHC
	}
	// An empty key would match every password.
	if len(p.salt) < 8 || len(p.salt) > 64 || len(p.key) < 16 || len(p.key) > 64 {
		return phc{}, errPHC
	}
	if p.String() != s {
		return phc{}, errPHC
	}
	return p, nil
}

func cost(s, name string, most uint32) (uint32, error) {
	digits, found := strings.CutPrefix(s, name)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !found || err != nil || n < 1 || uint32(n) > most {
		return 0, errPHC
	}
	return uint32(n), nil
}
