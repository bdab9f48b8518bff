package main

import (
	"testing"
	"time"
)

func TestWarpReport(t *testing.T) {
	r := warpReport("Preparing 10%\rReport: GET. Concurrency: 16. Ran: 3s\n" +
		" * Average: 27.96 MiB/s, 2863.12 obj/s\n * Reqs: Avg: 5.5ms, 50%: 3.9ms, 90%: 9.1ms, 99%: 54.8ms, Fastest: 0.8ms\n")
	if r.err != nil || r.ops != 2863.12 || r.bytes != 27.96*mib || r.ran != 3*time.Second || r.p50 != 3900*time.Microsecond || r.p99 != 54800*time.Microsecond {
		t.Errorf("got %+v", r)
	}
	if r := warpReport("warp: too few samples"); r.err == nil {
		t.Errorf("of no report: got %+v", r)
	}
}

func TestMedian(t *testing.T) {
	m := median([]round{{ops: 3, peak: 5}, {ops: 1, peak: 9}, {ops: 2, peak: 7}})
	if m.ops != 2 || m.peak != 9 {
		t.Errorf("got %+v, want the middle rate and the most memory", m)
	}
}
