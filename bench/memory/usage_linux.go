package main

import (
	"os"
	"syscall"
)

// maxMemory is the most memory in bytes that a process had which has ended.
func maxMemory(p *os.ProcessState) int64 {
	u, _ := p.SysUsage().(*syscall.Rusage)
	return u.Maxrss << 10
}
