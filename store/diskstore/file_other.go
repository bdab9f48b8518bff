//go:build !linux

package diskstore

import (
	"errors"
	"os"
)

// openUnnamed fails: only Linux has files without a name.
func openUnnamed(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func link(*os.File, string) error { return errors.ErrUnsupported }

// syncData waits until the content of f is on the disk.
func syncData(f *os.File) error { return f.Sync() }

func startFlush(*os.File, int64, int64) {}
