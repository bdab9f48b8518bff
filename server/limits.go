package server

import (
	"cmp"
	"container/ring"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/s3api"
)

// Limits bound what strangers and users can make a server hold and do. In each field
// 0 is the default and NoLimit is none. Operators meet none but those of connections.
type Limits struct {
	// Connections is how many connections Serve has open, 1000 by default, and
	// ConnectionsPerAddress how many of them from one address, 250 by default. One
	// that is too many takes the place of that which was idle for longest, or else is
	// closed. The second limit is not for the proxies of Config.Proxies, nor for this
	// machine unless it is set.
	Connections           Limit `yaml:"connections,omitempty"`
	ConnectionsPerAddress Limit `yaml:"connections_per_address,omitempty"`

	// Requests is how many S3 requests an identity may make in a second, 20,000 by
	// default, and RequestsBurst how many at once, by default those of ten seconds.
	Requests      Limit `yaml:"requests,omitempty"`
	RequestsBurst Limit `yaml:"requests_burst,omitempty"`

	// Refused is how many S3 requests from one address are told in a second that
	// their signature is missing or not accepted, 50 by default, and RefusedBurst how
	// many at once, by default those of ten seconds. Others are told to slow down.
	// This machine has no such limit unless Refused is set.
	Refused      Limit `yaml:"refused,omitempty"`
	RefusedBurst Limit `yaml:"refused_burst,omitempty"`

	// Uploads is how many uploads in parts an identity may have open in a bucket,
	// 1000 by default.
	Uploads Limit `yaml:"uploads,omitempty"`
}

// The defaults of Limits.
const (
	defaultConnections           = 1000
	defaultConnectionsPerAddress = 250
	defaultRequests              = 20_000
	defaultRefused               = 50
	defaultUploads               = 1000
	burstSeconds                 = 10 // of a rate
)

// Limit is a bound in the settings. 0 is the default of that setting.
type Limit int

// NoLimit is the Limit that bounds nothing. In YAML it is none, or -1.
const NoLimit Limit = -1

// mostLimit is the highest limit. Times that are calculated from it do not overflow.
const mostLimit = 1e9

// UnmarshalYAML reads a number, or none.
func (l *Limit) UnmarshalYAML(n *yaml.Node) error {
	n = aliased(n)
	if n.Kind == yaml.ScalarNode && n.Value == "none" {
		*l = NoLimit
		return nil
	}
	i, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return &yaml.LoadErrors{Errors: []*yaml.LoadError{wrong(n, "this must be a number or none")}}
	}
	*l = Limit(i)
	return nil
}

// MarshalYAML writes the limit as UnmarshalYAML reads it.
func (l Limit) MarshalYAML() (any, error) {
	if l == NoLimit {
		return "none", nil
	}
	return int(l), nil
}

// or returns the limit as a number, which is def by default.
func (l Limit) or(def int) int {
	if l == NoLimit {
		return math.MaxInt
	}
	return cmp.Or(int(l), def)
}

// check reports limits that are none.
func (l *Limits) check() error {
	for _, f := range []struct {
		name  string
		limit Limit
	}{
		{"connections", l.Connections},
		{"connections_per_address", l.ConnectionsPerAddress},
		{"requests", l.Requests},
		{"requests_burst", l.RequestsBurst},
		{"refused", l.Refused},
		{"refused_burst", l.RefusedBurst},
		{"uploads", l.Uploads},
	} {
		if f.limit < NoLimit || f.limit > mostLimit {
			return fmt.Errorf("limits: %s: %d is not a number from 1 to %d, nor none: %w", f.name, f.limit, int(mostLimit), fs.ErrInvalid)
		}
	}
	return nil
}

// limits keep what Limits say.
type limits struct {
	proxies  proxies
	requests *rates[subject]
	refused  *rates[netip.Addr]
	here     bool // whether refused counts for this machine, too
	conns    connections
}

// subject is whose requests are counted together.
type subject struct{ identity, function string }

func newLimits(c *Config) (*limits, error) {
	p, err := c.proxies()
	if err != nil {
		return nil, err
	}
	set := &c.Limits
	return &limits{
		proxies:  p,
		requests: newRates[subject](set.Requests.or(defaultRequests), set.RequestsBurst),
		refused:  newRates[netip.Addr](set.Refused.or(defaultRefused), set.RefusedBurst),
		here:     set.Refused != 0,
		conns: connections{
			most:     set.Connections.or(defaultConnections),
			mostEach: set.ConnectionsPerAddress.or(defaultConnectionsPerAddress),
			free: func(a netip.Addr) bool {
				return p.have(a) || set.ConnectionsPerAddress == 0 && isHere(a)
			},
			open: map[net.Conn]*connection{},
			each: map[netip.Addr]*address{},
		},
	}, nil
}

// errSlowDown is what those hear who ask too often.
var errSlowDown = &s3api.Error{Code: "SlowDown", Message: "Please send fewer requests."}

// allow returns errSlowDown if a subject has made too many requests.
func (l *limits) allow(s *access.Subject) error {
	if l.requests.allow(subject{s.Identity, s.Function}, time.Now()) {
		return nil
	}
	return errSlowDown
}

// refuse returns err, which is told to a caller that is not known, or errSlowDown if
// their address was told too often.
func (l *limits) refuse(r *http.Request, err error) error {
	from := l.proxies.client(r)
	if !l.here && isHere(from) || l.refused.allow(caller(from), time.Now()) {
		return err
	}
	return errSlowDown
}

// rates is a limit on how often each of many callers may do something. What it
// remembers is bounded: it forgets the callers that were quiet for longest. Nil is no
// limit. It is safe for concurrent use.
type rates[K comparable] struct {
	every time.Duration // between two, in the long run
	burst time.Duration // how much of that may be used at once
	start time.Time     // the zero of the times below

	mu         sync.Mutex
	young, old map[K]time.Duration // when all that a caller has done is paid for
}

// ratesMax is how many callers are remembered in each generation.
const ratesMax = 8192

// newRates returns a limit of so many in a second.
func newRates[K comparable](perSecond int, burst Limit) *rates[K] {
	if perSecond == math.MaxInt || burst == NoLimit {
		return nil
	}
	every := max(time.Second/time.Duration(perSecond), 1)
	atOnce := burst.or(min(burstSeconds*perSecond, mostLimit))
	return &rates[K]{every: every, burst: every * time.Duration(atOnce), start: time.Now(), young: map[K]time.Duration{}}
}

// allow reports whether k may do it once more, and counts it if so.
func (r *rates[K]) allow(k K, now time.Time) bool {
	if r == nil {
		return true
	}
	t := now.Sub(r.start)
	r.mu.Lock()
	defer r.mu.Unlock()
	paid, ok := r.young[k]
	if !ok {
		paid = r.old[k]
		if len(r.young) >= ratesMax {
			r.old, r.young = r.young, make(map[K]time.Duration, ratesMax)
		}
	}
	next := max(paid, t) + r.every
	allowed := next-t <= r.burst
	if allowed {
		paid = next
	}
	r.young[k] = paid
	return allowed
}

// reply is that of a request to S3. One that says that the server cannot answer now
// says also when to ask again.
type reply struct {
	http.ResponseWriter
	conn   *corkedConn // nil if it cannot hold back anything
	corked bool
}

// WriteHeader sends the header.
func (w *reply) WriteHeader(status int) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.ResponseWriter.WriteHeader(status)
	if w.corked {
		// So that content goes to the connection in one piece. An error will come again.
		_ = w.flush()
	}
}

// ReadFrom lets files be sent without copying.
func (w *reply) ReadFrom(r io.Reader) (int64, error) {
	if f, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return f.ReadFrom(r)
	}
	return io.Copy(w.ResponseWriter, r)
}

// Unwrap is for [http.ResponseController].
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// proxies are the networks of those whose word counts for where a request came from.
type proxies []netip.Prefix

// proxies returns those of the settings.
func (c *Config) proxies() (list proxies, err error) {
	for _, text := range c.Proxies {
		p, err := netip.ParsePrefix(text)
		if a, e := netip.ParseAddr(text); e == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil || p != p.Masked() || p.Addr().Is4In6():
			return nil, fmt.Errorf("proxies: %q is not an address or a network such as 10.0.0.0/8: %w", text, fs.ErrInvalid)
		case p.Bits() == 0:
			return nil, fmt.Errorf("proxies: %s is everybody, who could then claim any address: %w", text, fs.ErrInvalid)
		}
		list = append(list, p)
	}
	return list, nil
}

func (p proxies) have(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// client returns where a request came from: the other end of the connection, or, if
// that is a proxy, the last hop of X-Forwarded-For that is none. Hops before that may
// be made up. A hop that is no address hides what is before it. The result is not
// valid if there is no address at all.
func (p proxies) client(r *http.Request) netip.Addr {
	from := parseAddr(r.RemoteAddr)
	if !p.have(from) {
		return from
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var hop string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, hop = rest[:comma], rest[comma+1:]
			} else {
				hop, more = rest, false
			}
			a := parseAddr(strings.Trim(hop, " \t"))
			if !a.IsValid() {
				return from
			}
			if from = a; !p.have(from) {
				return from
			}
		}
	}
	return from
}

// remote is client as text, "" if there is no address.
func (p proxies) remote(r *http.Request) string {
	if len(p) == 0 {
		return r.RemoteAddr
	}
	if a := p.client(r); a.IsValid() {
		return a.String()
	}
	return ""
}

// parseAddr returns an address without its port and zone, if it has any.
func parseAddr(text string) netip.Addr {
	if p, err := netip.ParseAddrPort(text); err == nil {
		return p.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// caller returns what counts as one address: those of an IPv6 /64, which a single
// customer has, do.
func caller(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.Prefix(64) // it has that many bits
		return p.Addr()
	}
	return a
}

// isHere reports whether an address is of this machine. So is one that is not of the
// Internet.
func isHere(a netip.Addr) bool { return !a.IsValid() || a.IsLoopback() }

// connections are the open ones of a server. Those that are closed for a new one are
// not counted from then on.
type connections struct {
	most, mostEach int
	free           func(netip.Addr) bool // whether mostEach does not count

	mu   sync.Mutex
	open map[net.Conn]*connection
	each map[netip.Addr]*address
	idle ring.Ring // those that wait for a request; who waits for longest is next
}

// connection is one that is open. It is in its rings while it is idle.
type connection struct {
	net.Conn
	from     *address
	all, own ring.Ring
}

// address is where connections come from.
type address struct {
	addr netip.Addr
	n    int
	idle ring.Ring
}

// state is told by [http.Server] what becomes of a connection.
func (l *connections) state(c net.Conn, s http.ConnState) {
	if s == http.StateNew {
		if surplus := l.add(c); surplus != nil {
			if t, ok := surplus.(interface{ NetConn() net.Conn }); ok {
				surplus = t.NetConn() // a farewell of TLS could block
			}
			surplus.Close()
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.open[c]
	switch {
	case k == nil:
	case s == http.StateIdle:
		k.wake() // once is enough
		l.idle.Prev().Link(&k.all)
		k.from.idle.Prev().Link(&k.own)
	case s == http.StateActive:
		k.wake()
	default:
		l.drop(k)
	}
}

// add counts a connection, and returns the one that must be closed: none, an idle one,
// or this one, which is not counted then.
func (l *connections) add(c net.Conn) (surplus net.Conn) {
	addr := parseAddr(c.RemoteAddr().String())
	free := l.free(addr)
	addr = caller(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.each[addr]
	if from == nil {
		from = &address{addr: addr}
	}
	var idle *ring.Ring
	switch {
	case !free && from.n >= l.mostEach:
		idle = from.idle.Next()
	case len(l.open) >= l.most:
		idle = l.idle.Next()
	}
	if idle != nil {
		k, ok := idle.Value.(*connection)
		if !ok { // it is the head of an empty ring
			return c
		}
		surplus = k.Conn
		l.drop(k)
	}
	k := &connection{Conn: c, from: from}
	k.all.Value, k.own.Value = k, k
	l.open[c] = k
	l.each[addr] = from
	from.n++
	return surplus
}

// wake takes a connection out of its rings.
func (k *connection) wake() {
	k.all.Prev().Unlink(1)
	k.own.Prev().Unlink(1)
}

// drop forgets a connection.
func (l *connections) drop(k *connection) {
	k.wake()
	delete(l.open, k.Conn)
	if k.from.n--; k.from.n == 0 {
		delete(l.each, k.from.addr)
	}
}
