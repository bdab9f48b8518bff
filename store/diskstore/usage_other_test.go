//go:build !linux

package diskstore

import "time"

// cpuTime is not known.
func cpuTime() time.Duration { return 0 }
