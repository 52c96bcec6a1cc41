package uaa

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// maxHashed is where bcrypt stops reading. UAA 4.30 cuts longer secrets off
	// silently, so that any other tail logs in as well.
	maxHashed = 72
	// rememberMatch is how long UAA's caching encoder believes in a match.
	rememberMatch = 300 * time.Second
)

// hasher makes and compares hashes and counts both. It holds no lock while it
// hashes, so requests do it side by side.
type hasher struct {
	cost  int
	cheap bool
	now   func() time.Time
	count atomic.Int64

	mu      sync.Mutex
	matches map[[sha256.Size]byte]time.Time // secret and hash, until when they are known to match
}

func newHasher(cost int, cheap bool, now func() time.Time) *hasher {
	return &hasher{cost: cost, cheap: cheap, now: now, matches: map[[sha256.Size]byte]time.Time{}}
}

func cutOff(secret string) []byte {
	if len(secret) > maxHashed {
		secret = secret[:maxHashed]
	}
	return []byte(secret)
}

func (h *hasher) hash(secret string) (string, error) {
	h.count.Add(1)
	return h.uncounted(secret)
}

func (h *hasher) uncounted(secret string) (string, error) {
	if h.cheap {
		return cheapHash(secret, rand.Text()), nil
	}
	hash, err := bcrypt.GenerateFromPassword(cutOff(secret), h.cost)
	if err != nil {
		return "", fmt.Errorf("hashing a client's secret: %w", err)
	}
	return string(hash), nil
}

const cheapPrefix = "$sha256$"

func cheapHash(secret, salt string) string {
	sum := sha256.Sum256(append([]byte(salt), cutOff(secret)...))
	return cheapPrefix + salt + "$" + hex.EncodeToString(sum[:])
}

// matchesAny tries the hashes in their order, the older first, as UAA does: the
// newer of two secrets costs a comparison more, and costs it every time, since a
// mismatch is not remembered.
func (h *hasher) matchesAny(secret string, hashes []string) bool {
	for _, hash := range hashes {
		if h.match(secret, hash) {
			return true
		}
	}
	return false
}

func (h *hasher) match(secret, hash string) bool {
	key := sha256.Sum256([]byte(hash + " " + secret))
	if h.remembered(key) {
		return true
	}
	h.count.Add(1)
	if !sameSecret(hash, secret) {
		return false
	}
	h.remember(key)
	return true
}

func sameSecret(hash, secret string) bool {
	if rest, cheap := strings.CutPrefix(hash, cheapPrefix); cheap {
		salt, _, _ := strings.Cut(rest, "$")
		return hash == cheapHash(secret, salt)
	}
	return bcrypt.CompareHashAndPassword([]byte(hash), cutOff(secret)) == nil
}

func (h *hasher) remembered(key [sha256.Size]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()

	until, found := h.matches[key]
	return found && h.now().Before(until)
}

func (h *hasher) remember(key [sha256.Size]byte) {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()

	if len(h.matches) >= 10_000 { // as long runs make thousands of clients
		for other, until := range h.matches {
			if !now.Before(until) {
				delete(h.matches, other)
			}
		}
	}
	h.matches[key] = now.Add(rememberMatch)
}
