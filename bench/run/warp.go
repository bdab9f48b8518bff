package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/bench/target"
)

// warpCommands are the commands of warp for our operations. Delete ends when all
// its objects are gone; its lists are of all keys of a client.
//
// warp cannot be installed by "go install" with a version, as its go.mod has
// replacements. Build it in a module that has the same:
//
//	mkdir w && cd w && go mod init w
//	go mod edit -require=github.com/minio/warp@v1.6.1 \
//	  -replace=github.com/minio/minio-go/v7=github.com/minio/minio-go/v7@v7.4.1 \
//	  -replace=github.com/minio/madmin-go/v4=github.com/minio/madmin-go/v4@v4.1.1
//	printf 'package tools\n\nimport _ "github.com/minio/warp"\n' >tools.go
//	go mod tidy && go build -o warp github.com/minio/warp
//
// or take the program of a release.
var warpCommands = map[string][]string{
	"put10k": {"put", "--obj.size=10KiB"},
	"get10k": {"get", "--obj.size=10KiB", "--objects=2000"},
	"head":   {"stat", "--obj.size=10KiB", "--objects=2000"},
	"delete": {"delete", "--obj.size=10KiB", "--batch=1"},
	"put1m":  {"put", "--obj.size=1MiB"},
	"get1m":  {"get", "--obj.size=1MiB", "--objects=200"},
	"put64m": {"put", "--obj.size=64MiB", "--disable-multipart"},
	"get64m": {"get", "--obj.size=64MiB", "--disable-multipart", "--objects=8"},
	"list":   {"list", "--obj.size=1KiB", "--objects=10000"},
}

// warp measures with warp as the client. Servers of files are left out. CPU and
// memory include what warp does to prepare itself.
func (c *config) warp(servers []*target.Server, ops []string) error {
	program, err := exec.LookPath("warp")
	if err != nil {
		return fmt.Errorf("%w: a comment in bench/run/warp.go says how to get it", err)
	}
	header()
	var errs error
	for _, op := range c.operations() {
		if !slices.Contains(ops, op.name) {
			continue
		}
		rounds := map[*target.Server][]round{}
		for range c.rounds {
			for _, s := range servers {
				if s.Plain != "" {
					continue
				}
				if err := s.Renew(); err != nil {
					return err
				}
				r := c.warpRound(program, &op, s)
				if r.err != nil {
					errs = errors.Join(errs, fmt.Errorf("%s of %s: %w", op.name, s.Name, r.err))
				}
				rounds[s] = append(rounds[s], r)
			}
		}
		report(op.name, servers, rounds)
	}
	return errs
}

// warpRound runs warp once.
func (c *config) warpRound(program string, op *operation, s *target.Server) round {
	access, secret, token := s.Keys()
	dir, err := os.MkdirTemp("", "cubby-warp-")
	if err != nil {
		return round{err: err}
	}
	defer os.RemoveAll(dir)
	args := slices.Concat(warpCommands[op.name], []string{
		"--host=" + s.Addr, "--bucket=" + target.Bucket, "--prefix=" + strings.TrimSuffix(target.Prefix, "/"), "--lookup=path", "--no-color",
		"--duration=" + strconv.FormatFloat(c.secs, 'f', -1, 64) + "s", "--concurrent=" + strconv.Itoa(op.clients), "--benchdata=" + dir + "/data",
	})
	if op.name == "delete" {
		args = append(args, "--objects="+strconv.Itoa(c.deletes))
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "WARP_ACCESS_KEY="+access, "WARP_SECRET_KEY="+secret, "WARP_SESSION_TOKEN="+token)
	s.ResetPeak()
	cpu := s.CPU()
	out, err := cmd.CombinedOutput()
	r := warpReport(string(out))
	r.peak = s.Peak()
	if r.ops > 0 && r.ran > 0 {
		r.cpu = time.Duration(float64(s.CPU()-cpu) / (r.ops * r.ran.Seconds()))
	}
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("%w: %s", err, last(string(out)))
	}
	return r.round
}

func last(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

var (
	warpSection = regexp.MustCompile(`Report: [A-Z]+\.[^\n]*?Ran: ([0-9hms]+)[^\n]*\n \* Average: ([^\n]*)\n(?: \* Reqs: ([^\n]*)\n)?`)
	warpBytes   = regexp.MustCompile(`([\d.]+) MiB/s`)
	warpOps     = regexp.MustCompile(`([\d.]+) obj/s`)
	warpHalf    = regexp.MustCompile(`50%: ([\d.]+[mµ]?s)`)
	warpMost    = regexp.MustCompile(`99%: ([\d.]+[mµ]?s)`)
	warpErrors  = regexp.MustCompile(`Errors?: (\d+)`)
)

// warped is a round, and how long warp measured.
type warped struct {
	round
	ran time.Duration
}

// warpReport reads the report that warp prints.
func warpReport(out string) (r warped) {
	out = strings.ReplaceAll(out, "\r", "\n")
	m := warpSection.FindStringSubmatch(out)
	if m == nil {
		r.err = errors.New("no report of warp: " + last(out))
		return r
	}
	r.ran, _ = time.ParseDuration(m[1])
	r.bytes = number(warpBytes, m[2]) * mib
	r.ops = number(warpOps, m[2])
	r.p50, r.p99 = duration(warpHalf, m[3]), duration(warpMost, m[3])
	if n := number(warpErrors, out); n > 0 {
		r.failed = int64(n)
		r.err = fmt.Errorf("%d errors", r.failed)
	}
	return r
}

func number(re *regexp.Regexp, s string) float64 {
	if m := re.FindStringSubmatch(s); m != nil {
		f, _ := strconv.ParseFloat(m[1], 64)
		return f
	}
	return 0
}

func duration(re *regexp.Regexp, s string) time.Duration {
	if m := re.FindStringSubmatch(s); m != nil {
		d, _ := time.ParseDuration(m[1])
		return d
	}
	return 0
}
