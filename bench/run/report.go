package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cubby-storage/cubby/bench/target"
)

func header() {
	fmt.Println("| operation | server | op/s | MiB/s | p50 ms | p99 ms | CPU ms/op | peak MiB | Cubby: op/s | Cubby: CPU |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
}

// median returns the round with the median rate, and the most memory of all.
func median(rounds []round) round {
	slices.SortFunc(rounds, func(a, b round) int { return cmp.Compare(a.ops, b.ops) })
	m := rounds[len(rounds)/2]
	for _, r := range rounds {
		m.peak = max(m.peak, r.peak)
	}
	return m
}

// report prints the rows of an operation. Cubby is the first of the servers.
func report(op string, servers []*target.Server, rounds map[*target.Server][]round) {
	var ours round
	for i, s := range servers {
		if len(rounds[s]) == 0 {
			continue
		}
		m := median(rounds[s])
		ratios := "| | |"
		if i == 0 {
			ours = m
		} else {
			ratios = fmt.Sprintf("| %s | %s |", ratio(ours.ops, m.ops), ratio(float64(ours.cpu), float64(m.cpu)))
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s | %s | %d %s\n", op, s.Name, figure(m.ops), figure(m.bytes/mib),
			millis(m.p50), millis(m.p99), millis(m.cpu), m.peak>>20, ratios)
	}
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}

// figure writes three digits that count.
func figure(f float64) string {
	switch {
	case f == 0:
		return ""
	case f < 10:
		return fmt.Sprintf("%.2f", f)
	case f < 100:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.0f", f)
}

func millis(d time.Duration) string { return figure(float64(d.Nanoseconds()) / 1e6) }
