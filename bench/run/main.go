// Command run measures Cubby beside other servers, the same requests to each in
// turn, on one machine.
//
//	go run ./bench/run                                   Cubby alone
//	go run ./bench/run -peers versitygw,nginx            beside others
//	go run ./bench/run -peers versitygw -ops put10k,get10k
//	go run ./bench/run -peers versitygw warp             the same with warp as the client
//
// It needs Linux, Go, and for peers what the package bench/target says. Cubby is
// built from this module and writes durably; requests to it are signed with
// temporary credentials of a user who signed in, under the rules of a new server
// and one more for the keys of the measurement. Peers have the keys of their root.
//
// Each operation is run round-robin over the servers, -rounds times for -secs
// seconds. The table has the median round of each. Operations on 10 KiB and 1 MiB
// come over 16 connections, on 64 MiB over 8, lists over 4. CPU is that of the
// server's processes for each operation, memory the most that they had in any
// round. The last two columns say how many times the operations per second, and
// the CPU for one, of that server Cubby has. The client shares the machine with
// the servers, so all rates are lower than they could be.
//
// A list is a page of 1,000 keys out of 100,000. A delete is of an object that
// exists. nginx serves plain files, which is what GET and HEAD could cost at best.
//
// warp is github.com/minio/warp at v1.6.1, from the PATH; -ops are as above. Its
// lists and sizes of key sets are its own, see warp.go.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/bench/target"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

// config is what the flags say.
type config struct {
	peers, ops, cubby, dir string
	secs                   float64
	rounds, keys, deletes  int
}

func run() error {
	var c config
	flag.StringVar(&c.peers, "peers", "", "servers to measure beside Cubby, of "+strings.Join(target.Peers(), ", "))
	flag.StringVar(&c.ops, "ops", strings.Join(operationNames(), ","), "operations")
	flag.StringVar(&c.cubby, "cubby", "", "program to measure instead of building one")
	flag.StringVar(&c.dir, "dir", "", "directory for the data of the servers; empty is one of the system's for temporary files")
	flag.Float64Var(&c.secs, "secs", 5, "seconds of a round")
	flag.IntVar(&c.rounds, "rounds", 3, "rounds")
	flag.IntVar(&c.keys, "keys", 100_000, "keys to list")
	flag.IntVar(&c.deletes, "deletes", 10_000, "objects that a round of delete deletes")
	flag.Parse()
	measure := c.load
	switch {
	case flag.NArg() == 1 && flag.Arg(0) == "warp":
		measure = c.warp
	case flag.NArg() > 0:
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	ops := strings.Split(c.ops, ",")
	for _, name := range ops {
		if !slices.Contains(operationNames(), name) {
			return fmt.Errorf("unknown operation %q: choose from %v", name, operationNames())
		}
	}
	dir, err := os.MkdirTemp(c.dir, "cubby-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	servers, stop, err := c.start(dir)
	defer stop()
	if err != nil {
		return err
	}
	fmt.Printf("%d processors, %s, %s. %d rounds of %v seconds.\n\n", runtime.NumCPU(), cpuModel(), kernel(), c.rounds, c.secs)
	return measure(servers, ops)
}

// start starts Cubby and its peers.
func (c *config) start(dir string) (servers []*target.Server, stop func(), err error) {
	stop = func() {
		for _, s := range servers {
			s.Stop()
		}
	}
	program := c.cubby
	if program == "" {
		if program, err = target.Build(dir); err != nil {
			return servers, stop, err
		}
	}
	s, _, err := target.Cubby(program, dir)
	if err != nil {
		return servers, stop, err
	}
	servers = append(servers, s)
	for name := range strings.FieldsFuncSeq(c.peers, func(r rune) bool { return r == ',' || r == ' ' }) {
		s, err := target.Start(name, dir)
		if err != nil {
			return servers, stop, err
		}
		servers = append(servers, s)
	}
	return servers, stop, nil
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(b), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimLeft(line, "\t :")
}

func kernel() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return "Linux " + strings.TrimSpace(string(b))
}

// load measures with the client of this program.
func (c *config) load(servers []*target.Server, ops []string) error {
	header()
	var errs error
	for _, op := range c.operations() {
		if !slices.Contains(ops, op.name) {
			continue
		}
		rounds := map[*target.Server][]round{}
		for i := range c.rounds {
			for _, s := range servers {
				if s.Plain != "" && !op.files {
					continue
				}
				if err := s.Renew(); err != nil {
					return err
				}
				if err := op.prepare(s, i); err != nil {
					return err
				}
				r := op.measure(s, i, c.secs)
				if r.err != nil {
					errs = errors.Join(errs, fmt.Errorf("%s, %d times: %w", op.name, r.failed, r.err))
				}
				rounds[s] = append(rounds[s], r)
			}
		}
		report(op.name, servers, rounds)
	}
	return errs
}
