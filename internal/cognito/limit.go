package cognito

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// addressesMax is how many addresses are remembered in each of two halves.
const addressesMax = 8192

// limiter allows each address so much in a while. It forgets the addresses
// that have not called for long: when the young half is full it becomes the
// old one.
type limiter struct {
	limit rate.Limit
	burst int

	mu         sync.Mutex
	young, old map[netip.Prefix]*rate.Limiter
}

func newLimiter(limit rate.Limit, burst int) *limiter {
	return &limiter{limit: limit, burst: burst, young: make(map[netip.Prefix]*rate.Limiter)}
}

func (l *limiter) allow(remote string, now time.Time) bool {
	from := network(remote)
	l.mu.Lock()
	one := l.young[from]
	if one == nil {
		if one = l.old[from]; one == nil {
			one = rate.NewLimiter(l.limit, l.burst)
		}
		if len(l.young) >= addressesMax {
			l.old, l.young = l.young, make(map[netip.Prefix]*rate.Limiter)
		}
		l.young[from] = one
	}
	l.mu.Unlock()
	return one.AllowN(now, 1)
}

// network returns what counts as one address: an IPv4 address, or the /64 of
// an IPv6 address, which one customer has. All that is no address is one.
func network(remote string) netip.Prefix {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		port, err := netip.ParseAddrPort(remote)
		if err != nil {
			return netip.Prefix{}
		}
		addr = port.Addr()
	}
	addr = addr.Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.Prefix(bits) // it has that many bits
	return prefix
}
