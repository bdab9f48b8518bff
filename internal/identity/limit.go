package identity

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// recent is a bounded map that forgets what was not used for long. It holds
// two generations: when the young one is full it becomes the old one.
type recent[K comparable, V any] struct {
	mu         sync.Mutex
	max        int
	young, old map[K]V
}

// newRecent returns a map of at most 2*max entries.
func newRecent[K comparable, V any](max int) *recent[K, V] {
	return &recent[K, V]{max: max, young: make(map[K]V)}
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok = r.young[k]; ok {
		return v, true
	}
	if v, ok = r.old[k]; ok {
		r.put(k, v)
	}
	return v, ok
}

// add puts v in the map unless there is a value for k, and returns the one
// that is there then.
func (r *recent[K, V]) add(k K, v V) V {
	if was, ok := r.get(k); ok {
		return was
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, ok := r.young[k]; ok {
		return was
	}
	r.put(k, v)
	return v
}

func (r *recent[K, V]) put(k K, v V) {
	if len(r.young) >= r.max {
		r.old, r.young = r.young, make(map[K]V, r.max)
	}
	r.young[k] = v
}

// Limiter allows each of many callers so much in a while. What it remembers is
// bounded: it forgets the callers that were quiet for longest. It is safe for
// concurrent use.
type Limiter struct {
	limit   rate.Limit
	burst   int
	callers *recent[string, *rate.Limiter]
}

// NewLimiter returns a limiter that allows each caller limit calls per second,
// and burst at once.
func NewLimiter(limit rate.Limit, burst int) *Limiter {
	return &Limiter{limit, burst, newRecent[string, *rate.Limiter](limiterMax)}
}

// limiterMax is how many callers a limiter remembers in each generation.
const limiterMax = 8192

// Allow reports whether there may be one more call now from a network address,
// with or without a port. The addresses of an IPv6 /64, which a single customer
// has, are one caller, and so is all that is no address.
func (l *Limiter) Allow(remote string, now time.Time) bool {
	return l.allow(network(remote), now)
}

func (l *Limiter) allow(caller string, now time.Time) bool {
	c, ok := l.callers.get(caller)
	if !ok {
		c = l.callers.add(caller, rate.NewLimiter(l.limit, l.burst))
	}
	return c.AllowN(now, 1)
}

// network returns what counts as one caller, "" for all that is no address.
func network(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		port, err := netip.ParseAddrPort(remote)
		if err != nil {
			return ""
		}
		addr = port.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, _ := addr.Prefix(64) // it has that many bits
	return prefix.String()
}
