package diskstore

import (
	"errors"
	"syscall"
)

// syncDir does nothing: Windows writes names with their files.
func syncDir(string) error { return nil }

func isFull(err error) bool {
	const handleDiskFull, diskFull = syscall.Errno(39), syscall.Errno(112)
	return errors.Is(err, handleDiskFull) || errors.Is(err, diskFull) || errors.Is(err, syscall.ENOSPC)
}
