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

// limiter allows each of many callers so much in a while.
type limiter struct {
	limit   rate.Limit
	burst   int
	callers *recent[string, *rate.Limiter]
}

func newLimiter(limit rate.Limit, burst int) *limiter {
	return &limiter{limit, burst, newRecent[string, *rate.Limiter](8192)}
}

func (l *limiter) allow(caller string, now time.Time) bool {
	c, ok := l.callers.get(caller)
	if !ok {
		c = l.callers.add(caller, rate.NewLimiter(l.limit, l.burst))
	}
	return c.AllowN(now, 1)
}

// network returns the network that counts as one caller: the address, or the
// /64 of an IPv6 address, which a single customer has. What is no address,
// with or without a port, is returned as it is.
func network(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		ap, err := netip.ParseAddrPort(remote)
		if err != nil {
			return remote
		}
		addr = ap.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return remote
	}
	return prefix.String()
}
