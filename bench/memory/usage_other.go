//go:build !linux

package main

import "os"

// maxMemory is not known here, as little as that of the server.
func maxMemory(*os.ProcessState) int64 { return 0 }
