package identity

import (
	"fmt"
	"testing"
	"time"
)

func TestRecentIsBounded(t *testing.T) {
	r := newRecent[int, int](10)
	for i := range 1000 {
		r.add(i, i)
		if v, ok := r.get(0); !ok || v != 0 {
			t.Fatalf("what is used all the time was forgotten after %d", i)
		}
	}
	if n := len(r.young) + len(r.old); n > 20 {
		t.Errorf("%d entries, want at most 20", n)
	}
	if v := r.add(999, -1); v != 999 {
		t.Errorf("add took the place of a value: %d", v)
	}
	if _, ok := r.get(5); ok {
		t.Error("nothing was forgotten")
	}
}

func TestLimiterCountsByNetwork(t *testing.T) {
	l := NewLimiter(1, 1)
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		from string
		want bool
	}{
		{"192.0.2.1:1", true},
		{"192.0.2.1:2", false},
		{"192.0.2.1", false},
		{"::ffff:192.0.2.1", false},
		{"[::ffff:192.0.2.1]:1", false},
		{"192.0.2.2", true},
		{"[2001:db8::1]:1", true},
		{"[2001:db8::2]:1", false},
		{"2001:db8::1%eth0", false},
		{"[2001:db8:0:1::1]:1", true},
		{"pipe", true},
		{"@", false},
		{"", false},
		{"192.0.2.1, 192.0.2.9", false},
	} {
		if got := l.Allow(tt.from, now); got != tt.want {
			t.Errorf("%q may: %t, want %t", tt.from, got, tt.want)
		}
	}
	if now = now.Add(time.Second); !l.Allow("192.0.2.1", now) || l.Allow("192.0.2.1", now) {
		t.Error("a second later it is not one call that is allowed")
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := NewLimiter(1, 1)
	now := time.Unix(1_800_000_000, 0)
	l.Allow("192.0.2.1", now)
	for i := range 3 * limiterMax {
		l.Allow(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now)
		if i%1000 == 0 && l.Allow("192.0.2.1", now) { // it keeps calling
			t.Fatal("an address that calls all the time is forgotten")
		}
	}
	if n := len(l.callers.young) + len(l.callers.old); n > 2*limiterMax {
		t.Errorf("%d addresses are remembered", n)
	}
}
