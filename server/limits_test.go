package server

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cubby-storage/cubby/access"
)

func TestLimitSettings(t *testing.T) {
	c, err := ParseConfig([]byte("limits: {connections: 7, requests: none, refused: -1, uploads: 0}\nproxies: [10.0.0.0/8, '::1']\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Limits{Connections: 7, Requests: NoLimit, Refused: NoLimit}
	if c.Limits != want || len(c.Proxies) != 2 {
		t.Errorf("the limits are %+v, want %+v, the proxies %q", c.Limits, want, c.Proxies)
	}
	c.Data = filepath.Join(t.TempDir(), "data")
	if err := WriteConfig(c); err != nil {
		t.Fatal(err)
	}
	again, err := ReadConfig(c.Data)
	if err != nil || again.Limits != want || !reflect.DeepEqual(again.Proxies, c.Proxies) {
		t.Errorf("read again they are %+v, %v", again, err)
	}
	for text, want := range map[string]string{
		"limits: {connections: many}":         "cubby.yaml:1: this must be a number or none",
		"limits:\n  uploads: [1]":             "cubby.yaml:2: this must be a number or none",
		"limits: {connection: 1}":             "unknown setting connection",
		"limits: {requests: -2}":              "limits: requests: -2",
		"limits: {refused_burst: 1000000001}": "limits: refused_burst:",
		"limits: {uploads: 1.5}":              "number or none",
		"proxies: [here]":                     `proxies: "here"`,
		"proxies: [10.0.0.1/8]":               "proxies:",
		"proxies: ['::ffff:10.0.0.0/104']":    "proxies:",
		"proxies: ['fe80::1%eth0']":           "proxies:",
		"proxies: [0.0.0.0/0]":                "everybody",
		"proxies: ['::/0']":                   "everybody",
	} {
		c, err := ParseConfig([]byte(text))
		if err == nil {
			c.Data = "data"
			if err = c.check(); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%s: the error is %v", text, err)
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want one that says %q", text, err, want)
		}
	}
}

// TestAddressOfTheClient is not what a stranger says it is.
func TestAddressOfTheClient(t *testing.T) {
	p, err := (&Config{Proxies: []string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32"}}).proxies()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("10.0.0.1, ", 3000)
	for _, tt := range []struct {
		from    string
		headers []string
		want    string
	}{
		{"203.0.113.5:1", nil, "203.0.113.5"},
		{"203.0.113.5:1", []string{"198.51.100.1"}, "203.0.113.5"}, // is no proxy
		{"127.0.0.1:1", []string{"198.51.100.1"}, "127.0.0.1"},
		{"10.1.2.3:1", nil, "10.1.2.3"},
		{"10.1.2.3:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.1.2.3:1", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"}, // the first was made up
		{"10.1.2.3:1", []string{"1.1.1.1", "198.51.100.1"}, "198.51.100.1"},
		{"10.1.2.3:1", []string{"198.51.100.1, 10.9.9.9,192.0.2.1"}, "198.51.100.1"},
		{"10.1.2.3:1", []string{"198.51.100.1", "10.9.9.9"}, "198.51.100.1"},
		{"10.1.2.3:1", []string{"10.7.7.7, 198.51.100.1"}, "198.51.100.1"}, // a proxy that was made up
		{"10.1.2.3:1", []string{"10.7.7.7"}, "10.7.7.7"},
		{"10.1.2.3:1", []string{"198.51.100.1, unknown"}, "10.1.2.3"},
		{"10.1.2.3:1", []string{"198.51.100.1, unknown, 10.9.9.9"}, "10.9.9.9"},
		{"10.1.2.3:1", []string{"198.51.100.1,"}, "10.1.2.3"},
		{"10.1.2.3:1", []string{""}, "10.1.2.3"},
		{"10.1.2.3:1", []string{"198.51.100.1", ""}, "10.1.2.3"},
		{"10.1.2.3:1", []string{"198.51.100.1:443"}, "198.51.100.1"},
		{"10.1.2.3:1", []string{"[2001:db9::7]:443"}, "2001:db9::7"},
		{"10.1.2.3:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"10.1.2.3:1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"10.1.2.3:1", []string{"198.51.100.1; DROP"}, "10.1.2.3"},
		{"10.1.2.3:1", []string{"198.51.100.001"}, "10.1.2.3"},
		{"10.1.2.3:1", []string{long + "198.51.100.1"}, "198.51.100.1"},
		{"10.1.2.3:1", []string{"198.51.100.1, " + long + "10.0.0.2"}, "198.51.100.1"},
		{"[::ffff:10.1.2.3]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"[2001:db8::1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"@", []string{"198.51.100.1"}, ""},
		{"", nil, ""},
	} {
		r := &http.Request{RemoteAddr: tt.from, Header: http.Header{"X-Forwarded-For": tt.headers}}
		if got := p.remote(r); got != tt.want {
			t.Errorf("%s, %.60q: the client is %q, want %q", tt.from, tt.headers, got, tt.want)
		}
		if got := proxies(nil).remote(r); got != tt.from {
			t.Errorf("%s: without proxies the client is %q", tt.from, got)
		}
	}
}

// FuzzAddressOfTheClient has a property: what comes before an address that is no proxy
// does not matter.
func FuzzAddressOfTheClient(f *testing.F) {
	f.Add("1.2.3.4", "10.0.0.1")
	f.Add("unknown, [::1]:3", " 10.0.0.1 ,10.0.0.2:80")
	f.Add(",,", "")
	p, err := (&Config{Proxies: []string{"10.0.0.0/8"}}).proxies()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		client := func(lines ...string) netip.Addr {
			return p.client(&http.Request{RemoteAddr: "10.0.0.9:1", Header: http.Header{"X-Forwarded-For": lines}})
		}
		want := client("203.0.113.5", after)
		for _, got := range []netip.Addr{
			client(before+",203.0.113.5", after), client(before, "203.0.113.5", after), client(before + ",203.0.113.5," + after),
		} {
			if got != want || !got.IsValid() {
				t.Errorf("%q before %q: the client is %v, want %v", before, after, got, want)
			}
		}
	})
}

// TestRates has callers who keep a rate, who wait, and who were not seen for long.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates[string](10, 5)
		burst := func(k string) (n int) {
			for r.allow(k, time.Now()) {
				n++
			}
			return n
		}
		if n := burst("ann"); n != 5 {
			t.Errorf("%d at once, want 5", n)
		}
		if n := burst("bob"); n != 5 {
			t.Errorf("%d of another at once, want 5", n)
		}
		time.Sleep(100 * time.Millisecond)
		if n := burst("ann"); n != 1 {
			t.Errorf("%d after a tenth of a second, want 1", n)
		}
		time.Sleep(time.Hour)
		if n := burst("ann"); n != 5 {
			t.Errorf("%d after an hour, want 5", n)
		}
		for range 100 { // refusals do not count
			r.allow("ann", time.Now())
		}
		time.Sleep(200 * time.Millisecond)
		if n := burst("ann"); n != 2 {
			t.Errorf("%d after two tenths, want 2", n)
		}
		for i := range 3 * ratesMax {
			r.allow(fmt.Sprint(i), time.Now())
			if i%1000 == 0 && r.allow("ann", time.Now()) { // who goes on is not forgotten
				t.Fatalf("allowed after %d others", i)
			}
		}
		if n := len(r.young) + len(r.old); n > 2*ratesMax {
			t.Errorf("%d callers are remembered", n)
		}
	})
	if newRates[string](10, NoLimit) != nil || newRates[string](NoLimit.or(1), 5) != nil {
		t.Error("there is a limit where there should be none")
	}
	for _, n := range []int{1, mostLimit} {
		if r := newRates[string](n, mostLimit); !r.allow("x", time.Now()) || !r.allow("x", time.Now().Add(100*365*24*time.Hour)) {
			t.Errorf("%d in a second: an honest caller is refused", n)
		}
	}
}

func TestRatesTakeNoMemory(t *testing.T) {
	l, err := newLimits(new(Config))
	if err != nil {
		t.Fatal(err)
	}
	s := &access.Subject{Identity: "us-east-1:00000000-0000-0000-0000-000000000000"}
	r := &http.Request{RemoteAddr: "203.0.113.5:1"}
	if n := testing.AllocsPerRun(40, func() {
		if l.allow(s) != nil || l.refuse(r, nil) != nil {
			t.Fatal("refused")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTooManyRequests of one identity disturb nobody else.
func TestTooManyRequests(t *testing.T) {
	log := new(lockedBuffer)
	w := newWorld(t, &setup{
		opts:   Options{Log: slog.New(slog.NewTextHandler(log, nil))},
		change: func(c *Config) { c.Limits = Limits{Requests: 1, RequestsBurst: 3} },
	})
	alice, carol := w.user("alice"), w.user("carol")
	get := func(p *person) *response { return w.as(p, "GET", "/media?list-type=2&prefix=public/", "") }
	slow := func(p *person) *response {
		t.Helper()
		for range 100 {
			if r := get(p); r.status != 200 {
				return r
			}
		}
		t.Fatal("nobody says to slow down")
		return nil
	}
	r := slow(alice).is(503, "SlowDown")
	if r.header.Get("Retry-After") != "1" || r.header.Get("X-Amz-Request-Id") == "" {
		t.Errorf("the header is %v", r.header)
	}
	get(carol).is(200)
	for range 10 {
		get(w.operator).is(200)
	}
	if text := log.String(); strings.Contains(text, "request failed") {
		t.Errorf("it is logged as a fault:\n%s", text)
	}
}

// TestTooManyRefusals of one address, which X-Forwarded-For tells if a proxy does.
func TestTooManyRefusals(t *testing.T) {
	w := newWorld(t, &setup{change: func(c *Config) {
		c.Limits = Limits{Refused: 1, RefusedBurst: 3}
		c.Proxies = []string{"127.0.0.0/8", "::1"}
	}})
	alice := w.user("alice")
	slow := func(from string) bool {
		t.Helper()
		r := w.as(nil, "GET", "/media/public/x", "", "X-Forwarded-For: "+from)
		if r.status == 503 {
			r.is(503, "SlowDown")
			return true
		}
		r.is(403, "AccessDenied")
		return false
	}
	until := func(from func(i int) string) bool {
		for i := range 100 {
			if slow(from(i)) {
				return true
			}
		}
		return false
	}
	if !until(func(int) string { return "203.0.113.5" }) {
		t.Error("an address may be refused for ever")
	}
	if slow("203.0.113.6") {
		t.Error("another address has to wait")
	}
	if !until(func(i int) string { return fmt.Sprintf("198.51.100.%d, 203.0.113.7", i) }) {
		t.Error("an address becomes another by what it says")
	}
	if !until(func(i int) string { return fmt.Sprintf("2001:db8:1:2::%x", i) }) {
		t.Error("a /64 is many addresses")
	}
	// Whoever is known is not concerned.
	w.as(alice, "GET", "/media?list-type=2&prefix=public/", "", "X-Forwarded-For: 203.0.113.5").is(200)
	w.as(nil, "GET", "/.well-known/cubby/rules", "", "X-Forwarded-For: 203.0.113.5").is(503, "SlowDown")
}

// TestSignInsAreLimitedByTheClient behind the proxies, too.
func TestSignInsAreLimitedByTheClient(t *testing.T) {
	w := newWorld(t, &setup{change: func(c *Config) { c.Proxies = []string{"127.0.0.1"} }})
	limited := func(from string) bool {
		r := w.request("POST", "/", "{}", "X-Amz-Target: AWSCognitoIdentityService.GetOpenIdToken", "Content-Type: application/x-amz-json-1.1", "X-Forwarded-For: "+from)
		return strings.Contains(w.do(r).body, "TooManyRequests")
	}
	n := 0
	for n < 1000 && !limited("203.0.113.5") {
		n++
	}
	if n == 1000 {
		t.Error("there is no limit")
	}
	if limited("203.0.113.6") {
		t.Error("another client has to wait")
	}
}

// TestTooManyUploads are refused until one ends.
func TestTooManyUploads(t *testing.T) {
	w := newWorld(t, &setup{change: func(c *Config) { c.Limits.Uploads = 2 }})
	alice := w.user("alice")
	w.as(alice, "POST", "/media/public/a?uploads", "").is(200)
	id := w.as(alice, "POST", "/media/public/b?uploads", "").is(200).element("UploadId")
	if r := w.as(alice, "POST", "/media/public/c?uploads", "").is(400, "InvalidRequest"); !strings.Contains(r.body, "2 uploads in parts") {
		t.Errorf("it says %s", r.body)
	}
	w.as(w.user("carol"), "POST", "/media/public/c?uploads", "").is(200)
	for range 3 {
		w.as(w.operator, "POST", "/media/public/c?uploads", "").is(200)
	}
	w.as(alice, "DELETE", "/media/public/b?uploadId="+id, "").is(204)
	w.as(alice, "POST", "/media/public/c?uploads", "").is(200)
}

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func BenchmarkLimits(b *testing.B) {
	l, err := newLimits(&Config{Limits: Limits{Requests: 1e9, Refused: 1e9}, Proxies: []string{"10.0.0.0/8"}})
	if err != nil {
		b.Fatal(err)
	}
	s := &access.Subject{Identity: "us-east-1:00000000-0000-0000-0000-000000000000"}
	b.Run("identity", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if l.allow(s) != nil {
				b.Fatal("refused")
			}
		}
	})
	b.Run("identities in parallel", func(b *testing.B) {
		b.ReportAllocs()
		var n atomic.Int32
		b.RunParallel(func(pb *testing.PB) {
			s := &access.Subject{Identity: fmt.Sprintf("us-east-1:00000000-0000-0000-0000-%012d", n.Add(1))}
			for pb.Next() {
				l.allow(s)
			}
		})
	})
	for name, r := range map[string]*http.Request{
		"address": {RemoteAddr: "203.0.113.5:4711"},
		"proxy":   {RemoteAddr: "10.0.0.1:4711", Header: http.Header{"X-Forwarded-For": {"203.0.113.5, 10.0.0.2"}}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.refuse(r, nil)
			}
		})
	}
	b.Run("connection", func(b *testing.B) { // what a request on it adds
		b.ReportAllocs()
		c, d := net.Pipe()
		defer c.Close()
		defer d.Close()
		l.conns.state(c, http.StateNew)
		for b.Loop() {
			l.conns.state(c, http.StateActive)
			l.conns.state(c, http.StateIdle)
		}
	})
}
